"""Element-by-element steps on arrays, each with its gradient: what `Chain` records and runs as one node of the graph.

Forward values are the contract's integers. Gradients are those of the real-valued expression, straight through the
rounding and nothing where the clamp changed a value; sums over elements are float64, whose order is the compiler's.

Arrays are float32 integers code − zero_point, C-contiguous; `scales` are float32 values of the operands and the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import Arithmetic

from .rounding import float_thresholds

Floats = NDArray[np.float32]
Gradients = tuple[tuple[Floats | None, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Range:
    """The clamp of a result, its smallest and largest code less the zero point, and how it is rounded."""

    low: int
    high: int
    arithmetic: Arithmetic


@dataclass(eq=False)
class Product:
    """``clamp(round(a · b · multiplier / 2^shift))``; scales : of a, b and the result."""

    scales: tuple[float, float, float]
    multiplier: int
    shift: int
    ends: Range
    saved: tuple[NDArray[Any], ...] = ()

    def forward(self, a: Floats, b: Floats) -> Floats:
        from . import element_kernels

        values, state = np.empty(a.shape, np.float32), np.empty(a.size, np.uint8)
        self.saved = a, b, state
        ratio, thresholds = (
            self.multiplier * 2.0**-self.shift,
            float_thresholds(np.array(self.shift), self.ends.arithmetic),
        )
        limits = float(self.ends.low), float(self.ends.high)
        element_kernels.product(a.reshape(-1), b.reshape(-1), ratio, thresholds, values.reshape(-1), state, *limits)
        return values

    def backward(self, gradient: Floats) -> Gradients:
        """The gradients of a and b, and of the scales."""
        from . import element_kernels

        (a, b, state), (a_scale, b_scale, y_scale) = self.saved, self.scales
        to_a, to_b = np.empty_like(a), np.empty_like(b)
        operands = gradient.reshape(-1), state, a.reshape(-1), b.reshape(-1)
        ratio = a_scale * b_scale / y_scale
        total = element_kernels.product_gradients(*operands, np.float32(ratio), to_a.reshape(-1), to_b.reshape(-1))
        return (to_a, to_b), (total * b_scale / y_scale, total * a_scale / y_scale, -total * ratio / y_scale)


@dataclass(eq=False)
class Sum:
    """``clamp(round((a · factors[0] + b · factors[1]) / 2^shift))``; a negative factor 1 subtracts."""

    scales: tuple[float, float, float]
    factors: tuple[int, int]
    shift: int
    ends: Range
    saved: tuple[NDArray[Any], ...] = ()

    def forward(self, a: Floats, b: Floats) -> Floats:
        from . import element_kernels

        values, state = np.empty(a.shape, np.float32), np.empty(a.size, np.uint8)
        self.saved = a, b, state
        a_ratio, b_ratio = (factor * 2.0**-self.shift for factor in self.factors)
        thresholds = float_thresholds(np.array(self.shift), self.ends.arithmetic)
        made = values.reshape(-1), state, float(self.ends.low), float(self.ends.high)
        element_kernels.weighted_sum(a.reshape(-1), b.reshape(-1), a_ratio, b_ratio, thresholds, *made)
        return values

    def backward(self, gradient: Floats) -> Gradients:
        """The gradients of a and b, and of the scales."""
        from . import element_kernels

        (a, b, state), (a_scale, b_scale, y_scale) = self.saved, self.scales
        sign = -1.0 if self.factors[1] < 0 else 1.0
        to_a, to_b = np.empty_like(a), np.empty_like(b)
        operands = gradient.reshape(-1), state, a.reshape(-1), b.reshape(-1)
        ratios = np.float32(a_scale / y_scale), np.float32(sign * b_scale / y_scale)
        by_a, by_b = element_kernels.sum_gradients(*operands, *ratios, to_a.reshape(-1), to_b.reshape(-1))
        by_b *= sign
        return (to_a, to_b), (by_a / y_scale, by_b / y_scale, -(by_a * a_scale + by_b * b_scale) / y_scale**2)


@dataclass(eq=False)
class Lookup:
    """``table[x − first]``; scales : of x and the result.

    slope, real : of each entry the function's slope and its value, 0 where the gradient is
    """

    scales: tuple[float, float]
    first: int
    table: Floats
    slope: Floats
    real: Floats
    saved: tuple[Floats, ...] = ()

    def forward(self, x: Floats) -> Floats:
        from . import element_kernels

        values = np.empty(x.shape, np.float32)
        self.saved = (x,)
        element_kernels.look_up(x.reshape(-1), np.float32(-self.first), self.table, values.reshape(-1))
        return values

    def backward(self, gradient: Floats) -> Gradients:
        """The gradient of x, and those of the scales."""
        from . import element_kernels

        (x,), (x_scale, y_scale) = self.saved, self.scales
        to_x, slope = np.empty_like(x), self.slope * np.float32(x_scale / y_scale)
        arrays = gradient.reshape(-1), x.reshape(-1), np.float32(-self.first), slope, self.real, to_x.reshape(-1)
        by_x, by_real = element_kernels.table_gradients(*arrays)
        return (to_x,), (by_x / x_scale, -by_real / y_scale**2)


@dataclass(eq=False)
class Cut:
    """Some places along an axis: no new codes, and no scale of its own."""

    axis: int
    places: slice
    shape: tuple[int, ...] = field(default=(), init=False)

    @property
    def index(self) -> tuple[slice, ...]:
        """What picks them."""
        return (slice(None),) * self.axis + (self.places,)

    def forward(self, x: Floats) -> Floats:
        self.shape = x.shape
        return np.ascontiguousarray(x[self.index])


@dataclass(eq=False)
class Shaped:
    """The same codes under another shape (batch, …)."""

    shape: tuple[int, ...]
    given: tuple[int, ...] = field(default=(), init=False)

    def forward(self, x: Floats) -> Floats:
        self.given = x.shape
        return x.reshape(len(x), *self.shape)

    def backward(self, gradient: Floats) -> Gradients:
        """The gradient of x."""
        return (gradient.reshape(self.given),), ()


ElementStep = Product | Sum | Lookup | Cut | Shaped
