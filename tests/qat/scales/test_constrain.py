"""The projection against a search in plain integers, and its gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emulator import Arithmetic
from qat.scales.constrain import FRACTION_BITS, constrained_codes, worst_sums
from tests.emulator.strategies import few, many, seeds

ONE = 1 << FRACTION_BITS


def test_nan_is_refused() -> None:
    weight, scale, bias = torch.tensor([[1.0, math.nan]]), torch.ones(1), torch.zeros(1)
    with pytest.raises(ValueError, match="weight must not contain NaN"):
        constrained_codes(weight, scale, bias, 127, (-128, 127), Arithmetic(), True)


def worst(codes: list[int], bias: int, low: int, high: int) -> tuple[int, int]:
    """Extremes of the partial sums of one channel, step by step."""
    least = most = bias
    smallest, largest = bias, bias
    for code in codes:
        least += min(low * code, high * code)
        most += max(low * code, high * code)
        smallest, largest = min(smallest, least), max(largest, most)
    return smallest, largest


def searched(weights: list[float], bias: int, limit: int, low: int, high: int, bits: int, center: bool) -> list[int]:
    """The codes of one channel at the first distances, counted up from 0, that hold the bound."""
    numbers = [math.trunc(max(-limit, min(limit, weight)) * ONE) for weight in weights]
    if center:
        mean = sum(numbers) // len(numbers)
        numbers = [max(-limit * ONE, min(limit * ONE, number - mean)) for number in numbers]

    def codes(up: int, down: int) -> list[int]:
        return [
            (number - up) // ONE if number > up else -((-number - down) // ONE) if -number > down else 0
            for number in numbers
        ]

    def holds(up: int, down: int) -> bool:
        smallest, largest = worst(codes(up, down), bias, low, high)
        return -(1 << (bits - 1)) <= smallest and largest < 1 << (bits - 1)

    both = next(distance for distance in range(limit * ONE + 1) if holds(distance, distance))
    up = next(distance for distance in range(both + 1) if holds(distance, both))
    return codes(up, next(distance for distance in range(both + 1) if holds(up, distance)))


@few
@given(
    seeds, st.integers(8, 11), st.integers(1, 6), st.sampled_from([(0, 255), (-128, 127), (-3, 90), (-60, 0)]),
    st.booleans(),
)  # fmt: skip
def test_the_smallest_distances_that_hold(
    seed: int, bits: int, steps: int, extremes: tuple[int, int], center: bool
) -> None:
    rng = np.random.default_rng(seed)
    limit, channels = int(rng.choice([1, 3])), 2
    weight = rng.normal(0, 2, (channels, steps)).astype(np.float32)
    bias = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), channels)
    codes = constrained_codes(
        torch.from_numpy(weight), torch.ones(channels), torch.from_numpy(bias).double(), limit, extremes,
        Arithmetic(accumulator_bits=bits), center,
    )  # fmt: skip
    expected = [searched(weight[c].tolist(), int(bias[c]), limit, *extremes, bits, center) for c in range(channels)]
    assert codes.tolist() == expected


@many
@given(seeds, st.integers(8, 48), st.integers(2, 8), st.integers(2, 8), st.floats(0.01, 30), st.booleans())
def test_the_bound_holds_exactly(
    seed: int, bits: int, weight_bits: int, activation_bits: int, size: float, center: bool
) -> None:
    rng = np.random.default_rng(seed)
    arithmetic = Arithmetic(
        accumulator_bits=bits, weight_bits=weight_bits, activation_bits=activation_bits, multiplier_bits=8
    )
    zero = int(rng.integers(arithmetic.activation_range[0], arithmetic.activation_range[1] + 1))
    low, high = (end - zero for end in arithmetic.activation_range)
    weight = torch.from_numpy((rng.normal(rng.normal(), size, (6, 40)) * 10 ** rng.uniform(-1, 1)).astype(np.float32))
    scale = torch.from_numpy(rng.uniform(0.01, 1, 6).astype(np.float32))
    bias = torch.from_numpy(rng.integers(arithmetic.bias_range[0], arithmetic.bias_range[1] + 1, 6))
    bias[:3] //= 1 << 7  # some channels have room
    limit = arithmetic.weight_range[1]
    codes = constrained_codes(weight, scale, bias.double(), limit, (low, high), arithmetic, center)
    assert codes.dtype == torch.float32 and codes.shape == weight.shape and codes.abs().max() <= limit
    least, most = arithmetic.accumulator_range
    extremes = [
        worst([int(code) for code in row], int(b), low, high) for row, b in zip(codes.tolist(), bias, strict=True)
    ]
    assert all(least <= smallest and largest <= most for smallest, largest in extremes)
    found = worst_sums(codes.double(), bias.double(), (low, high))
    assert [*zip(*(ends.tolist() for ends in found), strict=True)] == extremes


@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("activation_bits", [4, 8])
def test_without_a_bias_it_is_the_bound_of_a2q_plus(bits: int, activation_bits: int) -> None:
    rng = np.random.default_rng(bits)
    arithmetic = Arithmetic(accumulator_bits=bits, activation_bits=activation_bits)
    weight = torch.from_numpy(rng.normal(0, 40, (8, 500)).astype(np.float32))
    unsigned = (0, (1 << activation_bits) - 1)
    codes = constrained_codes(weight, torch.ones(8), torch.zeros(8).double(), 127, unsigned, arithmetic, True)
    radius = ((1 << bits) - 2) / unsigned[1]
    norms = codes.abs().sum(1)
    assert norms.max() <= radius and norms.min() > 0.9 * radius - 2


def test_where_nothing_overflows_weights_are_centered_and_rounded_to_zero() -> None:
    weight = torch.tensor([[4.75, -0.5, 1.0, 1.75], [-2.0, 2.0, 0.0, 0.0]])
    codes = constrained_codes(weight, torch.ones(2), torch.zeros(2).double(), 127, (-128, 127), Arithmetic(), True)
    assert codes.tolist() == [[3, -2, 0, 0], [-2, 2, 0, 0]]
    codes = constrained_codes(weight, torch.ones(2), torch.zeros(2).double(), 127, (-128, 127), Arithmetic(), False)
    assert codes.tolist() == [[4, 0, 1, 1], [-2, 2, 0, 0]]


def test_each_sign_uses_its_own_share_of_the_bound() -> None:
    """With codes from 0 up, positive weights bound the largest sum and negative ones the smallest."""
    weight = torch.tensor([[100.0, 1.0, -1.0, -1.0, -1.0]])
    codes = constrained_codes(
        weight, torch.ones(1), torch.zeros(1).double(), 127, (0, 255), Arithmetic(accumulator_bits=12), False
    )
    assert codes.tolist() == [[8, 0, -1, -1, -1]]


def test_gradients_pass_through_to_the_centered_weight_and_to_a_scale_that_binds_nothing() -> None:
    weight = torch.tensor([[200.0, -200.0, 0.0, 0.0], [2.5, -2.5, 1.0, -1.0]], requires_grad=True)
    scale = torch.tensor([1.0, 0.5], requires_grad=True)
    arithmetic = Arithmetic(accumulator_bits=12)
    codes = constrained_codes(weight, scale, torch.zeros(2).double(), 127, (0, 255), arithmetic, True)
    assert codes.tolist() == [[8, -8, 0, 0], [5, -5, 2, -2]]
    outer = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    codes.backward(outer)
    assert weight.grad is not None and scale.grad is not None
    # The first two weights lie beyond the largest code: their gradient is cut, then each channel's is centered.
    cut = torch.tensor([[0.0, 0.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    centered = cut - cut.mean(1, keepdim=True)
    torch.testing.assert_close(weight.grad, centered / scale.detach().unsqueeze(1))
    expected = -(outer[1] * weight.detach()[1]).sum() / 0.5**2
    assert scale.grad[0] == 0 and scale.grad[1].item() == pytest.approx(expected.item())


def test_threads_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    weight = torch.from_numpy(rng.normal(0, 1, (64, 64, 3, 3)).astype(np.float32))
    arguments = (
        torch.full((64,), 0.01),
        torch.zeros(64).double(),
        127,
        (0, 255),
        Arithmetic(accumulator_bits=16),
        True,
    )
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(constrained_codes(weight, *arguments))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found) and found[0].any()
