"""Channels one below, at and one past the bounds that decide between the exact routes, side by side in one layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emulator import Arithmetic
from emulator.arithmetic import OVERFLOWS
from qat.integers import accumulate as routes
from qat.integers.accumulate import accumulate
from qat.integers.geometry import Geometry
from qat.integers.saturating_walk import saturated_walk
from qat.integers.tensor import QuantizedTensor
from tests import oracle

OFFSETS = (-1, 0, 1)
TAPS = 6 * 9


def layer(limits: tuple[int, int], largest: int, bias_range: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Weights (6, taps) and biases: three channels' sums reach −1, 0 and 1 past the upper limit, three the lower.

    largest : of the operand, without its zero point. All terms but the last push outwards, so that one past the limit
    overflows there and then comes back.
    """
    weight, bias = np.zeros((6, TAPS), int), np.zeros(6, int)
    size = min(127, max(1, min(limits[1], bias_range[1]) // (2 * largest)))
    pushing = min(TAPS - 1, max(1, min(limits[1], bias_range[1]) // (largest * size)))
    for channel, offset in enumerate((*OFFSETS, *OFFSETS)):
        sign, limit = (1, limits[1]) if channel < 3 else (-1, limits[0])
        weight[channel, :pushing] = sign * size
        weight[channel, -1] = -sign
        bias[channel] = limit + sign * offset - sign * largest * size * pushing
    assert bias.min() >= bias_range[0] and bias.max() <= bias_range[1]
    return weight, bias


def operand(codes: np.ndarray, zero_point: int) -> QuantizedTensor:
    """Codes of what a ReLU makes: none below the zero point."""
    centered = torch.from_numpy(codes).float() - zero_point
    return QuantizedTensor(
        centered=centered, scale=torch.tensor(1.0), zero_point=zero_point, y_min=zero_point, y_max=127
    )


KINDS = {"product": (2, TAPS), "convolution": (2, 6, 3, 3), "grouped": (2, 36, 3, 3)}
# Sums of fewer than 26 bits do not reach 2^24.
BOUNDS = [*(("accumulator", bits) for bits in (12, 15, 16, 17, 24, 25, 26, 31, 32)), ("float32", 26), ("float32", 32)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zero_point", [-128, 0])
@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize(("bound", "bits"), BOUNDS)
def test_channels_around_the_bound(
    bound: str, bits: int, overflow: str, zero_point: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow)
    limits = arithmetic.accumulator_range if bound == "accumulator" else (-(1 << 24), 1 << 24)
    rows, bias = layer(limits, 127 - zero_point, arithmetic.bias_range)
    # The first sample attains the bound; the second one stays below it.
    codes = np.full((2, TAPS), 127, np.int8)
    codes[1, ::2] = zero_point
    taps, samples, biases = rows.tolist(), codes.tolist(), bias.tolist()
    expected = [
        [oracle.dot(sample, row, b, zero_point, bits, overflow) for row, b in zip(taps, biases, strict=True)]
        for sample in samples
    ]
    # No sum leaves 62 bits.
    plain = [
        [oracle.dot(sample, row, b, zero_point, 62, overflow)[0] for row, b in zip(taps, biases, strict=True)]
        for sample in samples
    ]
    past = [offset > 0 for offset in (*OFFSETS, *OFFSETS)] if bound == "accumulator" else [False] * 6
    assert [flag for _, flag in expected[0]] == past
    assert not any(flag for _, flag in expected[1])

    walked: list[int] = []

    def spy(x, weight, *rest):
        walked.append(len(weight))
        return walk(x, weight, *rest)

    def compiled_spy(x, weight, bias, geometry, arithmetic, risky, ideal):
        walked.append(int(risky.sum()))
        return saturated_walk(x, weight, bias, geometry, arithmetic, risky, ideal)

    walk = routes.walk
    monkeypatch.setattr(routes, "walk", spy)
    monkeypatch.setattr(routes, "saturated_walk", compiled_spy)
    shape, geometry = KINDS[kind], None if kind == "product" else Geometry(groups=6 if kind == "grouped" else 1)
    if len(shape) == 4:  # the walk is over (row, column, channel)
        codes = codes.reshape(2, 3, 3, 6).transpose(0, 3, 1, 2)
        rows = rows.reshape(6, 3, 3, 6).transpose(0, 3, 1, 2)
        codes = np.tile(codes, (1, shape[1] // 6, 1, 1))
    weight = torch.from_numpy(np.ascontiguousarray(rows)).float()
    sums, ideal, largest = accumulate(
        operand(codes, zero_point), weight, torch.from_numpy(bias).double(), geometry, arithmetic
    )
    assert ideal.flatten(1).tolist() == plain
    assert sums.flatten(1).tolist() == [[acc for acc, _ in sample] for sample in expected]
    assert largest >= max(abs(acc) for sample in expected for acc, _ in sample)
    # Only the channels past the bound are walked, of groups, too; what wraps never.
    if overflow == "wrap" or not any(past):
        assert walked == []
    else:
        assert walked == [2]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("groups", [1, 2])
def test_float32_is_taken_up_to_its_bound(groups: int, offset: int) -> None:
    arithmetic = Arithmetic()
    rows, bias = layer((-(1 << 24), 1 << 24), 255, arithmetic.bias_range)
    # One channel alone decides the type of all.
    channel = 1 + offset
    rows, bias = np.stack([rows[channel], np.zeros(TAPS, int)]), np.array([bias[channel], 0])
    x = operand(np.full((1, 6 * groups, 3, 3), 127, np.int8), -128)
    weight = torch.from_numpy(rows.reshape(2, 6, 3, 3)).float()
    sums, _, largest = accumulate(x, weight, torch.from_numpy(bias).double(), Geometry(groups=groups), arithmetic)
    assert largest == (1 << 24) + offset
    assert sums.dtype == (torch.float32 if offset <= 0 else torch.float64)
    assert sums.flatten().tolist() == [sum(255 * int(w) for w in rows[0]) + int(bias[0]), 0]
