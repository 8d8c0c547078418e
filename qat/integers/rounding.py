"""What the contract's roundings add to a quotient, as thresholds that one comparison serves (sections 3 and 10)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emulator import Arithmetic

# Of float64 quotients: how they differ from the nearest integer, even at ties. With d = quotient − nearest, exact in
# floats: add 1 where d ≥ up, take 1 where d ≤ −down; (up, down) of quotients at least 0, (up, down) of the others. ANY
# is the least that a shift of 62 leaves; a subnormal number would be 0 under torch.set_flush_denormal.
ANY, TIE, NEVER = 2.0**-62, 0.5, float("inf")
SIMPLE = {
    "half_even": (NEVER, NEVER, NEVER, NEVER),
    "half_up": (TIE, NEVER, TIE, NEVER),
    "half_away": (TIE, NEVER, NEVER, TIE),
    "floor": (NEVER, ANY, NEVER, ANY),
    "toward_zero": (NEVER, ANY, ANY, NEVER),
}


def float_thresholds(shift: NDArray[np.int64], arithmetic: Arithmetic) -> NDArray[np.float64]:
    """(…, 4) of each shift (…): up and down of quotients at least 0, up and down of negative ones.

    Above a shift of B ``double`` rounds up from ½ − ε on, and negative quotients from above ½ + ε of their fraction,
    ε = 2^(B − 1 − shift); where float64 has nothing between ½ − ε and ½, ½ stands for it.
    """
    if arithmetic.rounding in SIMPLE:
        return np.full((*shift.shape, 4), SIMPLE[arithmetic.rounding])
    twice = shift > arithmetic.multiplier_bits
    least = TIE - np.where(twice, np.ldexp(1.0, arithmetic.multiplier_bits - 1 - shift), 0.0)
    above = np.where(least < TIE, np.nextafter(least, 1.0), TIE)  # the next one: a negative quotient must lie beyond
    never = np.full(shift.shape, NEVER)
    up = np.where(twice, NEVER, TIE)
    return np.stack([least, never, up, np.where(twice, above, NEVER)], axis=-1)


def integer_thresholds(shift: NDArray[np.int64], arithmetic: Arithmetic) -> NDArray[np.int64]:
    """(…, 4) of each shift (…), 0 … 62: the least rest, product mod 2^shift, with which a quotient's floor rounds up.

    Of products at least 0, with an even and an odd floor, then of negative ones, even and odd.
    """
    full = np.int64(1) << shift
    # For shift 0 the rest is 0 and must stay below "half", hence 1 there.
    half = np.int64(1) << np.maximum(shift - 1, 0)
    nudge = np.where(shift > arithmetic.multiplier_bits, np.int64(1) << (arithmetic.multiplier_bits - 1), 0)
    found = {
        "half_even": (half + 1, half, half + 1, half),
        "half_up": (half, half, half, half),
        "half_away": (half, half, half + 1, half + 1),
        "floor": (full, full, full, full),
        "toward_zero": (full, full, np.ones_like(full), np.ones_like(full)),
        "double": (half - nudge, half - nudge, half + nudge, half + nudge),
    }
    return np.stack(found[arithmetic.rounding], axis=-1)
