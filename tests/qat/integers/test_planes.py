"""The compiled passes: the contract's vectors, the oracle near ties, gradients and moments against plain torch."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from emulator.arithmetic import ROUNDINGS
from qat.integers.kernels import CORRECTIONS
from qat.integers.planes import channel_moments, compiled, requantize_planes
from qat.integers.requantize import exact_ratio
from qat.integers.straight_through import straight_through
from tests import oracle
from tests.emulator.strategies import many, vectors

NO_GRADIENT = torch.ones(1, 1)


def test_vectors() -> None:
    taken = 0
    for case in vectors("requantize"):
        multiplier, shift = torch.tensor([[case["multiplier"]]]), torch.tensor([[case["shift"]]])
        exact = exact_ratio(multiplier, shift, abs(case["acc"]))
        if exact is None or abs(case["acc"]) > 1 << 24:
            continue
        taken += 1
        zero_point = case["zero_point"]
        low, high = case["y_min"] - zero_point, case["y_max"] - zero_point
        acc = torch.full((1, 1, 1), float(case["acc"]))
        found = requantize_planes(acc, exact, NO_GRADIENT, None, low, high, case["rounding"])
        assert int(found) + zero_point == case["y"], case
    assert taken > 1000


@many
@given(st.data(), st.sampled_from(ROUNDINGS))
def test_rounding_near_ties(data: st.DataObject, rounding: str) -> None:
    assert set(CORRECTIONS) == set(ROUNDINGS)
    shift = data.draw(st.integers(1, 16))
    half = 1 << (shift - 1)
    acc = [
        (2 * data.draw(st.integers(-120, 120)) + 1) * half + data.draw(st.sampled_from([-1, 0, 1])) for _ in range(9)
    ]
    expected = [oracle.round_fraction(Fraction(value, 1 << shift), rounding) for value in acc]
    ratio = torch.tensor([[2.0**-shift]]).double()
    found = requantize_planes(torch.tensor([[acc]]).float(), ratio, NO_GRADIENT, None, -1000, 1000, rounding)
    assert found.flatten().tolist() == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_where_the_processor_has_no_subnormal_numbers(rounding: str) -> None:
    values = torch.tensor([-6.0, -5, -4, -3, 0, 3, 4, 5, 6])
    expected = [oracle.round_fraction(Fraction(int(value), 4), rounding) for value in values]
    assert torch.set_flush_denormal(True)
    try:
        found = requantize_planes(
            values.view(1, 1, -1), torch.tensor([[0.25]]).double(), NO_GRADIENT, None, -9, 9, rounding
        )
    finally:
        torch.set_flush_denormal(False)
    assert found.flatten().tolist() == expected


@pytest.mark.usefixtures("shares")
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_gradients_are_those_of_the_plain_operations(
    constant: bool, layout: torch.memory_format, kind: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    acc = torch.randint(-9000, 9000, (13, 5, 50, 51), generator=generator).to(kind).contiguous(memory_format=layout)
    ratio = torch.rand(5, 1, 1, generator=generator) * 0.02 + 0.005
    inputs = [tensor.requires_grad_() for tensor in (acc, ratio, torch.tensor(75.0))]
    exact = torch.tensor([200.0, 100, 50, 350, 10]).double().view(5, 1, 1) / 2**14
    outer = torch.randn(acc.shape, generator=generator)
    found = requantize_planes(acc, exact, ratio, inputs[2] if constant else None, -20, 75, "half_up")
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
