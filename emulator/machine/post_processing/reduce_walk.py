"""The rows of codes that post-processing reads, one after the other, kernel positions innermost."""

from __future__ import annotations

from ...instructions import ADDRESS_BITS, COUNTER_ROWS, Opcode
from ..compiled import compiled
from ..state import State

_REQUANTIZE, _REDUCE = int(Opcode.REQUANTIZE), int(Opcode.REDUCE)
_MASK = (1 << ADDRESS_BITS) - 1
_FIELD = (1 << 16) - 1
"""What a field of a row holds."""


@compiled
def counter_row(s: State) -> int:
    """Output row of the first counters that are stored."""
    p = s.post_process
    r = p.registers[0]
    if r.between:
        return int((p.requantize[0].counter_row + COUNTER_ROWS * r.block) & _FIELD)
    return int(p.counters[0].output_row)


@compiled
def start(s: State) -> None:
    """Go to the first position."""
    p = s.post_process
    w, r = p.walk[0], p.registers[0]
    w.window_pixels = w.window_lines = w.pixels = w.lines = w.first = 1
    w.y = w.x = 0
    if r.opcode == _REDUCE:
        d = p.reduce[0]
        w.window_pixels, w.window_lines = d.kernel_width, d.kernel_height
        w.pixels, w.lines = d.output_width, d.output_height
        w.y, w.x = -d.pad_top, -d.pad_left
        w.window_pixel_rows = d.dilation_width * d.pixel_rows
        w.window_line_rows = d.dilation_height * d.input_width * d.pixel_rows
        w.pixel_rows = d.stride_width * d.pixel_rows
        w.line_rows = d.stride_height * d.input_width * d.pixel_rows
        w.address = d.input_row - (d.pad_top * d.input_width + d.pad_left) * d.pixel_rows
        w.output = d.output_row
    elif r.opcode == _REQUANTIZE:
        q = p.requantize[0]
        w.pixels, w.pixel_rows = q.count, q.operand_stride
        w.address, w.output = q.operand_row + r.block, q.output_row + r.block
        w.sums = q.accumulator_row + r.block * q.count
    else:
        w.pixels, w.output = COUNTER_ROWS, counter_row(s)
    w.window_y, w.window_x = w.y, w.x
    w.window_address = w.window_line_address = w.line_address = w.address


@compiled
def advance(s: State) -> None:
    """The position here becomes the candidate; go to the next one."""
    p, config = s.post_process, s.config[0]
    c, w, r = p.candidate[0], p.walk[0], p.registers[0]
    window = r.opcode == _REDUCE
    operand, output = w.address & _MASK, w.output & _MASK
    c.first, c.operand, c.sums, c.valid = w.first, operand, w.sums, r.operands
    c.illegal = 0
    if window:
        d = p.reduce[0]
        c.valid = 1 if 0 <= w.y < d.input_height and 0 <= w.x < d.input_width else 0
    if output >= config.output_depth or (c.valid and operand >= config.operand_depth):
        c.illegal = 1
    if r.opcode == _REQUANTIZE and w.sums >= config.accumulator_depth:
        c.illegal = 1
    c.result = 1 if w.window_pixels == 1 and w.window_lines == 1 else 0
    c.last = 1 if c.result and w.pixels == 1 and w.lines == 1 else 0

    w.first = c.result
    if c.result:
        w.sums += 1
        w.output += r.stride
    if w.window_pixels > 1:
        w.window_pixels -= 1
        w.address += w.window_pixel_rows
        w.x += p.reduce[0].dilation_width
        return
    if w.window_lines > 1:
        w.window_lines -= 1
        w.window_line_address += w.window_line_rows
        w.address = w.window_line_address
        w.y += p.reduce[0].dilation_height
        w.x = w.window_x
        w.window_pixels = p.reduce[0].kernel_width
        return
    if w.pixels > 1:
        w.pixels -= 1
        w.window_address += w.pixel_rows
        w.window_x += p.reduce[0].stride_width
    else:
        w.lines -= 1
        w.line_address += w.line_rows
        w.window_address = w.line_address
        w.window_y += p.reduce[0].stride_height
        w.window_x = -p.reduce[0].pad_left
        w.pixels = p.reduce[0].output_width
    w.y, w.x, w.address, w.window_line_address = w.window_y, w.window_x, w.window_address, w.window_address
    if window:
        w.window_pixels, w.window_lines = p.reduce[0].kernel_width, p.reduce[0].kernel_height
