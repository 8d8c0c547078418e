"""`Map`: a tensor's codes in external memory as lines of pixels of channels, whatever its rank and strides are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emulator.program import Region

from ..compile_error import CompileError
from ..schedule.operation import Transfer
from .tiling import Span


@dataclass(frozen=True)
class Map:
    """height × width pixels of `depth` codes that lie side by side.

    block, block_stride : where codes of so many channels are a map of their own, so many bytes apart; or 0
    """

    address: int
    height: int
    width: int
    depth: int
    line_stride: int
    pixel_stride: int
    zero_point: int
    block: int = 0
    block_stride: int = 0

    @property
    def is_line(self) -> bool:
        """Whether the map is one line, or its lines follow one another as its pixels do."""
        return self.height == 1 or self.line_stride == self.width * self.pixel_stride

    def as_line(self) -> Map:
        """The same pixels as one line."""
        return replace(self, height=1, width=self.height * self.width, line_stride=0)

    def turned(self) -> Map:
        """The same codes, columns as lines."""
        return replace(
            self, height=self.width, width=self.height, line_stride=self.pixel_stride, pixel_stride=self.line_stride
        )

    def every(self, vertical: int, horizontal: int, height: int, width: int) -> Map:
        """Every n-th line and pixel, the first included; height × width of them."""
        return replace(
            self,
            height=height,
            width=width,
            line_stride=self.line_stride * vertical,
            pixel_stride=self.pixel_stride * horizontal,
        )

    def at(self, line: int, pixel: int, channel: int = 0) -> int:
        """Address of a code."""
        if self.block:
            channel = channel // self.block * self.block_stride + channel % self.block
        return self.address + line * self.line_stride + pixel * self.pixel_stride + channel

    def transfer(self, lines: Span, pixels: Span, channels: Span) -> Transfer:
        """The bytes of some channels of some pixels of some lines; of a map in blocks, channels of one of them."""
        address = self.at(lines.first, pixels.first, channels.first)
        return Transfer(address, len(lines), self.line_stride, len(pixels), self.pixel_stride, len(channels))


def as_map(region: Region) -> Map:
    """A region of at most three axes, or one whose leading axes merge into lines."""
    axes = list(zip(region.tensor.shape, region.steps, strict=True))
    if axes[-1][1] != 1 and axes[-1][0] != 1:
        raise CompileError(f"layer {region.tensor.name!r}: its channels do not lie side by side in memory")
    while len(axes) < 3:
        axes.insert(0, (1, 0))
    while len(axes) > 3:
        for index in range(len(axes) - 2):
            (outer, outer_step), (inner, step) = axes[index : index + 2]
            if outer == 1 or inner == 1 or outer_step == inner * step:
                axes[index : index + 2] = [(outer * inner, outer_step if inner == 1 else step)]
                break
        else:
            raise CompileError(f"layer {region.tensor.name!r}: {len(axes)} axes that do not merge into lines")
    (height, line), (width, pixel), (depth, _) = axes
    block = region.block, region.block_size
    return Map(region.address, height, width, depth, line, pixel, region.tensor.zero_point, *block)


def as_vector(region: Region) -> Map:
    """A contiguous region as one pixel."""
    return Map(region.address, 1, 1, region.size, 0, 0, region.tensor.zero_point)
