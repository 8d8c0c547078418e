"""Codes between a layer's sums and a function of them, where a file rounds behind the function only.

A table reads codes, so the sums need codes of their own. Their scale is derived from the function and from the codes
behind it: they cover the numbers that the result depends on, from the last one below which it stays the same to the
first one above which it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from emulator.arithmetic import Arithmetic

from ..values import Target

Function = Callable[[float], float]

GRID = 16
"""Points of the search to a power of 2."""
REACH = 24
"""The search goes from 2^−REACH to 2^REACH on either side."""
MOST_ERROR = 2.0
"""The largest error of a result, in codes, that is accepted."""


def intermediate(function: Function, target: Target, arithmetic: Arithmetic) -> tuple[Target, float]:
    """(scale, zero point and codes of the sums; how far their rounding can move a result, in codes).

    Raises ``ValueError`` where that is more than `MOST_ERROR`: for a function too steep, or never the same.
    """
    low, high = arithmetic.activation_range
    first, last = -_settled(function, target, -1.0), _settled(function, target, 1.0)
    scale = float(np.float32((last - first) / (high - low)))
    if not scale > 0:
        return Target(target.scale, 0, low, high), 0.0
    zero_point = min(max(round(low - first / scale), low), high)
    error = max(_errors(function, target, scale * (code - zero_point), scale) for code in range(low, high + 1))
    if not error <= MOST_ERROR:
        raise ValueError(
            f"is a function of sums that nothing has rounded, and 2^{arithmetic.activation_bits} codes for them would "
            f"move a result by up to {error:.3g} codes; let the quantizer put a QuantizeLinear in front of it"
        )
    return Target(scale, zero_point, low, high), error


def _real(function: Function, target: Target, x: float) -> float:
    """The result in codes, clamped, before it is rounded."""
    value = float(function(x)) / target.scale + target.zero_point
    if math.isnan(value):
        raise ValueError(f"function must not be NaN, as it is for {x!r}")
    return min(max(value, target.y_min), target.y_max)


def _settled(function: Function, target: Target, side: float) -> float:
    """The distance from 0, on one side, from which on the result's code is always the same; 0 if it always is."""
    distances = [2.0 ** (k / GRID) for k in range(GRID * REACH, -GRID * REACH - 1, -1)]
    final = round(_real(function, target, side * distances[0]))
    before = 0.0
    for distance in distances:
        if round(_real(function, target, side * distance)) != final:
            return before or distance
        before = distance
    return 0.0


def _errors(function: Function, target: Target, x: float, scale: float) -> float:
    """How far the results of the numbers that round to `x` are from its own, at most, in codes."""
    here = _real(function, target, x)
    return max(abs(_real(function, target, x + scale * part / 16) - here) for part in range(-8, 9))
