"""A convolution's codes in one pass over blocks, against sums and roundings in plain integers."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from emulator import Arithmetic
from emulator.operators.convolution_codes import convolution_codes
from emulator.operators.convolution_operands import check_convolution
from emulator.operators.convolve import convolution_sums
from tests import oracle
from tests.emulator.fast import use_always, use_never
from tests.emulator.strategies import arithmetics, codes, edge_integers, few, seeds


def expected_codes(
    x: NDArray[np.int8], weight: NDArray[np.int8], bias: list[int], arithmetic: Arithmetic, zero: int, geometry: Any,
    requantization: tuple[list[int], list[int], int, int, int],
) -> list[Any]:  # fmt: skip
    """(B, OH, OW, O) in plain integers."""
    multiplier, shift, zero_point, y_min, y_max = requantization
    sums = [
        oracle.convolve(image, weight.tolist(), bias, zero, arithmetic.accumulator_bits, arithmetic.overflow, *geometry)
        for image in x.tolist()
    ]
    rest = zero_point, y_min, y_max, arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits

    def pixel_codes(pixel: list[tuple[int, bool]]) -> list[int]:
        channels = zip(pixel, multiplier, shift, strict=True)
        return [oracle.requantize(acc, factor, amount, *rest)[0] for (acc, _), factor, amount in channels]

    return [[[pixel_codes(pixel) for pixel in line] for line in image] for image in sums]


@few
@given(st.data(), seeds, st.sampled_from(["plain", "depthwise", "groups"]), st.booleans())
def test_oracle(data: st.DataObject, seed: int, kind: str, narrow: bool) -> None:
    draw = data.draw
    arithmetic = draw(arithmetics(narrow))
    groups = 1 if kind == "plain" else draw(st.integers(2, 4))
    depth = 1 if kind == "depthwise" else draw(st.integers(1, 5))
    channels = groups * draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    strides, dilations = draw(st.tuples(*[st.integers(1, 2)] * 2)), draw(st.tuples(*[st.integers(1, 2)] * 2))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    x = codes(seed, (2, 5, 6, groups * depth), arithmetic.activation_range)
    weight = codes(seed + 1, (channels, *kernel, depth), arithmetic.weight_range)
    many_of = {"min_size": channels, "max_size": channels}
    bias = draw(st.lists(edge_integers(*arithmetic.bias_range), **many_of))
    zero, zero_point = draw(st.tuples(*[edge_integers(*arithmetic.activation_range)] * 2))
    w_zeros = (
        draw(st.lists(edge_integers(*arithmetic.weight_range), **many_of)) if draw(st.booleans()) else [0] * channels
    )
    multiplier = draw(st.lists(edge_integers(0, 2**arithmetic.multiplier_bits - 1), **many_of))
    shift = draw(st.lists(st.one_of(st.integers(0, 62), st.integers(0, 20)), **many_of))
    y_min, y_max = sorted(draw(st.tuples(*[edge_integers(*arithmetic.activation_range)] * 2)))
    geometry = (strides, padding, dilations, groups, w_zeros)
    requantization = multiplier, shift, zero_point, y_min, y_max
    expected = expected_codes(x, weight, bias, arithmetic, zero, geometry, requantization)
    operands = check_convolution(x, weight, bias, arithmetic, zero, *geometry)
    for use in (use_always, use_never):
        with pytest.MonkeyPatch.context() as monkeypatch:
            use(monkeypatch)
            result = convolution_codes(operands, *requantization, arithmetic)
        assert result.dtype == np.int8 and result.tolist() == expected


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", [18, 32, 40])
@pytest.mark.parametrize("groups", [1, 40])
def test_sums_at_the_ends_of_int32_and_of_the_accumulator(
    overflow: Any, bits: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Biases at the ends of the bias's range, codes and weights extreme: sums that leave 18, 32 and no 40 bits."""
    use_always(monkeypatch)
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow, multiplier_bits=20)
    low, high = arithmetic.bias_range
    x = np.where(codes(5, (1, 4, 4, 40), (-128, 127)) < 0, -128, 127).astype(np.int8)
    weight = np.where(codes(6, (40, 2, 2, 40 // groups), (-128, 127)) < 0, -128, 127).astype(np.int8)
    bias = [low, high, low + 30000, high - 30000] * 10
    requantization = [(1 << 20) - 1] * 40, [bits + 12] * 40, 3, -128, 127
    geometry = (1, 1), (1, 0, 0, 1), (1, 1), groups, [0] * 40
    operands = check_convolution(x, weight, bias, arithmetic, -128, *geometry)
    expected = expected_codes(x, weight, bias, arithmetic, -128, geometry, requantization)
    assert convolution_codes(operands, *requantization, arithmetic).tolist() == expected
    assert convolution_sums(operands, arithmetic)[1].any() == (bits < 40)


@pytest.mark.parametrize("limit", [1, 3000, 1 << 30])
@pytest.mark.parametrize("groups", [1, 6])
def test_blocks_and_threads_give_the_same(limit: int, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = codes(7, (3, 9, 8, 6), (-128, 127)), codes(8, (6, 3, 2, 6 // groups), (-128, 127))
    arithmetic = Arithmetic(accumulator_bits=24)
    operands = check_convolution(x, weight, np.arange(6) * 100, arithmetic, 5, (2, 1), (1, 0, 2, 1), (1, 1), groups, 0)
    requantization = 7_000_000, 34 if groups == 1 else 31, -3, -100, 120
    use_never(monkeypatch)
    whole = convolution_codes(operands, *requantization, arithmetic)
    use_always(monkeypatch)
    for name in ("BLOCK_BYTES", "LEAST_BYTES"):
        monkeypatch.setattr(sys.modules["emulator.operators.convolution_codes"], name, limit)
    monkeypatch.setattr(sys.modules["emulator.operators.depthwise"], "BLOCK_SUMS", limit)
    monkeypatch.setattr(sys.modules["emulator.operators.shared.threads"], "processors", lambda: 3)
    assert_array_equal(convolution_codes(operands, *requantization, arithmetic), whole)
    assert len(np.unique(whole)) > 50


def test_only_risky_channels_leave_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """One channel of forty overflows: it alone is walked, and its codes are those of the plain integers."""
    use_always(monkeypatch)
    arithmetic = Arithmetic(accumulator_bits=16)
    x, weight = codes(9, (1, 5, 5, 8), (-128, 127)), codes(10, (40, 3, 3, 8), (-2, 2))
    weight[17] = 127
    walked: list[tuple[int, ...]] = []
    accumulate_module = sys.modules["emulator.operators.accumulate"]
    walk_into = accumulate_module.walk_into

    def spy(*arguments: Any) -> None:
        walked.append(arguments[1].shape)
        walk_into(*arguments)

    monkeypatch.setattr(accumulate_module, "walk_into", spy)
    geometry = (1, 1), (0, 0, 0, 0), (1, 1), 1, [0] * 40
    requantization = [9000] * 40, [22] * 40, 0, -128, 127
    operands = check_convolution(x, weight, [100] * 40, arithmetic, 4, *geometry)
    result = convolution_codes(operands, *requantization, arithmetic)
    assert walked == [(72, 1)]
    assert result.tolist() == expected_codes(x, weight, [100] * 40, arithmetic, 4, geometry, requantization)


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", [32, 43])
def test_depthwise_sums_up_to_the_last_that_fits_int32(
    overflow: Any, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four products of 255 · 255 from the largest bias with which 32-bit lanes hold them, and from one beyond it."""
    use_always(monkeypatch)
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow, multiplier_bits=20)
    x = np.full((1, 2, 2, 3), 127, np.int8)
    weight = np.zeros((3, 2, 2, 1), np.int8)
    weight[0], weight[1] = 127, -128
    edge = 2**31 - 1 - 4 * 65025
    for beyond in (0, 1, 70000):
        bias = [edge + beyond, -edge - beyond, 5]
        geometry = (1, 1), (0, 0, 0, 0), (1, 1), 3, [-128, 127, 0]
        operands = check_convolution(x, weight, bias, arithmetic, -128, *geometry)
        acc, overflowed = convolution_sums(operands, arithmetic)
        cells = oracle.convolve(x[0].tolist(), weight.tolist(), bias, -128, bits, overflow, *geometry)
        assert [(int(a), bool(f)) for a, f in zip(acc[0, 0, 0], overflowed[0, 0, 0], strict=True)] == cells[0][0]
        assert acc[0, 0, 0, 0] == edge + beyond + 4 * 65025 or bits == 32
