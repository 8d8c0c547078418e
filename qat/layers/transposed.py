"""`TransposedConvolution`: a convolution of the input with zeros between its positions, without ever making these.

With stride s, output position q·s + φ reads only every s-th tap of the kernel. So there is one small kernel for each
phase φ, and a plain convolution makes all phases of a channel side by side, which then take turns on the map. A sum
goes over its taps in the order of the zero-stuffed map, where zeros change nothing: the bits are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic

from ..integers.accumulate import walk
from ..integers.geometry import Geometry
from ..integers.tensor import QuantizedTensor, as_int, as_map
from ..scales.settings import Settings
from .computed import Computed
from .layer import Step
from .onnx_writer import OnnxWriter
from .weighted import Weighted


@dataclass(frozen=True)
class Phases:
    """One axis of a transposed convolution, as a convolution of stride 1 whose results take turns.

    taps : (phases, kernel) the index of the transposed kernel's tap, or its length where there is none
    dilation, before, behind : of the convolution; negative paddings cut positions of the input off
    output : positions of the result
    """

    taps: NDArray[np.int64]
    dilation: int
    before: int
    behind: int
    output: int

    @property
    def count(self) -> int:
        """How many there are: the stride."""
        return len(self.taps)


def phases(size: int, kernel: int, stride: int, padding: int, output_padding: int, dilation: int) -> Phases:
    """The phases of an axis of `size` positions; the arguments are torch's."""
    output = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    if output < 1:
        raise ValueError(f"padding must leave its result a position, not be {padding}")
    # Output q·s + φ is the sum over taps k of input q + t with t·s = φ + padding − k·dilation.
    reach = [
        [(phase + padding - k * dilation) // stride if (phase + padding - k * dilation) % stride == 0 else None
         for k in range(kernel)]
        for phase in range(stride)
    ]  # fmt: skip
    offsets = sorted({offset for row in reach for offset in row if offset is not None})
    first = offsets[0]
    step = math.gcd(*(offset - first for offset in offsets)) or 1
    length = (offsets[-1] - first) // step + 1
    taps = np.full((stride, length), kernel)
    for phase, row in enumerate(reach):
        for k, offset in enumerate(row):
            if offset is not None:
                taps[phase, (offset - first) // step] = k
    rounds = -(-output // stride)
    return Phases(taps, step, -first, rounds - size + first + (length - 1) * step, output)


class TransposedConvolution(Weighted):
    """A transposed convolution of maps or sequences; of several groups, with any stride, padding and dilation.

    weight : in the layout of a convolution, (outputs, inputs/groups, …); axes : (rows, columns), one row for a sequence
    """

    def __init__(
        self,
        name: str,
        source: str,
        *,
        arithmetic: Arithmetic,
        settings: Settings,
        weight: Computed,
        bias: str | Computed | None,
        channels: int,
        groups: int,
        axes: tuple[Phases, Phases],
        unit: float | None = None,
    ) -> None:
        rows, columns = axes
        padding = [max(value, 0) for value in (rows.before, columns.before, rows.behind, columns.behind)]
        geometry = Geometry(
            padding=(padding[0], padding[1], padding[2], padding[3]),
            dilations=(rows.dilation, columns.dilation),
            groups=groups,
        )
        super().__init__(
            name, source, arithmetic=arithmetic, settings=settings, weight=weight, bias=bias, channels=channels,
            geometry=geometry, unit=unit,
        )  # fmt: skip
        self.axes = axes

    @property
    def phases(self) -> int:
        """How many channels of the convolution make one of the result."""
        return self.axes[0].count * self.axes[1].count

    @property
    def cut(self) -> tuple[int, int, int, int]:
        """Positions of the input that no result reads: left, right, top, bottom, as negative numbers."""
        rows, columns = self.axes
        left, right, top, bottom = (min(n, 0) for n in (columns.before, columns.behind, rows.before, rows.behind))
        return left, right, top, bottom

    def rows(self, x: Tensor) -> Tensor:
        """The map that the convolution reads."""
        return F.pad(as_map(x), self.cut) if any(self.cut) else as_map(x)

    def kernel(self, weight: Tensor) -> Tensor:
        """The weights of all phases: (outputs · phases, inputs/groups, height, width)."""
        (rows, columns), taps = self.axes, F.pad(as_map(weight), (0, 1, 0, 1))  # with a zero behind the last one
        outputs, inputs = taps.shape[:2]
        for axis, own in ((2, rows), (3, columns)):
            taps = taps.index_select(axis, torch.from_numpy(own.taps.reshape(-1)).to(taps.device))
        split = taps.reshape(outputs, inputs, rows.count, -1, columns.count, columns.taps.shape[1])
        return split.permute(0, 2, 4, 1, 3, 5).reshape(outputs * self.phases, inputs, *split.shape[3::2])

    def spread(self, bias: Tensor) -> Tensor:
        return bias.repeat_interleave(self.phases)

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The float transposed convolution."""
        return self.turned(super().plain(x, weight, None if bias is None else self.spread(bias)))

    def turned(self, y: Tensor) -> Tensor:
        """The phases taking turns on the result's map; what is behind its end cut off."""
        rows, columns = self.axes
        batch, _, height, width = y.shape
        split = y.reshape(batch, -1, rows.count, columns.count, height, width).permute(0, 1, 4, 2, 5, 3)
        whole = split.reshape(batch, -1, height * rows.count, width * columns.count)
        return whole[:, :, : rows.output, : columns.output]

    def overflows(self, x: QuantizedTensor, step: Step) -> NDArray[np.int64]:
        """Sums that overflowed, per output channel, of all phases and also behind the result's end."""
        codes, bias, _ = self.integers(x, step)
        rows = replace(x, centered=self.rows(x.centered))
        _, flags = walk(rows, self.kernel(codes), self.spread(bias), self.geometry, self.arithmetic, self.spread_zeros)
        return as_int(flags.transpose(0, 1).reshape(self.weight.channels, -1).sum(1), np.int64)

    def stored(self, codes: Tensor, x: Tensor) -> Tensor:
        kernel = self.kernel(codes)
        return kernel.squeeze(2) if x.ndim == 3 else kernel

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        """A convolution, and moves that let its phases take turns."""
        (x,) = inputs
        axes = x.centered.ndim - 2
        real = writer.reals[self.sources[0]]
        if any(self.cut):
            left, right, top, bottom = self.cut
            height, width = as_map(x.centered).shape[2:]
            real = self.sliced(writer, "input", real, axes, (-top, -left), (height + bottom, width + right))
        steps = self.moves(axes, y.centered.shape[1])
        rows, columns = self.axes
        whole = tuple(own.count * -(-own.output // own.count) for own in self.axes)
        crops = whole != (rows.output, columns.output)
        name = f"{self.name}/conv" if steps or crops else self.name
        result = self.convolution(writer, name, real, self.written(writer, x, owner), axes)
        for index, (operator, inputs_of, attributes) in enumerate(steps):
            name = f"{self.name}/turns{index}" if crops or index < len(steps) - 1 else self.name
            names = [writer.constant(f"{name}/shape", np.array(values)) for values in inputs_of]
            result = writer.node(operator, name, [result, *names], **attributes)
        if crops:
            result = self.sliced(writer, "", result, axes, (0, 0), (rows.output, columns.output))
        writer.quantized(self.name, writer.activation(self.name, result, y), y)

    def sliced(
        self, writer: OnnxWriter, part: str, real: str, axes: int, starts: tuple[int, int], ends: tuple[int, int]
    ) -> str:
        """A Slice along the last `axes` axes, called after the layer and the part."""
        name = f"{self.name}/{part}" if part else self.name
        places = {"starts": starts[-axes:], "ends": ends[-axes:], "axes": (2, 3)[:axes]}
        names = [writer.constant(f"{name}/{which}", np.array(values)) for which, values in places.items()]
        return writer.node("Slice", name, [real, *names])

    def moves(self, axes: int, channels: int) -> list[tuple[str, list[list[int]], dict[str, Any]]]:
        """ONNX operators that make one channel of the phases of each: (operator, shape as an input, attributes)."""
        (rows, columns), (height, width) = self.axes, (-(-own.output // own.count) for own in self.axes)
        if rows.count == columns.count == 1:
            return []
        if rows.count == columns.count:
            return [("DepthToSpace", [], {"blocksize": rows.count, "mode": "CRD"})]
        steps: list[tuple[str, list[list[int]], dict[str, Any]]] = []
        if columns.count > 1:
            shape = [channels * rows.count, height, width * columns.count]
            steps += [
                ("Reshape", [[0, channels * rows.count, columns.count, height * width]], {}),
                ("Transpose", [], {"perm": [0, 1, 3, 2]}),
                ("Reshape", [[0, *(shape if axes == 2 else shape[::2])]], {}),
            ]
        if rows.count > 1:
            # The same along the other axis, the map lying on its side.
            width *= columns.count
            turn: tuple[str, list[list[int]], dict[str, Any]] = ("Transpose", [], {"perm": [0, 1, 3, 2]})
            steps += [
                turn,
                ("Reshape", [[0, channels, rows.count, width * height]], {}),
                turn,
                ("Reshape", [[0, channels, width, height * rows.count]], {}),
                turn,
            ]
        return steps
