"""Pools: a maximum moves codes; a mean sums them and rounds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import AveragePool, MaxPool, Tensor, map_size
from emulator.operators.raw_average_pool import raw_average_multiplier
from emulator.operators.requantization.multiplier import quantize_multiplier

from ..graph_builder import GraphBuilder
from ..moves.rearrange import kept
from ..origin import Origin
from ..values import Real, Source, Target
from ..windows import WindowGeometry, spatial_axes

MAX_POSITIONS = 1 << 22  # of an average pool's result, each of which has a multiplier


@dataclass(frozen=True, eq=False)
class AveragePoolSource(Source):
    """A window sum of codes divided by `counts`, (out height, out width) positions, times a positive `factor`."""

    operator: Origin
    x: Tensor
    geometry: WindowGeometry
    counts: NDArray[np.int64]
    factor: float = 1.0

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `AveragePool`, with a multiplier per output position.

        TFLM's mean is that of the raw codes: where the arithmetic is TFLM's, and scale, zero point and positions are
        those that it has.
        """
        arithmetic, kept_parameters = builder.arithmetic, (target.scale, target.zero_point)
        raw = (
            arithmetic.is_tflm
            and self.factor == 1
            and kept_parameters == (self.x.scale, self.x.zero_point)
            and bool((self.counts == self.geometry.counts(False)).all())
        )
        divisors, position = np.unique(self.counts, return_inverse=True)
        if raw:
            pairs = np.array([raw_average_multiplier(int(n), arithmetic) for n in divisors])
            multipliers, shifts = pairs[:, 0], pairs[:, 1]
        else:
            scale = np.float64(self.x.scale) / (np.float64(target.scale) * divisors)
            if self.factor != 1:
                scale = np.float64(self.x.scale) * self.factor / (np.float64(target.scale) * divisors)
            multipliers, shifts = quantize_multiplier(scale, arithmetic)
        return builder.add(
            AveragePool(
                name=name,
                shape=pooled_shape(self.x, self.geometry),
                **vars(target),
                inputs=(self.x.name,),
                kernel=self.geometry.kernel,
                strides=self.geometry.strides,
                padding=self.geometry.padding,
                dilations=self.geometry.dilations,
                multiplier=multipliers[position],
                shift=shifts[position],
                raw=raw,
            )
        )


def max_pool(builder: GraphBuilder, x: Tensor, name: str, geometry: WindowGeometry) -> Tensor:
    """The largest code of each window; scale and zero point stay."""
    geometry.check_covered()
    return builder.add(
        MaxPool(
            name=name,
            shape=pooled_shape(x, geometry),
            **kept(x),
            kernel=geometry.kernel,
            strides=geometry.strides,
            padding=geometry.padding,
            dilations=geometry.dilations,
        )
    )


def average_pool(builder: GraphBuilder, op: Origin, x: Tensor, geometry: WindowGeometry, padded: bool = False) -> Real:
    """The mean of each window, of its positions on the map or, with `padded`, of those on its own padding too."""
    arithmetic = builder.arithmetic
    low, high = arithmetic.activation_range
    area = geometry.kernel[0] * geometry.kernel[1]
    half = 1 << (arithmetic.operand_bits - 1)
    if area * (high - x.zero_point) > half - 1 or area * (x.zero_point - low) > half:
        rows, columns = geometry.kernel
        raise ValueError(f"a window of {rows}×{columns} can overflow the sum's {arithmetic.operand_bits} bits")
    if geometry.output[0] * geometry.output[1] > MAX_POSITIONS:
        raise ValueError(f"the result must have at most 2^22 positions, not {geometry.output}")
    return Real(AveragePoolSource(op, x, geometry, geometry.counts(padded)))


def pooled_shape(x: Tensor, geometry: WindowGeometry) -> tuple[int, ...]:
    """Stored shape of the result of a window operator on `x`."""
    return (*geometry.output, x.shape[-1])[-len(x.shape) :]


def whole_window(x: Tensor, axes: Collection[int]) -> WindowGeometry:
    """A window that covers these logical axes of a map or a sequence, and is one position wide along the other."""
    last, size = spatial_axes(x) + 1, map_size(x)
    kernel = size[0] if 2 in axes else 1, size[1] if last in axes else 1
    output = size[0] // kernel[0], size[1] // kernel[1]
    return WindowGeometry(size, kernel, (1, 1), (0, 0, 0, 0), (0, 0, 0, 0), (1, 1), output)
