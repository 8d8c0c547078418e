"""A network of one linear layer."""

from __future__ import annotations

import numpy as np

from emulator import (
    Arithmetic,
    Graph,
    Linear,
    Tensor,
)


def one_linear(length: int, columns: int, arithmetic: Arithmetic, bias: int = 0) -> Graph:
    rng = np.random.default_rng(0)
    source = Tensor(name="input", shape=(length,), scale=1.0, zero_point=0)
    node = Linear(
        name="head", shape=(columns,), inputs=("input",), scale=1.0, zero_point=0,
        weight=rng.integers(-128, 128, (length, columns), dtype=np.int8), bias=np.full(columns, bias, np.int64),
        multiplier=np.full(columns, 1 << 23), shift=np.full(columns, 40),
    )  # fmt: skip
    return Graph(inputs=(source,), nodes=(node,), outputs={"y": "head"}, arithmetic=arithmetic)
