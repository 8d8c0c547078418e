"""How a DEPTHWISE walks its kernel: in segments, the taps that a lane takes with one word of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .arithmetic import check_integer
from .instructions import DEPTHWISE_PITCHES, DEPTHWISE_SUMS
from .timing import depthwise_round_trip

STREAM_TAPS = 3
"""Taps that meet the codes of one input line, where a segment has several lines."""


@dataclass(frozen=True)
class DepthwiseSegment:
    """Kernel lines `row` … `row` + `rows` − 1, of each the pixels `column` … `column` + `columns` − 1."""

    row: int
    rows: int
    column: int
    columns: int

    def taps(self) -> dict[int, tuple[int, int]]:
        """Place in the segment's word → (kernel line, kernel pixel), in the order of the sum; other places hold 0."""
        return {
            STREAM_TAPS * i + j: (self.row + i, self.column + j) for i in range(self.rows) for j in range(self.columns)
        }


def segment_size(taps: int, kernel_width: int, dilation_width: int) -> tuple[int, int]:
    """(kernel lines, pixels of a line) of a segment at most, so that its order is that of the contract.

    Pixels that lie beside each other are read one after the other; of a dilated window a segment has one pixel a line.
    """
    together = dilation_width == 1 or kernel_width == 1
    if taps == 9 and together and kernel_width <= STREAM_TAPS:
        return taps // STREAM_TAPS, STREAM_TAPS
    return 1, taps if together else 1


def depthwise_segments(
    kernel_height: int, kernel_width: int, dilation_width: int, taps: int
) -> tuple[DepthwiseSegment, ...]:
    """The segments of a kernel in the order of their words, which is that of the contract: (line, pixel).

    taps : of `AcceleratorConfig.depthwise_taps`, not 0. Raises ``ValueError`` for an illegal value.
    """
    if taps not in DEPTHWISE_PITCHES or type(taps) is not int:
        raise ValueError(f"taps must be {', '.join(map(str, DEPTHWISE_PITCHES))}, not {taps!r}")
    sizes = (("kernel_height", kernel_height), ("kernel_width", kernel_width), ("dilation_width", dilation_width))
    for name, value in sizes:
        check_integer(name, value, 1, 255)
    rows, columns = segment_size(taps, kernel_width, dilation_width)
    return tuple(
        DepthwiseSegment(row, min(rows, kernel_height - row), column, min(columns, kernel_width - column))
        for row in range(0, kernel_height, rows)
        for column in range(0, kernel_width, columns)
    )


def strips(output_width: int, segments: int) -> dict[int, int]:
    """Outputs of a strip → how many strips of an output line have so many; with one segment, a line is a strip."""
    whole, rest = divmod(output_width, DEPTHWISE_SUMS) if segments > 1 else (0, output_width)
    return {size: count for size, count in ((DEPTHWISE_SUMS, whole), (rest, rest > 0)) if count}


def depthwise_cycles(fields: Mapping[str, int], taps: int) -> int:
    """Cycles in which a DEPTHWISE with these fields issues: one for each position that it reads, or waits.

    For each segment of a strip of n outputs that is (n − 1) · min(stride_width, columns) + columns, or at least
    `depthwise_round_trip` where there are several segments.
    """
    segments = depthwise_segments(fields["kernel_height"], fields["kernel_width"], fields["dilation_width"], taps)
    least = depthwise_round_trip(taps) if len(segments) > 1 else 0
    stride = fields["stride_width"]
    line = sum(
        count * max((outputs - 1) * min(stride, one.columns) + one.columns, least)
        for outputs, count in strips(fields["output_width"], len(segments)).items()
        for one in segments
    )
    return line * fields["output_height"]
