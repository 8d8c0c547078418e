"""Tokens: which instruction must wait for which, from the rows and bytes that they read and write.

A unit executes its own instructions in order, so only pairs of different units need a token, and of several
instructions of one unit that an instruction depends on, only the last. What a unit once waited for, it need not wait
for again. Every signal meets just one wait, in order, because both only move forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emulator.instructions import Unit

from .external_hazards import LastWriter
from .operation import READERS, WRITER, Access, Memory, Operation


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
    known = np.full((len(Unit), len(Unit)), -1, np.int64)
    for index, operation in enumerate(program):
        unit = operation.unit
        needed = [-1] * len(Unit)
        for access in operation.accesses:
            memory = access.buffer.memory
            at = rows(access)
            if access.write:
                for reader in READERS[memory]:
                    if reader != unit:
                        needed[reader] = max(needed[reader], int(read[memory, reader][at].max()))
            elif WRITER[memory] != unit:
                needed[WRITER[memory]] = max(needed[WRITER[memory]], int(written[memory][at].max()))
        if operation.transfer is not None and unit == Unit.LOAD:
            needed[Unit.STORE] = stored.read(operation.transfer)
        for access in operation.accesses:
            table = written[access.buffer.memory] if access.write else read[access.buffer.memory, unit]
            table[rows(access)] = index
        if operation.transfer is not None and unit == Unit.STORE:
            stored.write(operation.transfer, index)
        for other, last in enumerate(needed):
            if last > known[other, unit]:
                program[last].signal |= 1 << unit
                operation.wait |= 1 << other
                known[other, unit] = last
