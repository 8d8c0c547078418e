"""The post-process lanes: what becomes of a position whose rows lane 0 has read. Their time is that of lane 0."""

from __future__ import annotations

from typing import Any

from ...instructions import ADDRESS_BITS, Mode, Opcode, Unit
from ...operators.requantization.multiplier import RESCALED_BITS, RESCALED_SUM_BITS
from ..compiled import compiled, copy
from ..state import State
from ..state.post_process import ENDED, LOOKED_UP, RESULT
from .requantize import clamp, round_shift, sign_extend

_UNIT = int(Unit.POST_PROCESS)
_REQUANTIZE, _COUNTERS = int(Opcode.REQUANTIZE), int(Opcode.COUNTERS)
_MAXIMUM, _SUM, _PRODUCT = int(Mode.MAXIMUM), int(Mode.SUM), int(Mode.PRODUCT)
_ROW_MASK = (1 << ADDRESS_BITS) - 1
_OVERFLOWED, _CLIPPED, _ADD_CLIPPED = range(3)
_ADDER_MULTIPLIER_BITS, _OPERAND_BITS = 16, 24
"""Least widths of the adder's multipliers and of the requantizer's operand."""


@compiled
def load_parameters(s: State) -> None:
    """Take multipliers and shifts from the parameter memory."""
    p, config = s.post_process, s.config[0]
    entry = s.parameters[p.registers[0].entry]
    mask = (1 << config.multiplier_bits) - 1
    for c in range(config.columns):
        word = 0
        for byte in range(4):
            word |= int(entry[4 + byte, c]) << (8 * byte)
        p.multiplier[c] = word & mask
        p.shift[c] = int(entry[8, c]) & 63


@compiled
def fetch(s: State, row: int) -> None:
    """Read an accumulator row; it stays until the next one is read."""
    copy(s.post_process.sums, s.sums[row])
    copy(s.post_process.overflowed, s.overflowed[row])


@compiled
def read(s: State, slot: int) -> None:
    """The position at lane 0: read its rows; a window's last one gives codes, which wait in `codes[slot]`."""
    p, columns = s.post_process, s.config[0].columns
    r = p.registers[0]
    if r.opcode == _COUNTERS:
        counter, shift = r.counter_row // 4, 8 * (r.counter_row % 4)
        for c in range(columns):
            p.codes[slot, c] = sign_extend(s.lane_counters[counter, c] >> shift, 8)
        r.counter_row += 1
        return
    if r.opcode == _REQUANTIZE:
        copy(p.operand, p.sums)
        count_overflow(s, p.overflowed)
    else:
        _gather(s)
    if r.issued_result:
        requantize(s, slot)


@compiled
def count_overflow(s: State, flags: Any) -> None:
    """Count the sums whose flag is set, in the lanes that count."""
    if s.config[0].counters:
        for c in range(min(s.post_process.registers[0].lanes, s.config[0].columns)):
            s.lane_counters[_OVERFLOWED, c] += flags[c]


@compiled
def _gather(s: State) -> None:
    """A code of a window."""
    p, bits = s.post_process, s.config[0].activation_bits
    r, d = p.registers[0], p.reduce[0]
    zero_point = d.input_zero_point
    if d.mode == _MAXIMUM:
        zero_point = 0
    elif d.mode == _PRODUCT and not r.issued_first:
        zero_point = d.second_zero_point
    for c in range(s.config[0].columns):
        difference = 0
        if r.issued_valid:
            difference = sign_extend(int(s.operand[r.issued_operand, c]), bits) - zero_point
        if r.issued_first:
            p.held[c] = difference
            p.operand[c] = difference
            if d.mode == _MAXIMUM and not r.issued_valid:
                p.operand[c] = -(1 << (bits - 1))
        elif d.mode == _SUM:
            p.operand[c] = sign_extend(p.operand[c] + difference, max(s.config[0].accumulator_bits, _OPERAND_BITS))
        elif r.issued_valid and d.mode == _MAXIMUM:
            p.operand[c] = max(p.operand[c], difference)
        elif r.issued_valid and d.mode == _PRODUCT:
            p.operand[c] = p.held[c] * difference


