"""What row operators have in common: a row's length, its multiplier's width, integer roots (contract, section 15)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import Arithmetic
from ...checks import check_arithmetic, check_codes

MAX_LENGTH = 4096
"""The longest row; the widths of all sums are for this many codes."""


def row_multiplier_bits(arithmetic: Arithmetic) -> int:
    """Unsigned width of a row's multiplier, 16 … 24: multiplier_bits, as far as accuracy needs and rewards them."""
    return min(max(arithmetic.multiplier_bits, 16), 24)


def check_rows(x: object, arithmetic: Arithmetic) -> NDArray[np.int8]:
    """`x` if it is an int8 array (…, N) of codes of activation_bits with 1 ≤ N ≤ 4096."""
    check_arithmetic(arithmetic)
    codes = check_codes("x", x, None, *arithmetic.activation_range)
    check_length(codes.shape)
    return codes


def check_length(shape: tuple[int, ...], length: int | None = None) -> None:
    """Raise ``ValueError`` unless `shape` is that of rows of 1 to 4096 codes, of `length` codes if it is given."""
    if not shape:
        raise ValueError("x must have at least one axis, along which its rows lie, not shape ()")
    if length is not None and shape[-1] != length:
        raise ValueError(
            f"x must have rows of {length} codes, one for each element of gamma, not {shape[-1]} (shape {shape})"
        )
    if not 1 <= shape[-1] <= MAX_LENGTH:
        raise ValueError(f"x must have rows of 1 to {MAX_LENGTH} codes, not {shape[-1]} (shape {shape})")


def bit_length(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """``int.bit_length`` of every element; values 0 … 2^63 − 1."""
    length, rest = np.zeros_like(values), values
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >> step > 0
        length = length + np.where(large, step, 0)
        rest = np.where(large, rest >> step, rest)
    return length + (rest > 0)


def floor_root(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """``math.isqrt`` of every element, digit by digit; bits : the root's width, at most 31."""
    root = np.zeros_like(values)
    for digit in reversed(range(bits)):
        trial: NDArray[Any] = root | (1 << digit)
        root = np.where(trial * trial <= values, trial, root)
    return root
