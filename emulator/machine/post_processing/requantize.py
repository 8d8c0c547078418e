"""Requantizer and adder on single values, for the compiled cycle loop."""

from __future__ import annotations

from ...arithmetic import ROUNDINGS
from ..compiled import compiled

_HALF_EVEN, _HALF_UP, _FLOOR, _TOWARD_ZERO, _DOUBLE = (
    ROUNDINGS.index(name) for name in ("half_even", "half_up", "floor", "toward_zero", "double")
)


@compiled
def round_shift(product: int, shift: int, rounding: int, multiplier_bits: int) -> int:
    """``round(product / 2^shift)``; |product| ≤ 2^62, shift 0 … 63, rounding an index in `ROUNDINGS`.

    multiplier_bits : B of the rounding ``double``
    """
    quotient = product >> shift
    if shift == 0 or rounding == _FLOOR:
        return quotient
    rest = product - (quotient << shift)
    if rounding == _TOWARD_ZERO:
        return quotient + (1 if quotient < 0 and rest != 0 else 0)
    half = 1 << (shift - 1)
    if rounding == _DOUBLE:
        nudge = 1 << (multiplier_bits - 1) if shift > multiplier_bits else 0
        return quotient + (1 if rest >= (half - nudge if product >= 0 else half + nudge) else 0)
    if rest != half:
        return quotient + (1 if rest > half else 0)
    if rounding == _HALF_EVEN:
        return quotient + (quotient & 1)
    # half_away: the quotient is the floor, so a tie of a negative value already lies away from zero.
    return quotient + (1 if rounding == _HALF_UP or quotient >= 0 else 0)


@compiled
def clamp(value: int, y_min: int, y_max: int) -> int:
    """``min(max(value, y_min), y_max)``."""
    return min(max(value, y_min), y_max)


@compiled
def sign_extend(value: int, bits: int) -> int:
    """The low `bits` bits as a signed number."""
    half = 1 << (bits - 1)
    return ((value & (2 * half - 1)) ^ half) - half
