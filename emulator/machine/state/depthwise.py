"""Registers of the depthwise walk and of the lanes' chain of steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from .records import Records, record

WALK = record(
    "rows",  # kernel lines and pixels of a segment at most
    "columns",
    "several",  # segments
    "lines",  # output lines left, this one included; the same of what follows
    "pixels",  # of the line
    "kernel_rows",
    "kernel_columns",
    "outputs",  # of the segment
    "reads",  # of the output
    "wide",  # pixels of this segment
    "period",  # reads from output to output
    "strip",  # outputs of the strip
    "padding",  # the segment has nothing left to read
    "hold",  # cycles until it may end
    "first",  # of the segment
    "fresh",  # first code of an output
    "word",
    "sum_row",
    "strip_sum_row",
    "output",
    "y",
    "x",
    "address",
    "output_x",  # where the output, the segment, the segment's kernel lines, the strip and the line begin
    "output_address",
    "segment_x",
    "segment_address",
    "group_y",
    "group_address",
    "strip_x",
    "strip_address",
    "line_y",
    "line_address",
    "pixel_step",  # rows from each to the next
    "output_step",
    "segment_step",
    "group_step",
    "row_step",
    "line_step",
)
CANDIDATE = record("begin", "swap", "word", "carry", "result", "sum_row", "last", "illegal")
ISSUED = record("begin", "swap", "word", "carry", "result", "sum_row", "ends")
STEP = record("begin", "swap", "result", "sum_row", "ends")
READS = 8
"""Cycles of which the rows that were issued are remembered: the last line's are read so much later."""


class Depthwise(NamedTuple):
    """Registers.

    walk, candidate, issued : the walk; the position after it; the position at lane 0
    rows, issued_rows (streams) : operand scratchpad rows of candidate and position, −1 for none
    reads (READS, streams) : rows issued, by cycle
    steps (taps) : the sums that the steps have made
    sums, flags (taps, columns) : and their values
    word, weights (taps, columns) : weights of the latest segment, and of each step, less their zero points
    bias, zero_point (columns) : of the parameter entry
    """

    walk: Records
    candidate: Records
    issued: Records
    rows: NDArray[np.int64]
    issued_rows: NDArray[np.int64]
    reads: NDArray[np.int64]
    steps: Records
    sums: NDArray[np.int64]
    flags: NDArray[np.uint8]
    word: NDArray[np.int64]
    weights: NDArray[np.int64]
    bias: NDArray[np.int64]
    zero_point: NDArray[np.int64]


def allocate(config: AcceleratorConfig) -> Depthwise:
    """Nothing under way."""
    taps, columns = config.depthwise_taps, config.columns
    streams = max(taps // 3, 1)
    return Depthwise(
        walk=np.zeros(1, WALK),
        candidate=np.zeros(1, CANDIDATE),
        issued=np.zeros(1, ISSUED),
        rows=np.zeros(streams, np.int64),
        issued_rows=np.zeros(streams, np.int64),
        reads=np.zeros((READS, streams), np.int64),
        steps=np.zeros(taps, STEP),
        sums=np.zeros((taps, columns), np.int64),
        flags=np.zeros((taps, columns), np.uint8),
        word=np.zeros((taps, columns), np.int64),
        weights=np.zeros((taps, columns), np.int64),
        bias=np.zeros(columns, np.int64),
        zero_point=np.zeros(columns, np.int64),
    )
