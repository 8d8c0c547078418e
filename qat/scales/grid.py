"""`Grid`: how a range of real values is laid onto the codes of a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Codes of `bits` (2–8) signed bits, all of them used, and the rule for their scale and zero point.

    symmetric : the zero point is 0; otherwise the codes span the range as it is
    power_of_two : the scale is the smallest power of two with which the codes span the range
    """

    bits: int
    symmetric: bool = False
    power_of_two: bool = False

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1

    def parameters(self, low: float, high: float) -> tuple[np.float32, int]:
        """(scale, zero_point) whose codes span low … high, low ≤ 0 ≤ high; a range of nothing has the scale 1."""
        least, most = self.code_range
        width = max(-low, high) / most if self.symmetric else (high - low) / (most - least)
        with np.errstate(over="ignore", under="ignore"):
            scale = np.float32(width) or np.float32(1)
        if self.power_of_two:
            scale = np.float32(power_of_two_above(scale))
        if self.symmetric or not np.isfinite(scale):
            return scale, 0
        return scale, min(max(least + round(-low / float(scale)), least), most)

    def steps(self, values: NDArray[np.float64], scale: np.float32, zero_point: int) -> NDArray[np.float64]:
        """``code − zero_point`` of every value."""
        least, most = self.code_range
        return np.clip(np.rint(values / np.float64(scale)), least - zero_point, most - zero_point)


def power_of_two_above(scale: NDArray[Any] | np.floating[Any]) -> NDArray[np.float32]:
    """The smallest power of two that is at least `scale`, positive; exact, infinity beyond float32."""
    fraction, exponent = np.frexp(np.asarray(scale, np.float64))
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(1.0, exponent - (fraction == 0.5)), np.float32)
