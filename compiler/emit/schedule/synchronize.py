"""Tokens: which instruction must wait for which, from the rows and bytes that they read and write.

A unit executes its own instructions in order, so only pairs of different units need a token, and of several
instructions of one unit that an instruction depends on, only the last. What a unit once waited for, it need not wait
for again. Every signal meets just one wait, in order, because both only move forward.

A counter of tokens holds `MOST_TOKENS`. Where those that an instruction gives might not all have been consumed when it
ends, the one that would have waited for it waits for a later instruction of the same unit; if there is none, the one
that waits for the last token does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emulator.instructions import QUEUE_DEPTH, TOKEN_BITS, Unit

from .external_hazards import LastWriter
from .operation import READERS, WRITER, Access, Memory, Operation

MOST_TOKENS = (1 << TOKEN_BITS) - 1
QUEUED_MOST = QUEUE_DEPTH + 1
"""Instructions of a unit that the sequencer has passed and that have not started: those in its queue, and the head."""


class _Tokens:
    """The tokens given and consumed so far, and what surely lies behind when an instruction starts.

    begun [index] : of each unit the last instruction that has started when instruction `index` does, −1 where none has
    own [unit] : a unit's instructions
    signals, waits [u][v] : instructions of u that give v a token, those of v that consume one
    """

    def __init__(self) -> None:
        units = range(len(Unit))
        self.begun: list[list[int]] = []
        self.own: list[list[int]] = [[] for _ in units]
        self.signals, self.waits = ([[list[int]() for _ in units] for _ in units] for _ in range(2))

    def signaller(self, giver: int, taker: int, least: int) -> int:
        """The first of the giver's instructions from `least` on whose token the taker's counter surely has room for;
        −1 if there is none."""
        own, given = self.own[giver], len(self.signals[giver][taker])
        waits = self.waits[giver][taker]

        def fits(index: int) -> bool:
            return given + 1 - bisect_right(waits, self.begun[index][taker]) <= MOST_TOKENS

        if fits(least):
            return least
        found = bisect_left(own, True, bisect_left(own, least), key=fits)
        return own[found] if found < len(own) else -1

    def move(self, giver: int, taker: int) -> tuple[int, int]:
        """The last token comes from the giver's last instruction; returns (who gave it before, who does).

        Where none fits, all but a queue of the waits lie behind that instruction, so none waits for a later one.
        """
        signals, last = self.signals[giver][taker], self.own[giver][-1]
        before, signals[-1] = signals[-1], last
        return before, last

    def add(self, index: int, unit: int, needed: Sequence[int]) -> None:
        """An instruction waits for others of other units, −1: for none of them."""
        own = self.own[unit]
        begun = list(self.begun[own[-1]]) if own else [-1] * len(Unit)
        for other, last in enumerate(needed):
            if last >= 0:
                begun = list(map(max, begun, self.begun[last]))
                self.signals[other][unit].append(last)
                self.waits[other][unit].append(index)
        for other, earlier in enumerate(self.own):
            if len(earlier) > QUEUED_MOST and earlier[-QUEUED_MOST - 1] > begun[other]:
                begun[other] = earlier[-QUEUED_MOST - 1]
        begun[unit] = index
        self.begun.append(begun)
        own.append(index)


@cache
def _offsets(count: int, pitch: int, width: int) -> NDArray[np.int64]:
    return np.asarray((np.arange(count)[:, None] * pitch + np.arange(width)).reshape(-1))


def rows(access: Access) -> slice | NDArray[np.int64]:
    """The rows of a placed access."""
    first = access.buffer.address + access.offset
    if access.count == 1 or access.pitch == access.width:
        return slice(first, first + access.count * access.width)
    return first + _offsets(access.count, access.pitch, access.width)


def synchronize(program: Sequence[Operation], depths: dict[Memory, int], memory_bytes: int) -> None:
    """Set `wait` and `signal` of operations in program order."""
    written = {memory: np.full(depth, -1, np.int64) for memory, depth in depths.items()}
    read = {
        (memory, unit): np.full(depth, -1, np.int64) for memory, depth in depths.items() for unit in READERS[memory]
    }
    stored = LastWriter(memory_bytes)
    known, tokens = [[-1] * len(Unit) for _ in Unit], _Tokens()
    for index, operation in enumerate(program):
        unit = operation.unit
        needed = [-1] * len(Unit)
        touched = []
        for access in operation.accesses:
            memory, at = access.buffer.memory, rows(access)
            if access.write:
                for reader in READERS[memory]:
                    if reader != unit:
                        needed[reader] = max(needed[reader], int(np.maximum.reduce(read[memory, reader][at])))
                touched.append((written[memory], at))
            else:
                if WRITER[memory] != unit:
                    needed[WRITER[memory]] = max(needed[WRITER[memory]], int(np.maximum.reduce(written[memory][at])))
                touched.append((read[memory, unit], at))
        if operation.transfer is not None and unit == Unit.LOAD:
            needed[Unit.STORE] = stored.read(operation.transfer)
        for table, at in touched:
            table[at] = index
        if operation.transfer is not None and unit == Unit.STORE:
            stored.write(operation.transfer, index)
        for other, last in enumerate(needed):
            if last <= known[other][unit]:
                needed[other] = -1
                continue
            last = needed[other] = tokens.signaller(other, unit, last)
            if last >= 0:
                operation.wait |= 1 << other
            else:
                before, last = tokens.move(other, unit)
                program[before].signal &= ~(1 << unit)
            program[last].signal |= 1 << unit
            known[other][unit] = last
        tokens.add(index, unit, needed)
