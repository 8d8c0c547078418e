"""Sequencer: words become instructions, instructions wait in their unit's queue, tokens let them go."""

from __future__ import annotations

from typing import Any

from ...front_end import DECODE_STAGES, INDEX_BITS
from ...instructions import FORMATS, INSTRUCTION_BYTES, QUEUE_DEPTH, TOKEN_BITS, Error, Opcode
from ..array import convolve
from ..compiled import compiled, copy
from ..post_processing import post_process
from ..state import State
from ..state.sequencer import UNITS
from ..transfer import load, store
from .decode import UNIT_OF_OPCODE, decode_fields
from .fetch import END

_BUS, _HALT = int(Error.BUS), int(Opcode.HALT)
_STOPPED = DECODE_STAGES + 1
_INDICES = (1 << INDEX_BITS) - 1
_MOST_TOKENS = (1 << TOKEN_BITS) - 1
_WAIT = [field.name for field in FORMATS[Opcode.LOAD]].index("wait")


@compiled
def _unit_wires(s: State, u: int, ready: bool) -> bool:
    """Keep the port's registers, decide the take; whether the unit and its queue are at rest."""
    q, port, seen, issue = s.front.queues[u], s.ports[u], s.front.seen[u], s.issue[u]
    if port.finished | port.fault | seen.finished | seen.fault:
        seen.finished, seen.signals, seen.finished_index = port.finished, port.signals, port.finished_index
        seen.fault, seen.fault_code, seen.fault_index = port.fault, port.fault_code, port.fault_index
    seen.busy = port.busy
    q.present = 1 if q.level > 0 or q.valid else 0
    issue.take = 1 if q.eligible and ready else 0
    if issue.take:
        issue.opcode, issue.index = q.opcode, q.index
        copy(s.issue_fields[u], s.front.heads[u])
        if len(s.timeline):
            s.timeline[q.index % len(s.timeline), 0] = u
            s.timeline[q.index % len(s.timeline), 1] = s.control[0].now
    if seen.finished and len(s.timeline):
        s.timeline[seen.finished_index % len(s.timeline), 2] = s.control[0].now
    return not (seen.finished or q.eligible or (q.level > 0 and not q.valid))


@compiled
def wakes(s: State) -> bool:
    """Whether the front end can change: it did in the cycle before, or what it looks at has changed since."""
    r, c = s.front.registers[0], s.control[0]
    if not r.resting or c.halt != r.halt or c.stopping != r.stopping:
        return True
    for u in range(UNITS):
        if s.ports[u].finished | s.ports[u].fault or s.ports[u].busy != s.front.seen[u].busy:
            return True
    heads = s.front.queues
    return bool(
        (heads[0].eligible and load.ready(s))
        or (heads[1].eligible and convolve.ready(s))
        or (heads[2].eligible and post_process.ready(s))
        or (heads[3].eligible and store.ready(s))
    )


@compiled
def wires(s: State) -> None:
    """What the front end drives in this cycle."""
    r, f, c = s.front.registers[0], s.fetch.registers[0], s.control[0]
    rest = _unit_wires(s, 0, load.ready(s))
    rest &= _unit_wires(s, 1, convolve.ready(s))
    rest &= _unit_wires(s, 2, post_process.ready(s))
    rest &= _unit_wires(s, 3, store.ready(s))
    busy = s.ports[0].busy | s.ports[1].busy | s.ports[2].busy | s.ports[3].busy
    blocked = False
    if r.stage == DECODE_STAGES and not r.code_error:
        unit = UNIT_OF_OPCODE[s.front.code[0]]
        blocked = unit >= 0 and s.front.queues[unit].level == QUEUE_DEPTH
    r.halt, r.stopping = c.halt, c.stopping
    r.stop = 1 if c.halt or r.ended else 0
    r.idle = 1 if not busy and f.expected == 0 else 0
    r.quiet = 1 if rest and r.idle and (r.ended or blocked) else 0


