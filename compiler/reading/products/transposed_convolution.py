"""`TransposedConvolutionSource`: a transposed convolution with any kernel, strides, padding, dilations and groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Convolution, Tensor

from ..graph_builder import GraphBuilder
from ..values import Target
from .phases import PhasedAxis, is_plain, phased_geometry, phased_kernel, spread_phases
from .weighted import Reals, WeightedSource, channel_column


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposedConvolutionSource(WeightedSource):
    """A transposed convolution of codes; weights' codes are (O, I/groups, kernel height, kernel width).

    axes : rows and columns, whose taps are the kernel's; a sequence's rows are `phases.WHOLE`
    """

    axes: tuple[PhasedAxis, PhasedAxis]
    groups: int = 1

    def channel_values(self, values: NDArray[Any]) -> Reals:
        """One number, or (channels, 1, …) with any leading axes of size 1, as (channels,)."""
        return channel_column(values, self.weights.channels, len(self.x.shape))

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Convolution` NAME/phases, and the moves that make its channels pixels."""
        weights, fields = self.requantization(builder, name, target)
        outputs, depth = weights.codes.shape[:2]
        each = outputs // self.groups
        zero_point = np.zeros(outputs, np.int64) if weights.zero_point is None else weights.zero_point
        codes = weights.codes.astype(np.int64).reshape(self.groups, each, depth, *weights.codes.shape[2:])
        kernel = phased_kernel(self.axes, codes, zero_point.reshape(self.groups, each))
        phases = kernel.shape[1]
        for field in ("bias", "multiplier", "shift", "weight_zero_point"):
            if fields[field] is not None:
                grouped = fields[field].reshape(self.groups, 1, each)
                fields[field] = np.broadcast_to(grouped, (self.groups, phases, each)).reshape(-1).copy()
        geometry = phased_geometry(self.axes, padded=False)
        plain = is_plain(self.axes, geometry)
        made = builder.add(
            Convolution(
                name=name if plain else builder.unique(f"{name}/phases"),
                shape=(*geometry.output, outputs * phases)[-len(self.x.shape) :],
                **fields,
                weight=np.ascontiguousarray(
                    kernel.reshape(outputs * phases, *kernel.shape[3:]).transpose(0, 2, 3, 1).astype(np.int8)
                ),
                strides=geometry.strides,
                padding=geometry.padding,
                dilations=geometry.dilations,
                groups=self.groups,
            )
        )
        return made if plain else spread_phases(builder, made, self.axes, self.groups, name)


def transposed_axis(size: int, kernel: int, stride: int, before: int, dilation: int, output: int) -> PhasedAxis:
    """An axis whose result i · stride + tap · dilation − before takes tap `tap` of input i."""
    taps: list[dict[int, int]] = []
    for phase in range(stride):
        found = {}
        for tap in range(kernel):
            place = phase + before - dilation * tap
            if place % stride == 0:
                found[place // stride] = tap
        taps.append(found)
    return PhasedAxis(size, output, 1, tuple(taps))
