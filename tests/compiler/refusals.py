"""Models that the reader refuses: one sentence with the file, the node, the operator and the reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from compiler import ModelError, load_onnx
from tests.compiler.models import Model

SX = 0.1


def refused(model: Model, folder, text: str, **options: object) -> None:
    path = model.save(folder)
    with pytest.raises(ModelError) as caught:
        load_onnx(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and text in message and "\n" not in message, message


def map_model(build: Callable[[Model, str], str], shape: tuple[int, ...] = (2, 6, 6), zero: int = 0) -> Model:
    """Input (batch, *shape) → QDQ → what `build` adds → QDQ → output."""
    model = Model()
    y = build(model, model.qdq(model.input(shape), SX, zero))
    model.output(model.qdq(y, SX))
    return model


def weight(model: Model, *shape: int, **options) -> str:
    return model.weight(np.arange(int(np.prod(shape))).reshape(shape) % 11, 0.05, **options)


def conv(**attributes):
    return lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3, 3)], "layer", **attributes)


def gemm(**attributes):
    return lambda m, x: m.node("Gemm", [x, weight(m, 3, 4), m.constant([1.0, 2.0, 3.0])], "fc", transB=1, **attributes)


def pool(op: str = "MaxPool", **attributes):
    return lambda m, x: m.node(op, [x], "pool", **({"kernel_shape": [2, 2]} | attributes))
