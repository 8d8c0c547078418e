"""The product of two activations: the second operand's codes take the weights' place (contract, section 9)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_codes, check_int
from .accumulate import accumulate_into

Codes = NDArray[np.int8]


def matrix_product(
    a: Codes,
    b: Codes,
    arithmetic: Arithmetic,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    a_transposed: bool = False,
    b_transposed: bool = False,
    *,
    compiled: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of each head ``acc = 0``, then ``acc = overflow_P(acc + (a[m, k] − za) · (b[k, n] − zb))`` for k = 0, …, K−1.

    a : (B, …, M, K) int8 codes of activation_bits, or (B, …, K, M) with `a_transposed`
    b : (B, …, K, N) int8 codes of activation_bits and weight_bits, or (B, …, N, K) with `b_transposed`
    a_zero_point, b_zero_point : codes of activation_bits and weight_bits
    compiled : use Numba where it is installed; the NumPy route gives the same bits

    The axes between the batch B and the matrices are heads. Where the operands' numbers of them differ, one divides the
    other, and each head of the operand that has fewer meets so many neighbouring ones of the other.

    Returns the sums (B, …, M, N) int64 and, per sum, whether at least one step left the P-bit range. Raises
    ``TypeError`` or ``ValueError`` naming the argument.
    """
    check_arithmetic(arithmetic)
    check_codes("a", a, None, *arithmetic.activation_range)
    check_codes("b", b, None, *arithmetic.weight_range)
    za = check_int("a_zero_point", a_zero_point, *arithmetic.activation_range)
    zb = check_int("b_zero_point", b_zero_point, *arithmetic.weight_range)
    left = a.swapaxes(-1, -2) if a_transposed and a.ndim > 1 else a
    right = b.swapaxes(-1, -2) if b_transposed and b.ndim > 1 else b
    shape = product_shape(left.shape[1:], right.shape[1:])
    if len(a) != len(b):
        raise ValueError(f"b must have the batch of a, {len(a)}, not {len(b)}")
    heads, (rows, columns) = shape[:-2], shape[-2:]
    acc = np.empty((len(a), *shape), np.int64)
    overflowed = np.zeros(acc.shape, np.bool_)
    bias, zero_points = np.zeros(columns, np.int64), np.full(columns, zb, np.int16)
    for sample, *head in np.ndindex(len(a), *heads) if math.prod((rows, columns)) else ():
        places = [
            (sample, *(index // (count // own) for index, count, own in zip(head, heads, each.shape[1:], strict=False)))
            for each in (left, right)
        ]
        x, w = (np.ascontiguousarray(each[place]) for each, place in zip((left, right), places, strict=True))
        at = (sample, *head)
        accumulate_into(x, w, bias, za, zero_points, arithmetic, acc[at], overflowed[at], compiled)
    return acc, overflowed


def product_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """(…, M, N) of operands (…, M, K) and (…, K, N), all without the batch; ``ValueError`` where they do not match."""
    if len(a) < 2 or len(a) != len(b):
        raise ValueError(f"a and b must have equally many axes, at least 2 behind the batch, not {a} and {b}")
    if a[-1] != b[-2]:
        raise ValueError(f"b must have {a[-1]} rows, one per column of a, not {b[-2]}")
    heads = []
    for own, other in zip(a[:-2], b[:-2], strict=True):
        most, least = max(own, other), min(own, other)
        if least < 1 or most % least:
            raise ValueError(f"the heads of a and b must divide one another, not be {a[:-2]} and {b[:-2]}")
        heads.append(most)
    return (*heads, a[-2], b[-1])
