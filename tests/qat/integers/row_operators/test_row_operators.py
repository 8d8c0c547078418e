"""Softmax, layer norm and RMS norm on torch tensors: the vectors, the emulator's codes, gradients, bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from torch import Tensor

from emulator import Arithmetic
from emulator.operators import row_operators as emulated
from emulator.operators.row_operators.softmax import row_multiplier as emulated_multiplier
from emulator.operators.row_operators.softmax import softmax_with_clips
from qat.integers.row_operators.normalize import layer_norm, rms_norm
from qat.integers.row_operators.softmax import real_softmax, row_multiplier, softmax
from qat.integers.straight_through import straight_through
from tests.emulator.strategies import arithmetics, codes, many, seeds
from tests.row_cases import row_cases

NORMS = {"layer_norm": layer_norm, "rms_norm": rms_norm}
Norm = Callable[..., tuple[Tensor, Tensor]]


def test_vectors_of_softmax() -> None:
    for case in row_cases("softmax"):
        mask = None if case.mask is None else torch.from_numpy(case.mask)
        centered, inside = softmax(torch.from_numpy(case.x)[None], case.parameters, case.arithmetic, mask)
        assert centered.dtype == torch.float32 and inside.dtype == torch.bool
        y = centered[0].numpy() + case.vector["zero_point"]
        assert_array_equal(y, case.y, err_msg=str(case.vector))


@pytest.mark.parametrize("name", NORMS)
def test_vectors_of_normalization(name: str) -> None:
    for case in row_cases(name):
        x = torch.from_numpy(case.x.astype(np.float32)) - case.vector["x_zero_point"]
        centered, _ = NORMS[name](x[None], case.parameters, case.arithmetic)
        y = centered[0].numpy() + case.vector["zero_point"]
        assert_array_equal(y, case.y, err_msg=str(case.vector))


@many
@given(st.data(), arithmetics(), seeds)
def test_softmax_is_the_emulators(data: st.DataObject, arithmetic: Arithmetic, seed: int) -> None:
    generator, (low, high) = np.random.default_rng(seed), arithmetic.activation_range
    shape = data.draw(st.sampled_from([(3, 1), (2, 3, 5), (4, 64), (2, 4096), (7,)]))
    x = codes(seed, shape, (low, high))
    scales = (float(generator.uniform(0.001, 1)), 2.0 ** -int(generator.integers(0, 21)))
    zero, (y_min, y_max) = int(generator.integers(low, high + 1)), sorted(generator.integers(low, high + 1, 2).tolist())
    parameters = emulated.make_softmax(*scales, zero, y_min, y_max, arithmetic)
    mask = generator.integers(0, 2, shape[-1:]) if data.draw(st.booleans()) else None
    expected, clipped = softmax_with_clips(x, parameters, arithmetic, mask)
    given_mask = None if mask is None else torch.from_numpy(mask)
    y, inside = softmax(torch.from_numpy(x), parameters, arithmetic, given_mask)
    assert_array_equal(y.numpy() + zero, expected)
    if (y_min, y_max) == (low, high):
        assert_array_equal(~inside.numpy(), clipped)


@many
@given(st.data(), arithmetics(), seeds)
def test_normalization_is_the_emulators(data: st.DataObject, arithmetic: Arithmetic, seed: int) -> None:
    generator, (low, high) = np.random.default_rng(seed), arithmetic.activation_range
    shape = data.draw(st.sampled_from([(3, 1), (2, 3, 5), (4, 64), (2, 4096), (7,)]))
    x, zero = codes(seed, shape, (low, high)), int(generator.integers(low, high + 1))
    gamma, beta = generator.normal(0, 2, shape[-1]), generator.normal(0, 1, shape[-1])
    scales = float(generator.uniform(0.001, 1)), zero, float(generator.uniform(0.001, 0.1)), zero, low, high
    epsilon = data.draw(st.sampled_from([0.0, 1e-5, 0.1]))
    parameters = emulated.make_normalization(shape[-1], *scales, arithmetic, gamma, beta, epsilon)
    for name, norm in NORMS.items():
        expected = getattr(emulated, name)(x, parameters, arithmetic)
        y, _ = norm(torch.from_numpy(x.astype(np.float32) - zero), parameters, arithmetic)
        assert_array_equal(y.numpy() + zero, expected)


def test_row_multipliers_of_every_sum() -> None:
    generator = np.random.default_rng(3)
    one = (1 << 28) - 32
    near = [value + step for value in (one, *(1 << bits for bits in range(29, 40))) for step in (-1, 0, 1)]
    total = np.array([0, 4096 * one, *[v for v in near if v >= one], *generator.integers(one, 4096 * one, 2000)])
    for bits in (1, 16, 20, 24, 31):
        arithmetic = Arithmetic(multiplier_bits=bits)
        for scale in (1.0, 1 / 255, 1 / 256, 2**-20, 0.3):
            parameters = emulated.make_softmax(0.1, scale, 0, -128, 127, arithmetic)
            multiplier, shift = row_multiplier(torch.from_numpy(total), parameters, arithmetic)
            width = min(max(bits, 16), 24)
            assert 1 << (width - 1) <= int(multiplier[1:].min()) and int(multiplier.max()) < 1 << width
            assert int(shift[1:].min()) >= 17 and int(shift.max()) <= 58
            for found, expected in zip(
                (multiplier, shift), emulated_multiplier(total, parameters, arithmetic), strict=True
            ):
                assert_array_equal(found.numpy(), expected)


def test_gradients_are_those_of_the_float_functions() -> None:
    x = torch.arange(-4, 4.0).reshape(2, 4).requires_grad_()
    arithmetic, mask = Arithmetic(), torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0]])
    parameters = emulated.make_softmax(0.5, 1 / 256, -128, -128, 127, arithmetic)
    values, inside = softmax(x, parameters, arithmetic, mask)
    y = straight_through(real_softmax(0.5 * x, mask) * 256, values, inside) / 256
    assert y[1].tolist() == [0, 0, 0, 0] and y[0, 2] == 0
    y[0, 1].backward()
    free = x.detach()[0, [0, 1, 3]].requires_grad_()
    (0.5 * free).softmax(-1)[1].backward()
    assert x.grad is not None and free.grad is not None
    torch.testing.assert_close(x.grad[0, [0, 1, 3]], free.grad)
    assert x.grad[1].tolist() == [0, 0, 0, 0] and x.grad[0, 2] == 0

    gamma = torch.tensor([1.0, -2, 0.5, 3], requires_grad=True)
    made = emulated.make_normalization(4, 0.5, 0, 0.05, 0, -128, 127, arithmetic, gamma.detach().numpy())
    values, inside = layer_norm(x, made, arithmetic)
    real = F.layer_norm(0.5 * x, (4,), gamma)
    y = straight_through(real / 0.05, values, inside) * 0.05
    assert float((y - real).detach().abs().max()) <= 0.6 * 0.05
    y.sum().backward()
    assert gamma.grad is not None and bool(gamma.grad.abs().min() > 0)


def test_errors() -> None:
    arithmetic = Arithmetic()
    parameters = emulated.make_softmax(0.1, 1 / 256, -128, -128, 127, arithmetic)
    with pytest.raises(ValueError, match=r"x must have rows of 1 to 4096 codes, not 4097 \(shape \(2, 4097\)\)"):
        softmax(torch.zeros(2, 4097), parameters, arithmetic)
    message = r"mask must have a shape that broadcasts to that of x, \(2, 4\), not \(3, 4\)"
    with pytest.raises(ValueError, match=message):
        softmax(torch.zeros(2, 4), parameters, arithmetic, torch.ones(3, 4))
    with pytest.raises(ValueError, match=message):
        real_softmax(torch.zeros(2, 4), torch.ones(3, 4))
    made: Any = emulated.make_normalization(8, 0.1, 0, 0.1, 0, -128, 127, arithmetic)
    for norm in NORMS.values():
        with pytest.raises(ValueError, match="x must have rows of 8 codes, one for each element of gamma, not 4"):
            norm(torch.zeros(2, 4), made, arithmetic)
