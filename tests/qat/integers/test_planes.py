"""The compiled passes: the contract's vectors, the oracle near ties, gradients and moments against plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from emulator import Arithmetic
from emulator.arithmetic import ROUNDINGS
from qat.integers.planes import channel_moments, compiled, requantize_planes
from qat.integers.straight_through import straight_through
from tests import oracle
from tests.emulator.strategies import many, vectors

NO_GRADIENT = torch.ones(1, 1)


@pytest.mark.parametrize("route", ["float64", "int64"])
@pytest.mark.parametrize("name", ["requantize", "requantize_double", "requantize_near_ties"])
def test_vectors(name: str, route: str) -> None:
    taken, cases = 0, vectors(name)
    for case in cases:
        arithmetic = Arithmetic(multiplier_bits=case["multiplier_bits"], rounding=case["rounding"])
        factors = torch.tensor([[case["multiplier"]]]), torch.tensor([[case["shift"]]])
        bound = abs(case["acc"]) if route == "float64" else 1 << 53
        taken += bound * case["multiplier"] < 1 << 53
        zero_point = case["zero_point"]
        low, high = case["y_min"] - zero_point, case["y_max"] - zero_point
        acc = torch.full((1, 1, 1), float(case["acc"]), dtype=torch.float64)
        found = requantize_planes(acc, factors, NO_GRADIENT, None, low, high, arithmetic, bound)
        assert int(found) + zero_point == case["y"], case
    assert taken > len(cases) / 4 if route == "float64" else taken < len(cases) / 5


@many
@given(st.data(), st.sampled_from(ROUNDINGS), st.integers(1, 20))
def test_rounding_near_ties(data: st.DataObject, rounding: str, bits: int) -> None:
    shift = data.draw(st.integers(1, 40))
    half, step = 1 << (shift - 1), (1 << (bits - 1)) * (shift > bits)
    acc = [
        (2 * data.draw(st.integers(-120, 120)) + 1) * half
        + data.draw(st.sampled_from([-1, 0, 1]))
        + data.draw(st.sampled_from([-step, 0, step]))
        for _ in range(9)
    ]
    expected = [oracle.divide(value, shift, rounding, bits) for value in acc]
    factors, arithmetic = (
        (torch.tensor([[1]]), torch.tensor([[shift]])),
        Arithmetic(multiplier_bits=bits, rounding=rounding),
    )
    for bound in (max(map(abs, acc)), 1 << 53):
        found = requantize_planes(
            torch.tensor([[acc]]).double(), factors, NO_GRADIENT, None, -1000, 1000, arithmetic, bound
        )
        assert found.flatten().tolist() == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_thresholds_of_shifts_that_floats_hardly_reach(rounding: str) -> None:
    """Shifts up to 62 of every parity, and values one unit of float64 from the thresholds of ``double``."""
    for bits in (1, 24, 31):
        arithmetic = Arithmetic(multiplier_bits=bits, rounding=rounding)
        for shift in range(30, 63):
            half = 1 << (shift - 1)
            step = 1 << (bits - 1) if shift > bits else 0
            near = {half - step, half, half + step, half * 2, half * 3 - step, half * 3 + step}
            unit = max(1, half >> 52)
            acc = [sign * (value + u * unit) for value in near for u in (-1, 0, 1) for sign in (-1, 1)]
            acc = [value for value in acc if value == int(np.float64(value)) and abs(value) < 1 << 62]
            expected = [oracle.divide(value, shift, rounding, bits) for value in acc]
            factors = torch.tensor([[1]]), torch.tensor([[shift]])
            values = torch.tensor([[acc]], dtype=torch.float64)
            for bound in (1, 1 << 53):  # floats hold every one of these values, whatever their size
                found = requantize_planes(values, factors, NO_GRADIENT, None, -9, 9, arithmetic, bound)
                assert found.flatten().tolist() == expected, (shift, bits, bound)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_where_the_processor_has_no_subnormal_numbers(rounding: str) -> None:
    values = torch.tensor([-6.0, -5, -4, -3, 0, 3, 4, 5, 6])
    expected = [oracle.divide(int(value), 2, rounding, 24) for value in values]
    factors = torch.tensor([[1]]), torch.tensor([[2]])
    assert torch.set_flush_denormal(True)
    try:
        found = requantize_planes(
            values.view(1, 1, -1), factors, NO_GRADIENT, None, -9, 9, Arithmetic(rounding=rounding), 6
        )
    finally:
        torch.set_flush_denormal(False)
    assert found.flatten().tolist() == expected


@pytest.mark.usefixtures("shares")
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("bound", [9000, 1 << 53], ids=["float64", "int64"])
def test_gradients_are_those_of_the_plain_operations(
    constant: bool, layout: torch.memory_format, kind: torch.dtype, bound: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    acc = torch.randint(-9000, 9000, (13, 5, 50, 51), generator=generator).to(kind).contiguous(memory_format=layout)
    ratio = torch.rand(5, 1, 1, generator=generator) * 0.02 + 0.005
    inputs = [tensor.requires_grad_() for tensor in (acc, ratio, torch.tensor(75.0))]
    factors = torch.tensor([200, 100, 50, 350, 10]).view(5, 1, 1), torch.full((5, 1, 1), 14)
    exact = factors[0].double() / 2**14
    outer = torch.randn(acc.shape, generator=generator)
    top, arithmetic = inputs[2] if constant else None, Arithmetic(rounding="half_up")
    found = requantize_planes(acc, factors, ratio, top, -20, 75, arithmetic, bound)
    gradients = torch.autograd.grad(found, inputs, outer, allow_unused=not constant)

    rounded = (acc.detach().double() * exact + 0.5).floor()
    values = rounded.clamp(-20, 75).float()
    assert (values == 75).any() and (values == -20).any()
    surrogate, inside = acc.float() * ratio, values == rounded
    if constant:
        above = rounded > 75
        surrogate, inside = torch.where(above, inputs[2], surrogate), inside | above
    expected = straight_through(surrogate, values, inside)
    assert torch.equal(found, expected)
    plain = torch.autograd.grad(expected, inputs, outer, allow_unused=not constant)
    assert torch.equal(gradients[0], plain[0])
    for one, other in zip(gradients[1:], plain[1:], strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-1)


@pytest.mark.usefixtures("shares")
@pytest.mark.parametrize("shape", [(13, 5, 50, 51), (3, 4, 7), (6, 3)])
def test_moments(shape: tuple[int, ...]) -> None:
    x = torch.randint(-9000, 9000, shape, generator=torch.Generator().manual_seed(1)).float() + 5000
    mean, variance = channel_moments(x)
    channels = x.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean, channels.mean(1))
    torch.testing.assert_close(variance, channels.var(1))


def test_no_variance_is_negative() -> None:
    for count, value in ((49, 16_777_213.0), (1001, 3_333_333.0), (12_345, 16_777_213.0)):
        # Equal values, whose squares' sum rounds.
        mean, variance = channel_moments(torch.full((1, 1, count), value))
        assert mean.item() == pytest.approx(value) and 0 <= variance.item() < 1e-13 * value**2


def test_only_planes_of_floats_are_compiled() -> None:
    x = torch.ones(2, 3, 4)
    factor: Tensor = torch.ones(3, 1)
    assert compiled(x, factor) and compiled(x) and compiled(x.double(), factor)
    assert not any(compiled(*case) for case in [(x.long(), factor), (x, torch.ones(4)), (x[0], None), (x[:0], None)])
