"""Sums of products of two activations: plain integers', whatever the accumulator, and their gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emulator import Arithmetic
from emulator.arithmetic import OVERFLOWS
from qat.integers.activation_product import activation_product
from qat.integers.tensor import QuantizedTensor
from tests.oracle import matrix_product


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_gradients_pull_sums_that_overflow_back(overflow: str) -> None:
    """32 terms of 100 · 100 in 16 bits."""
    arithmetic = Arithmetic(accumulator_bits=16, overflow=overflow)
    x = QuantizedTensor(
        centered=torch.full((1, 1, 32), 100.0, requires_grad=True),
        scale=torch.tensor(0.5), zero_point=0, y_min=-128, y_max=127,
    )  # fmt: skip
    y = replace(x, centered=torch.full((1, 32, 1), 100.0))
    sums, bound = activation_product(x, y, arithmetic, True)
    expected = 2**15 - 1 if overflow == "saturate" else (320000 + 2**15) % 2**16 - 2**15
    assert sums.item() == expected and bound == 2**15
    for sign in (1, -1):
        (gradient,) = torch.autograd.grad(sums.sum() * sign, x.centered, retain_graph=True)
        # A descent step must not make the sum larger.
        assert (gradient == (0 if sign < 0 and overflow == "saturate" else 100)).all()


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("bits", range(8, 34))
@pytest.mark.parametrize("float32", [False, True])
def test_sums_are_the_contracts(float32: bool, bits: int, overflow: str) -> None:
    """Against plain integers, by torch's operators or by the walk."""
    rng = np.random.default_rng(bits)
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow)
    a, b = (rng.integers(-128, 128, shape, dtype=np.int8) for shape in ((2, 3, 2, 7), (2, 1, 7, 4)))
    zeros = int(rng.integers(-128, 128)), int(rng.integers(-128, 128))
    tensors = [
        QuantizedTensor(
            centered=torch.from_numpy(codes).float() - zero,
            scale=torch.tensor(1.0), zero_point=zero, y_min=-128, y_max=127,
        )
        for codes, zero in zip((a, b), zeros, strict=True)
    ]  # fmt: skip
    sums, bound = activation_product(*tensors, arithmetic, float32)
    assert sums.abs().max() <= bound
    for sample, head in np.ndindex(2, 3):
        expected, _ = matrix_product(a[sample, head].tolist(), b[sample, 0].tolist(), *zeros, bits, overflow)
        assert sums[sample, head].tolist() == expected
