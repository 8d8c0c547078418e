"""The rows of codes that a DEPTHWISE reads: output line, strip of outputs, segment of the kernel, outputs, pixels."""

from __future__ import annotations

from typing import Any

from ...instructions import ADDRESS_BITS, DEPTHWISE_SUMS, DEPTHWISE_WORDS
from ..compiled import compiled
from ..state import State

_MASK = (1 << ADDRESS_BITS) - 1


@compiled
def start(s: State) -> None:
    """Go to the first position."""
    w, d, chain = s.depthwise.walk[0], s.post_process.depthwise[0], s.depthwise
    taps = s.config[0].depthwise_taps
    together = d.dilation_width == 1 or d.kernel_width == 1
    w.rows, w.columns = 1, taps if together else 1
    if taps == 9 and together and d.kernel_width <= 3:
        w.rows, w.columns = 3, 3
    w.several = 1 if d.kernel_height > w.rows or d.kernel_width > w.columns else 0
    w.pixel_step = d.pixel_rows
    w.output_step = d.stride_width * d.pixel_rows
    w.segment_step = w.columns * d.dilation_width * d.pixel_rows
    w.row_step = d.dilation_height * d.input_width * d.pixel_rows
    w.group_step = w.rows * w.row_step
    w.line_step = d.stride_height * d.input_width * d.pixel_rows
    w.lines, w.line_y = d.output_height, -d.pad_top
    w.line_address = d.input_row - (d.pad_top * d.input_width + d.pad_left) * d.pixel_rows
    w.output = d.output_row
    w.strip_sum_row = 0
    for k in range(len(chain.issued_rows)):
        chain.issued_rows[k] = -1
        for cycle in range(len(chain.reads)):
            chain.reads[cycle, k] = -1
    _line(w, d)
    _strip(s, w, d)


@compiled
def _line(w: Any, d: Any) -> None:
    """Begin an output line."""
    w.pixels = d.output_width
    w.strip_x, w.strip_address = -d.pad_left, w.line_address


@compiled
def _strip(s: State, w: Any, d: Any) -> None:
    """Begin a strip of the line."""
    w.strip = min(w.pixels, DEPTHWISE_SUMS) if w.several else w.pixels
    w.word = d.weight_word
    w.kernel_rows = d.kernel_height
    w.group_y, w.group_address = w.line_y, w.strip_address
    _group(s, w, d)


@compiled
def _group(s: State, w: Any, d: Any) -> None:
    """Begin the segments of some kernel lines."""
    w.kernel_columns = d.kernel_width
    w.segment_x, w.segment_address = w.strip_x, w.group_address
    _segment(s, w, d)


@compiled
def _segment(s: State, w: Any, d: Any) -> None:
    """Begin a segment."""
    w.wide = min(w.columns, w.kernel_columns)
    w.period = min(d.stride_width, w.wide)
    w.outputs, w.sum_row = w.strip, w.strip_sum_row
    w.reads = w.wide if w.outputs == 1 else w.period
    w.hold = s.config[0].depthwise_round_trip - 1 if w.several else 0
    w.padding, w.first, w.fresh = 0, 1, 1
    w.y, w.output_x, w.output_address = w.group_y, w.segment_x, w.segment_address
    w.x, w.address = w.output_x, w.output_address


@compiled
def advance(s: State) -> None:
    """The position here becomes the candidate; go to the next one."""
    config, chain = s.config[0], s.depthwise
    w, c, d = chain.walk[0], chain.candidate[0], s.post_process.depthwise[0]
    last_segment = w.kernel_rows <= w.rows and w.kernel_columns <= w.columns
    ends = (w.padding or (w.reads == 1 and w.outputs == 1)) and w.hold == 0
    c.begin = w.fresh
    c.swap, c.word, c.sum_row = w.first, w.word, w.sum_row
    c.carry = 1 if d.carry or w.kernel_rows < d.kernel_height or w.kernel_columns < d.kernel_width else 0
    c.result = 1 if w.fresh and last_segment and not d.keep else 0
    c.last = 1 if ends and last_segment and w.pixels == w.strip and w.lines == 1 else 0
    c.illegal = 1 if c.result and (w.output & _MASK) >= config.output_depth else 0
    inside = not w.padding and 0 <= w.x < d.input_width
    for k in range(len(chain.rows)):
        y, row = w.y + k * d.dilation_height, (w.address + k * w.row_step) & _MASK
        read = inside and k < min(w.rows, w.kernel_rows) and 0 <= y < d.input_height
        chain.rows[k] = row if read else -1
        if read and row >= config.operand_depth:
            c.illegal = 1

    w.first = 0
    if w.fresh:
        w.fresh = 0
        w.sum_row = (w.sum_row + 1) % DEPTHWISE_SUMS
        if c.result:
            w.output += d.output_stride
    if ends:
        _next_segment(s, w, d)
    elif w.padding or (w.reads == 1 and w.outputs == 1):
        w.padding = 1
        w.hold -= 1
    else:
        w.hold = max(w.hold - 1, 0)
        w.reads -= 1
        if w.reads:
            w.x += 1
            w.address += w.pixel_step
        else:
            w.outputs -= 1
            w.reads = w.wide if w.outputs == 1 else w.period
            w.output_x += d.stride_width
            w.output_address += w.output_step
            w.x, w.address, w.fresh = w.output_x, w.output_address, 1


@compiled
def _next_segment(s: State, w: Any, d: Any) -> None:
    """The next segment of the strip, or the first one of the next strip."""
    w.word = (w.word + 1) % DEPTHWISE_WORDS
    if w.kernel_columns > w.columns:
        w.kernel_columns -= w.columns
        w.segment_x += w.columns * d.dilation_width
        w.segment_address += w.segment_step
        _segment(s, w, d)
    elif w.kernel_rows > w.rows:
        w.kernel_rows -= w.rows
        w.group_y += w.rows * d.dilation_height
        w.group_address += w.group_step
        _group(s, w, d)
    else:
        w.strip_sum_row = w.sum_row
        w.pixels -= w.strip
        if w.pixels:
            w.strip_x += DEPTHWISE_SUMS * d.stride_width
            w.strip_address += DEPTHWISE_SUMS * w.output_step
        else:
            w.lines -= 1
            w.line_y += d.stride_height
            w.line_address += w.line_step
            _line(w, d)
        _strip(s, w, d)
