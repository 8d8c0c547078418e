"""Outputs that are several to a position: a convolution whose channels are phases, then laid out as pixels.

Along each axis output ``phases · n + f`` is phase f of position n of a convolution over ``stride · n``. So a transposed
convolution, and an interpolation at a rational scale, is one convolution of the input itself: no zeros lie between its
codes, and each result's terms come in the order of the input's rows, columns and channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor, map_size

from ..graph_builder import GraphBuilder
from ..moves.rearrange import in_steps, sliced
from ..windows import WindowGeometry, window_geometry


@dataclass(frozen=True, eq=False)
class PhasedAxis:
    """One axis of the map: `size` inputs, `output` results.

    taps : of each phase {input position, from ``stride · n`` on: what is read there}, an index or a weight
    """

    size: int
    output: int
    stride: int
    taps: tuple[dict[int, int], ...]

    @property
    def phases(self) -> int:
        """Results of a position."""
        return len(self.taps)

    @property
    def first(self) -> int:
        """The kernel's first position, at most 0."""
        return min([0, *(place for taps in self.taps for place in taps)])

    @property
    def kernel(self) -> int:
        """Positions that the kernel covers."""
        return max([0, *(place for taps in self.taps for place in taps)]) - self.first + 1

    @property
    def padding(self) -> tuple[int, int]:
        """Positions that are read before and behind the map."""
        positions = -(-self.output // self.phases)
        return -self.first, max((positions - 1) * self.stride + self.first + self.kernel - self.size, 0)


WHOLE = PhasedAxis(1, 1, 1, ({0: 0},))
"""The axis that a sequence does not have."""


def phased_geometry(axes: Sequence[PhasedAxis], padded: bool) -> WindowGeometry:
    """Geometry of the convolution on the map, or on a map that has the padding already."""
    rows, columns = axes
    pads = (0, 0, 0, 0) if padded else (rows.padding[0], columns.padding[0], rows.padding[1], columns.padding[1])
    extra = [sum(axis.padding) if padded else 0 for axis in axes]
    size = rows.size + extra[0], columns.size + extra[1]
    return window_geometry(size, (rows.kernel, columns.kernel), (rows.stride, columns.stride), pads, (1, 1))


def phased_kernel(axes: Sequence[PhasedAxis], kernel: NDArray[np.int64], fill: NDArray[np.int64]) -> NDArray[np.int64]:
    """(groups, row phases · column phases, outputs, depth, kernel rows, kernel columns) of (groups, outputs, depth, …).

    kernel : its last two axes are those that taps index; fill : (groups, outputs) what stands where nothing is read
    """
    rows, columns = axes
    groups, outputs, depth = kernel.shape[:3]
    shape = (groups, rows.phases, columns.phases, outputs, depth, rows.kernel, columns.kernel)
    made = np.empty(shape, np.int64)
    made[...] = fill[:, None, None, :, None, None, None]
    for i, vertical in enumerate(rows.taps):
        for j, horizontal in enumerate(columns.taps):
            for row, tap in vertical.items():
                for column, other in horizontal.items():
                    made[:, i, j, :, :, row - rows.first, column - columns.first] = kernel[..., tap, other]
    return made.reshape(groups, -1, *shape[3:])


def spread_phases(builder: GraphBuilder, x: Tensor, axes: Sequence[PhasedAxis], groups: int, name: str) -> Tensor:
    """The convolution's channels (groups, row phases, column phases, outputs) as pixels, cut to the output's size."""
    rows, columns = axes
    (height, width), phases = map_size(x), rows.phases * columns.phases
    depth = x.shape[-1] // phases
    each = (height, width, groups, rows.phases, columns.phases, depth // groups)
    whole = (height * rows.phases, width * columns.phases, depth)[-len(x.shape) :]
    cut = [axis for axis in (2, 3)[: len(x.shape) - 1]]
    sizes = whole[:-1]
    wanted = [rows.output, columns.output][-len(sizes) :]
    cuts = [(axis, n) for axis, size, n in zip(cut, sizes, wanted, strict=True) if n != size]
    label = builder.unique(f"{name}/pixels") if cuts else name
    steps: list[tuple[str, tuple[int, ...]]] = [("shape", each), ("axes", (0, 1, 4, 2, 5, 3, 6)), ("shape", whole)]
    x = in_steps(builder, x, steps, label)
    for index, (axis, size) in enumerate(cuts, 1):
        x = sliced(builder, x, axis, range(size), name if index == len(cuts) else builder.unique(f"{name}/{index}"))
    return x


def is_plain(axes: Sequence[PhasedAxis], geometry: WindowGeometry) -> bool:
    """Whether the convolution's results are the output as they are."""
    return all(axis.phases == 1 for axis in axes) and geometry.output == (axes[0].output, axes[1].output)
