"""The lanes' chain of steps of a DEPTHWISE. Its time is that of lane 0: a step a cycle, from the code's read on."""

from __future__ import annotations

from ...instructions import WEIGHT_ZERO_POINT_ROW
from ...timing import DEPTHWISE_STREAM_DELAY
from ..array.sums import read_bias
from ..compiled import compiled, copy
from ..state import State
from ..state.depthwise import READS
from .post_process_lanes import count_overflow, end_instruction, fly, requantize
from .requantize import sign_extend


@compiled
def load_parameters(s: State) -> None:
    """Take biases and the weights' zero points from the parameter memory."""
    chain, config, entry = s.depthwise, s.config[0], s.post_process.registers[0].entry
    read_bias(s.parameters, entry, min(config.accumulator_bits, 32), chain.bias, chain.flags[0])
    for c in range(config.columns):
        zero_point = sign_extend(int(s.parameters[entry, WEIGHT_ZERO_POINT_ROW, c]), config.weight_bits)
        chain.zero_point[c] = zero_point if config.weight_zero_points else 0


@compiled
def issue(s: State, ends: int) -> None:
    """The candidate is at lane 0 in the next cycle; what ends with it, as in `PostProcess.ends`."""
    chain = s.depthwise
    i, c = chain.issued[0], chain.candidate[0]
    i.ends = ends
    i.begin, i.swap, i.word, i.carry, i.result, i.sum_row = c.begin, c.swap, c.word, c.carry, c.result, c.sum_row
    copy(chain.issued_rows, chain.rows)


@compiled
def idle(s: State) -> None:
    """Nothing is at lane 0 in the next cycle."""
    chain = s.depthwise
    chain.issued[0].begin, chain.issued[0].swap, chain.issued[0].ends = 0, 0, 0
    for k in range(len(chain.issued_rows)):
        chain.issued_rows[k] = -1


@compiled
def step(s: State, now: int) -> None:
    """One cycle: what left the chain is requantized or waits; each step takes its code; a position enters."""
    p, chain, config = s.post_process, s.depthwise, s.config[0]
    taps, columns = config.depthwise_taps, config.columns
    end = chain.steps[taps - 1]
    if end.begin and end.result:
        copy(p.operand, chain.sums[taps - 1])
        count_overflow(s, chain.flags[taps - 1])
        requantize(s, now % len(p.flight))
        fly(s, now)
    elif end.begin:
        copy(s.waiting_sums[end.sum_row], chain.sums[taps - 1])
        copy(s.waiting_flags[end.sum_row], chain.flags[taps - 1])
    if end.ends:
        end_instruction(s, now, end.ends)

    copy(chain.reads[now % READS], chain.issued_rows)
    for place in range(taps - 1, 0, -1):
        here, above = chain.steps[place], chain.steps[place - 1]
        here.begin, here.swap, here.result, here.sum_row = above.begin, above.swap, above.result, above.sum_row
        here.ends = above.ends
        if here.begin:
            copy(chain.sums[place], chain.sums[place - 1])
            copy(chain.flags[place], chain.flags[place - 1])
            _accumulate(s, place, now)
    first, i = chain.steps[0], chain.issued[0]
    first.begin, first.swap, first.result, first.sum_row, first.ends = i.begin, i.swap, i.result, i.sum_row, i.ends
    if not i.begin:
        return
    if i.swap:
        for place in range(taps):
            for c in range(columns):
                code = sign_extend(int(s.depthwise_weights[i.word, place, c]), config.weight_bits)
                chain.word[place, c] = code - chain.zero_point[c]
    if i.carry:
        copy(chain.sums[0], s.waiting_sums[i.sum_row])
        copy(chain.flags[0], s.waiting_flags[i.sum_row])
    else:
        copy(chain.sums[0], chain.bias)
        for c in range(columns):
            chain.flags[0, c] = 0
    _accumulate(s, 0, now)


@compiled
def _accumulate(s: State, place: int, now: int) -> None:
    """One step of the contract's section 2: the code that is read in this cycle, by the step's weight."""
    chain, config, r = s.depthwise, s.config[0], s.post_process.registers[0]
    if chain.steps[place].swap:
        copy(chain.weights[place], chain.word[place])
    stream = 0
    if chain.walk[0].columns < config.depthwise_taps:
        stream = place // DEPTHWISE_STREAM_DELAY
    row = chain.reads[(now - stream * DEPTHWISE_STREAM_DELAY) % READS, stream]
    if row < 0:
        return
    bits = config.accumulator_bits
    high = (1 << (bits - 1)) - 1
    for c in range(config.columns):
        code = sign_extend(int(s.operand[row, c]), config.activation_bits) - r.input_zero_point
        exact = chain.sums[place, c] + code * chain.weights[place, c]
        kept = min(max(exact, -high - 1), high) if config.saturate else sign_extend(exact, bits)
        if kept != exact:
            chain.flags[place, c] = 1
        chain.sums[place, c] = kept