@compiled
def requantize(s: State, slot: int) -> None:
    """Requantizer and adder; the codes wait in `codes[slot]`."""
    p, config = s.post_process, s.config[0]
    r = p.registers[0]
    byte = p.requantize[0].byte if r.opcode == _REQUANTIZE else 0
    bits, rounding, digits = config.activation_bits, config.rounding, config.multiplier_bits
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    for c in range(config.columns):
        if byte:
            code = sign_extend(p.operand[c] >> (8 * (byte - 1)), 8)
            p.codes[slot, c] = _add(s, c, code) if r.add else code
            continue
        value = round_shift(p.operand[c] * p.multiplier[c], p.shift[c], rounding, digits) + r.zero_point
        if config.counters and c < r.lanes and (value < low or value > high):
            s.lane_counters[_CLIPPED, c] += 1
        code = clamp(value, r.y_min, r.y_max)
        p.codes[slot, c] = _add(s, c, code) if r.add else code


@compiled
def _add(s: State, c: int, code: int) -> int:
    """The adder of lane c."""
    p, config = s.post_process, s.config[0]
    r, a = p.registers[0], p.adder[0]
    b = 0
    if r.issued_valid:
        b = sign_extend(int(s.operand[r.issued_operand, c]), config.activation_bits) - a.b_zero_point
    value = _rescaled(s, code, b) if config.rescaled_adder else _shared(s, code, b)
    half = 1 << (config.activation_bits - 1)
    if config.counters and c < r.lanes and (value < -half or value >= half):
        s.lane_counters[_ADD_CLIPPED, c] += 1
    return clamp(value, a.y_min, a.y_max)


@compiled
def _shared(s: State, code: int, b: int) -> int:
    """The sum of both terms, rounded once, and the zero point; b: a code minus its zero point."""
    a, config = s.post_process.adder[0], s.config[0]
    mask = (1 << max(config.multiplier_bits, _ADDER_MULTIPLIER_BITS)) - 1
    total = (code - a.a_zero_point) * (a.a_multiplier & mask) + (-b if a.subtract else b) * (a.b_multiplier & mask)
    return int(round_shift(total, a.shift, config.rounding, config.multiplier_bits) + a.zero_point)


@compiled
def _rescaled(s: State, code: int, b: int) -> int:
    """The same with each term rounded for itself (contract, section 11)."""
    a, config = s.post_process.adder[0], s.config[0]
    bits, rounding = config.multiplier_bits, config.rounding
    mask = (1 << bits) - 1
    left = round_shift(((code - a.a_zero_point) * (a.a_multiplier & mask)) << RESCALED_BITS, a.a_shift, rounding, bits)
    right = round_shift((b * (a.b_multiplier & mask)) << RESCALED_BITS, a.b_shift, rounding, bits)
    total = sign_extend(left - right if a.subtract else left + right, RESCALED_SUM_BITS)
    return int(round_shift(total * (a.multiplier & mask), a.shift, rounding, bits) + a.zero_point)


@compiled
def fly(s: State, now: int) -> None:
    """A result whose codes are known, or will be in the next cycle, is on its way to the next row."""
    p = s.post_process
    r, slot = p.registers[0], now % len(p.flight)
    p.flight[slot] = RESULT | LOOKED_UP if r.table else RESULT
    p.rows[slot] = r.row
    r.row = (r.row + r.stride) & _ROW_MASK
    r.settled = max(r.settled, now + s.config[0].settings_delay)
    r.counted = max(r.counted, now + s.config[0].counters_delay)


@compiled
def end_instruction(s: State, now: int, ends: int) -> None:
    """The instruction that has begun last ends with what is issued now; `ends` : as in `PostProcess`."""
    p = s.post_process
    r, slot = p.registers[0], now % len(p.flight)
    p.ends[slot], p.ended_index[slot], p.ended_signal[slot] = ends, r.index, r.signal


@compiled
def deliver(s: State, now: int) -> None:
    """Results on their way: their tables; the row of the oldest, and what ends with it."""
    p, columns, cycles = s.post_process, s.config[0].columns, len(s.post_process.flight)
    slot = (now - s.config[0].code_delay) % cycles
    if p.flight[slot] & LOOKED_UP:
        bits = s.config[0].activation_bits
        half = 1 << (bits - 1)
        for c in range(columns):
            p.codes[slot, c] = s.table[sign_extend(int(p.codes[slot, c]), bits) + half, c]
    slot = (now + 1) % cycles
    if p.flight[slot]:
        copy(s.output[p.rows[slot]], p.codes[slot])
    if p.ends[slot]:
        p.registers[0].under_way -= 1
        if p.ends[slot] == ENDED:
            finish(s, p.ended_index[slot], p.ended_signal[slot])


@compiled
def finish(s: State, index: int, signals: int) -> None:
    """Say that an instruction has ended."""
    port = s.ports[_UNIT]
    port.finished, port.finished_index, port.signals = 1, index, signals
