"""Resizing: the nearest position is a gather of codes; linear interpolation a depthwise convolution in phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from emulator.graph import Convolution, Tensor, logical_shape
from emulator.operators.requantization.multiplier import quantize_multiplier

from ..graph_builder import GraphBuilder
from ..moves.rearrange import gathered
from ..origin import Origin
from ..values import Source, Target
from .phases import PhasedAxis, is_plain, phased_geometry, phased_kernel, spread_phases

MAX_PHASES = 64
"""Results of an axis for each position: far above any scale in use."""


@dataclass(frozen=True)
class Interpolation:
    """Linear interpolation along one axis: taps are numerators of `denominator`."""

    axis: PhasedAxis
    denominator: int


NONE = Interpolation(PhasedAxis(1, 1, 1, ({0: 1},)), 1)
"""Along an axis that a sequence does not have."""


def interpolation(size: int, output: int, step: Fraction, shift: Fraction) -> Interpolation:
    """Between the two positions around ``step · o + shift`` for result o; those beyond the ends count as the ends.

    Raises ``ValueError`` for more than `MAX_PHASES` results to a position.
    """
    phases = step.denominator
    if phases > MAX_PHASES:
        raise ValueError(f"a scale of {1 / step} has {phases} phases; linear interpolation has at most {MAX_PHASES}")
    places = [step * phase + shift for phase in range(phases)]
    denominator = math.lcm(*(place.denominator for place in places))
    taps = []
    for place in places:
        first = math.floor(place)
        behind = int((place - first) * denominator)
        taps.append({p: weight for p, weight in ((first, denominator - behind), (first + 1, behind)) if weight})
    return Interpolation(PhasedAxis(size, output, step.numerator, tuple(taps)), denominator)


@dataclass(frozen=True, eq=False)
class InterpolationSource(Source):
    """Linear interpolation of a map or sequence along its rows and columns.

    toward : for codes that keep their scale, whether the exact result is rounded down (−1) or up (1); 0: to the nearest
    """

    operator: Origin
    x: Tensor
    axes: tuple[Interpolation, Interpolation]
    toward: int = 0

    @property
    def denominator(self) -> int:
        """What the weights of one result sum to."""
        return self.axes[0].denominator * self.axes[1].denominator

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Convolution` NAME/phases, behind the map with its edges repeated, and the moves behind it."""
        arithmetic, depth, total = builder.arithmetic, self.x.shape[-1], self.denominator
        doubled = 2 if self.toward else 1
        span = max(self.x.y_max - self.x.zero_point, self.x.zero_point - self.x.y_min)
        most = (1 << (arithmetic.accumulator_bits - 1)) - 1
        if doubled * total * (span + 1) > most:
            raise ValueError(
                f"sums of codes in {total} parts need more than {arithmetic.accumulator_bits} bits (accumulator_bits)"
            )
        axes = self.axes[0].axis, self.axes[1].axis
        source = self._edged(builder, name)
        highest = arithmetic.weight_range[1]
        largest = math.prod(max(weight for taps in axis.taps for weight in taps.values()) for axis in axes)
        copies = -(-doubled * largest // highest)
        weights = np.multiply.outer(np.arange(self.axes[0].denominator + 1), np.arange(self.axes[1].denominator + 1))
        # A weight beyond the codes' range is that of several channels, which hold the same codes.
        parts = np.stack([(doubled * weights + part) // copies for part in range(copies)])
        kernel = phased_kernel(axes, parts[None, None], np.zeros((1, 1), np.int64))[0]
        kernel = kernel.reshape(-1, *kernel.shape[2:]).transpose(0, 2, 3, 1)
        if copies > 1:
            places = [channel for channel in range(depth) for _ in range(copies)]
            source = gathered(builder, source, 1, places, builder.unique(f"{name}/copies"))
        geometry = phased_geometry(axes, padded=True)
        outputs, plain = depth * len(kernel), is_plain(axes, geometry)
        scale = np.full(outputs, np.float64(self.x.scale) / (np.float64(target.scale) * (doubled * total)))
        multiplier, shift = quantize_multiplier(scale, arithmetic)
        made = builder.add(
            Convolution(
                name=name if plain else builder.unique(f"{name}/phases"),
                shape=(*geometry.output, outputs)[-len(self.x.shape) :],
                **vars(target),
                inputs=(source.name,),
                weight=np.ascontiguousarray(np.tile(kernel, (depth, 1, 1, 1)).astype(np.int8)),
                bias=np.full(outputs, self.toward * (total - 1), np.int64),
                multiplier=multiplier,
                shift=shift,
                strides=geometry.strides,
                groups=depth,
            )
        )
        return made if plain else spread_phases(builder, made, axes, depth, name)

    def _edged(self, builder: GraphBuilder, name: str) -> Tensor:
        """The map with its first and last rows and columns repeated as often as the kernel reads beyond them."""
        x = self.x
        for place, interpolated in zip((2, 3)[: len(x.shape) - 1], self.axes[-(len(x.shape) - 1) :], strict=True):
            before, behind = interpolated.axis.padding
            size = interpolated.axis.size
            if before or behind:
                places = [min(max(index, 0), size - 1) for index in range(-before, size + behind)]
                x = gathered(builder, x, place, places, builder.unique(f"{name}/edge"))
        return x


def nearest(builder: GraphBuilder, x: Tensor, places: Sequence[Sequence[int]], name: str) -> Tensor:
    """Of each logical axis the positions `places`."""
    sizes = logical_shape(x.shape)
    wanted = [(axis, each) for axis, each in enumerate(places, 1) if list(each) != list(range(sizes[axis - 1]))]
    for index, (axis, each) in enumerate(wanted, 1):
        x = gathered(builder, x, axis, each, name if index == len(wanted) else builder.unique(f"{name}/{index}"))
    return x