@compiled
def _step_queue(s: State, u: int, push: bool) -> None:
    """Queue and head of one unit; `push`: the instruction in the decoder enters."""
    q, entries, take = s.front.queues[u], s.front.entries[u], s.issue[u].take
    if take:
        q.eligible = q.asleep = 0
    elif q.valid:
        wait, there = s.front.heads[u, _WAIT], True
        for v in range(UNITS):
            there &= not (wait >> v) & 1 or s.front.tokens[v, u] > 0
        q.eligible = 1 if there and not s.front.registers[0].stopping else 0
        q.asleep = 1
    if q.level > 0 and (take or not q.valid):
        q.opcode, q.index = entries[q.read, 0], entries[q.read, 1]
        copy(s.front.heads[u], entries[q.read, 2:])
        q.read = (q.read + 1) % QUEUE_DEPTH
        q.level -= 1
        q.valid = 1
        q.asleep = 0
    elif take:
        q.valid = 0
    if push:
        entries[q.write, 0], entries[q.write, 1] = s.front.code[0], s.front.registers[0].code_index
        copy(entries[q.write, 2:], s.front.fields)
        q.write = (q.write + 1) % QUEUE_DEPTH
        q.level += 1


@compiled
def _step_tokens(s: State) -> None:
    """Consume for what is taken, produce for what has finished."""
    for u in range(UNITS):
        seen, fault = s.front.seen[u], s.front.token_faults[u]
        fault.fault, s.front.queues[u].asleep = 0, 0
        for v in range(UNITS):
            produced = seen.finished and (seen.signals >> v) & 1
            consumed = s.issue[v].take and (s.issue_fields[v, _WAIT] >> u) & 1
            if produced and not consumed:
                if s.front.tokens[u, v] == _MOST_TOKENS:
                    fault.fault, fault.index = 1, seen.finished_index
                else:
                    s.front.tokens[u, v] += 1
            elif consumed and not produced:
                s.front.tokens[u, v] -= 1


@compiled
def _refuse(r: Any, code: int, index: int) -> None:
    """Pulse a fault and decode nothing more."""
    r.fault, r.fault_code, r.fault_index = 1, code, index
    r.stage = _STOPPED


@compiled
def step(s: State) -> None:
    """Decoder, queues and tokens; must come before `fetch.step`, whose buffer it looks at."""
    r, f = s.front.registers[0], s.fetch.registers[0]
    words = INSTRUCTION_BYTES // s.config[0].bus_bytes
    r.fault = 0
    stage, still = r.stage, True
    pushed, empty, exhausted = -1, r.stage == 0, f.state == END and f.reserved == 0
    if r.stage == DECODE_STAGES and not r.halt:
        if r.code_error:
            _refuse(r, r.code_error, r.code_index)
        elif s.front.code[0] == _HALT:
            r.ended = 1
            r.stage = _STOPPED
        else:
            unit = UNIT_OF_OPCODE[s.front.code[0]]
            if s.front.queues[unit].level < QUEUE_DEPTH:
                pushed = unit
                r.stage = 0
    elif 0 < r.stage < DECODE_STAGES:
        r.stage += 1
    elif r.stage == 0 and r.gathered == 0 and exhausted and not r.halt:
        _refuse(r, f.end, r.index)
    for u in range(UNITS):
        q = s.front.queues[u]
        awake = (q.level > 0 or q.valid) and not (q.asleep and not s.issue[u].take and not r.stopping)
        still &= not s.front.seen[u].fault
        if pushed == u or awake:
            still = False
            _step_queue(s, u, pushed == u)
    if (
        s.issue[0].take | s.issue[1].take | s.issue[2].take | s.issue[3].take
        | s.front.seen[0].finished | s.front.seen[1].finished | s.front.seen[2].finished | s.front.seen[3].finished
    ):  # fmt: skip
        still = False
        _step_tokens(s)
    moves = r.gathered == words and empty
    f.shift = 1 if f.level > 0 and (r.gathered < words or moves) else 0
    if moves:
        copy(s.front.code, s.front.gathered)
        r.code_index = r.index
        r.code_error = _BUS if r.refused else decode_fields(s.front.code, s.front.fields, s.config[0])
        r.index = (r.index + 1) & _INDICES
        r.stage = 1
        r.gathered = r.refused = 0
    if f.shift:
        bus_bytes = s.config[0].bus_bytes
        for byte in range(bus_bytes):
            s.front.gathered[r.gathered * bus_bytes + byte] = s.fetch.words[f.read, byte]
        r.refused |= s.fetch.errors[f.read]
        r.gathered += 1
    r.resting = 1 if still and stage == r.stage and not (moves or f.shift or r.fault) else 0
