"""Requantization: one exact product, one rounding (contract, section 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arithmetic import Arithmetic
from ...checks import check_arithmetic, check_broadcast, check_integers
from .channel_requantizer import ChannelRequantizer, Integers, Requantization, check_requantization
from .rounding import round_shift


def requantize(
    acc: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: ArrayLike,
    y_min: ArrayLike,
    y_max: ArrayLike,
    arithmetic: Arithmetic,
) -> NDArray[np.int8]:
    """``clamp(zero_point + round(acc · multiplier / 2^shift), y_min, y_max)`` as int8 codes.

    acc : integers of max(accumulator_bits, 24) signed bits, any shape
    multiplier : 0 … 2^multiplier_bits − 1; shift : 0 … 62
    zero_point, y_min ≤ y_max : codes of activation_bits

    All arguments broadcast; a per-channel array goes along the last axis. Raises ``TypeError`` for floats and
    ``ValueError`` for values out of range, naming the argument.
    """
    operand, parameters = _check(acc, multiplier, shift, zero_point, y_min, y_max, arithmetic)
    return requantize_checked(operand, parameters, arithmetic, parameters.pays_compiled(operand.shape))


def requantize_checked(
    acc: Integers, parameters: Requantization, arithmetic: Arithmetic, compiled: bool
) -> NDArray[np.int8]:
    """`requantize` without checks; `compiled` by a `ChannelRequantizer`."""
    if not compiled:
        return _unchecked(acc, parameters, arithmetic)[0]
    sums = np.ascontiguousarray(acc).reshape(-1, acc.shape[-1])
    codes = np.empty(sums.shape, np.int8)
    requantizer = ChannelRequantizer(parameters, sums.shape[1], arithmetic)
    requantizer(sums, np.zeros(sums.shape[1], np.int64), codes)
    return codes.reshape(acc.shape)


def requantize_with_clips(
    acc: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: ArrayLike,
    y_min: ArrayLike,
    y_max: ArrayLike,
    arithmetic: Arithmetic,
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """`requantize`, and where it clipped: rounded value + zero point outside the codes of activation_bits."""
    operand, parameters = _check(acc, multiplier, shift, zero_point, y_min, y_max, arithmetic)
    return _unchecked(operand, parameters, arithmetic)


def _check(
    acc: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: ArrayLike,
    y_min: ArrayLike,
    y_max: ArrayLike,
    arithmetic: Arithmetic,
) -> tuple[Integers, Requantization]:
    check_arithmetic(arithmetic)
    half = 1 << (arithmetic.operand_bits - 1)
    operand = check_integers("acc", acc, -half, half - 1)
    parameters = check_requantization(multiplier, shift, zero_point, y_min, y_max, arithmetic)
    check_broadcast(operand.shape, **vars(parameters))
    return operand, parameters


def _unchecked(
    acc: Integers, parameters: Requantization, arithmetic: Arithmetic
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    clamp = parameters.zero_point, parameters.y_min, parameters.y_max
    return requantize_unchecked(acc, parameters.multiplier, parameters.shift, *clamp, arithmetic)


def requantize_unchecked(
    acc: NDArray[np.int64],
    multiplier: NDArray[np.int64],
    shift: NDArray[np.int64],
    zero_point: Any,
    y_min: Any,
    y_max: Any,
    arithmetic: Arithmetic,
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """(codes, clipped) for every bit pattern that the hardware can hold, without checks.

    As `requantize`, for operands of max(accumulator_bits, 24) bits, multipliers of multiplier_bits bits, and shifts of
    six bits (0 … 63). The clamp is ``min(max(v, y_min), y_max)``, so y_max wins where y_min > y_max.
    """
    value = round_shift(acc * multiplier, shift, arithmetic.rounding, arithmetic.multiplier_bits) + zero_point
    return clamp(value, y_min, y_max, arithmetic)


def clamp(
    value: NDArray[np.int64], y_min: Any, y_max: Any, arithmetic: Arithmetic
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """int8 codes ``min(max(value, y_min), y_max)``, and where `value` lay outside the codes of activation_bits."""
    low, high = arithmetic.activation_range
    codes = np.minimum(np.maximum(value, y_min), y_max).astype(np.int8)
    return codes, (value < low) | (value > high)
