"""Average pool as TFLM does it: the mean of the raw codes, half away from zero (contract, section 11)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_clamp, check_int
from .average_pool import average_pool_sum
from .requantization.multiplier import MAX_SHIFT
from .shared.windows import Windows

EXACT_ROUNDINGS = ("half_even", "half_up", "half_away", "double")


def raw_average_pool(
    x: NDArray[np.int8],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    *,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> NDArray[np.int8]:
    """``clamp(half_away(Σ x / n), y_min, y_max)`` over every window of x (B, H, W, C) → (B, OH, OW, C) int8.

    x : raw codes, whose zero point is not subtracted; n : how many positions of the window lie on the map
    kernel, strides, dilations : (vertical, horizontal); padding : (top, left, bottom, right)

    Raises ``TypeError`` or ``ValueError`` naming the argument, also for a window that covers padding only.
    """
    total = average_pool_sum(x, kernel, strides, padding, dilations, arithmetic=arithmetic)
    _, least, most = check_clamp(0, y_min, y_max, arithmetic)
    counts = _valid_counts(Windows(x.shape[1:3], kernel, strides, padding, dilations))[:, :, None]
    magnitude = (2 * np.abs(total) + counts) // (2 * counts)
    return np.clip(np.where(total < 0, -magnitude, magnitude), least, most).astype(np.int8)


def raw_average_multipliers(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    *,
    arithmetic: Arithmetic,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(multiplier, shift), each (OH, OW): `raw_average_multiplier` of every output position's n, on a map of `size`."""
    counts = _valid_counts(Windows(size, kernel, strides, padding, dilations))
    pairs = {int(n): raw_average_multiplier(int(n), arithmetic) for n in np.unique(counts)}
    multiplier, shift = (np.array([[pairs[n][i] for n in row] for row in counts.tolist()], np.int64) for i in range(2))
    return multiplier, shift


def raw_average_multiplier(n: int, arithmetic: Arithmetic, code_bits: int | None = None) -> tuple[int, int]:
    """(multiplier, shift) with which the arithmetic's requantizer makes half_away(total / n) of every total of n codes.

    code_bits : signed width of a code, None: activation_bits; 9 for the differences of 8-bit codes from the least one

    With activation_bits for that width, the shift is the smallest with which one of these holds. With
    ε = multiplier / 2^shift − 1/n the product lies at most |total · ε| ≤ 2^(activation_bits − 1) · n · |ε| from
    total / n; a total that is no tie lies at least 1 / n (n even) or 1 / 2n (n odd) from one.

    - n even, multiplier = floor(2^shift / n) + 1: the product lies beyond total / n, seen from 0, so that ties go away
      from zero, and no other total reaches one: 2^(activation_bits − 1) · n · ε < 1 / n.
    - n odd, the nearest multiplier: there are no ties, and no total reaches one, as
      2^(activation_bits − 1) · n · |ε| < 1 / 2n.
    - n even, shift > multiplier_bits, ``double``: its magnitudes round up from above ½ − η on, η =
      2^(multiplier_bits − 1 − shift). With multiplier = floor(2^shift / n), at most the largest, products lie on this
      side of total / n: a tie less than η, 2^(activation_bits − 1) · n · |ε| < η, and all others beyond, as 1 / n > η.

    To round to the nearest is then enough, whatever the arithmetic does with ties; ``double`` is that while shift ≤
    multiplier_bits. For n = 1 it is (1, 0).

    Raises ``ValueError`` for a rounding that does not round to the nearest, and where no such multiplier has
    multiplier_bits bits.
    """
    check_arithmetic(arithmetic)
    count = check_int("n", n, 1, 1 << 31)
    if arithmetic.rounding not in EXACT_ROUNDINGS:
        raise ValueError(
            f"rounding must be one of {', '.join(EXACT_ROUNDINGS)} for an average of raw codes, "
            f"not {arithmetic.rounding!r}"
        )
    code_bits = arithmetic.activation_bits if code_bits is None else check_int("code_bits", code_bits, 2, 9)
    for shift in range(MAX_SHIFT + 1):
        multiplier = _multiplier(count, shift, code_bits, arithmetic)
        if multiplier is not None:
            return multiplier, shift
    raise ValueError(
        f"n must be smaller for multiplier_bits {arithmetic.multiplier_bits}, not {count}: "
        "no multiplier averages so many raw codes exactly; pool in two steps, or use another arithmetic"
    )


def _multiplier(n: int, shift: int, code_bits: int, arithmetic: Arithmetic) -> int | None:
    """The multiplier of `raw_average_multiplier` for this shift, None if there is none."""
    one, bits, largest = 1 << shift, arithmetic.multiplier_bits, (1 << arithmetic.multiplier_bits) - 1
    if n == 1:
        return 1 if shift == 0 else None
    if arithmetic.rounding == "double" and shift > bits:
        multiplier = min(one // n, largest)
        ties_hold = (one - multiplier * n) << (code_bits - 1) < 1 << (bits - 1)
        return multiplier if n % 2 == 0 and ties_hold and n << (bits - 1) < one else None
    multiplier = one // n + 1 if n % 2 == 0 else (2 * one + n) // (2 * n)
    reach = (n * abs(multiplier * n - one)) << code_bits
    return multiplier if multiplier <= largest and reach < (one << (n % 2 == 0)) else None


def _valid_counts(windows: Windows) -> NDArray[np.int64]:
    counts = windows.valid_counts()
    if (counts == 0).any():
        raise ValueError(f"padding must leave every window a position on the map, not {windows.padding}")
    return counts
