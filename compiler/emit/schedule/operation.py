"""`Operation`: an instruction before its rows and tokens are known, with what it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emulator.config import AcceleratorConfig
from emulator.instructions import DEPTHWISE_WORDS, PARAMETER_ENTRIES, UNIT_OF, Instruction, Opcode, Target, Unit

GRANULE = 8
"""Bytes of external memory that are taken as one; of more, a column block's codes would wait for those of the next."""


class Memory(IntEnum):
    """The accelerator's memories; those that a LOAD fills have the number of its target."""

    ACTIVATION = Target.ACTIVATION
    WEIGHT = Target.WEIGHT
    OPERAND = Target.OPERAND
    PARAMETER = Target.PARAMETER
    TABLE = Target.TABLE
    DEPTHWISE = Target.DEPTHWISE
    OUTPUT = 6
    ACCUMULATOR = 7


WRITER = {memory: Unit.LOAD for memory in Memory} | {
    Memory.OUTPUT: Unit.POST_PROCESS,
    Memory.ACCUMULATOR: Unit.CONVOLVE,
}
"""The unit that writes a memory: always one."""
READERS = {
    Memory.ACTIVATION: (Unit.CONVOLVE,),
    Memory.WEIGHT: (Unit.CONVOLVE,),
    Memory.OPERAND: (Unit.POST_PROCESS,),
    Memory.PARAMETER: (Unit.CONVOLVE, Unit.POST_PROCESS),
    Memory.TABLE: (Unit.POST_PROCESS,),
    Memory.DEPTHWISE: (Unit.POST_PROCESS,),
    Memory.OUTPUT: (Unit.STORE,),
    Memory.ACCUMULATOR: (Unit.CONVOLVE, Unit.POST_PROCESS),
}


def depths(config: AcceleratorConfig) -> dict[Memory, int]:
    """Rows of each memory; parameters are counted in entries, depthwise weights in words, and a table is one row."""
    return {
        Memory.ACTIVATION: config.activation_depth,
        Memory.WEIGHT: config.weight_depth,
        Memory.OPERAND: config.operand_depth,
        Memory.PARAMETER: PARAMETER_ENTRIES,
        Memory.TABLE: 1,
        Memory.DEPTHWISE: DEPTHWISE_WORDS,
        Memory.OUTPUT: config.output_depth,
        Memory.ACCUMULATOR: config.accumulator_depth,
    }


@dataclass(eq=False, slots=True)
class Buffer:
    """Rows of a memory for one content: written once, then read; `schedule` gives it its address."""

    memory: Memory
    rows: int
    address: int = -1


@dataclass(frozen=True, slots=True)
class Access:
    """Rows of a buffer: `count` times `width` rows from `offset` on, `pitch` rows from one to the next."""

    buffer: Buffer
    offset: int
    count: int
    pitch: int
    width: int
    write: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A field's value: the address of a buffer's row, times `scale`."""

    buffer: Buffer
    offset: int = 0
    scale: int = 1


@dataclass(frozen=True)
class Transfer:
    """Bytes of external memory: lines × pixels × bytes."""

    address: int
    lines: int
    line_stride: int
    pixels: int
    pixel_stride: int
    pixel_bytes: int

    @cached_property
    def granules(self) -> slice | NDArray[np.int64]:
        """Indices of the granules that it touches, some of them more than once."""
        if self.lines * self.pixels == 1:
            return slice(self.address // GRANULE, (self.address + self.pixel_bytes - 1) // GRANULE + 1)
        line = np.arange(self.lines, dtype=np.int64) * self.line_stride
        pixel = np.arange(self.pixels, dtype=np.int64) * self.pixel_stride
        first = (self.address + line[:, None] + pixel).reshape(-1)
        last = (first + self.pixel_bytes - 1) // GRANULE
        first //= GRANULE
        most = int((last - first).max()) + 1
        spread = first[:, None] + np.arange(most)
        return np.asarray(np.minimum(spread, last[:, None]).reshape(-1))


@dataclass(eq=False, slots=True)
class Operation:
    """One instruction under construction.

    fields : all but tokens and places
    places : fields that are rows of buffers
    accesses : what it reads and writes in the accelerator's memories
    transfer : bytes of external memory that other instructions of the program may touch too
    layer, block : index of the layer that it belongs to, and of the block of operations that stay together
    unit : the one that executes it
    cycles : what `duration` has found for the accelerator that it is compiled for, −1 before
    """

    opcode: Opcode
    fields: dict[str, int]
    places: Mapping[str, Place] = field(default_factory=dict)
    accesses: tuple[Access, ...] = ()
    transfer: Transfer | None = None
    layer: int = 0
    block: int = 0
    wait: int = 0
    signal: int = 0
    unit: Unit = field(init=False)
    cycles: int = -1

    def __post_init__(self) -> None:
        self.unit = UNIT_OF[self.opcode]

    def instruction(self) -> Instruction:
        """The instruction, once its buffers have addresses."""
        placed = {name: (at.buffer.address + at.offset) * at.scale for name, at in self.places.items()}
        return Instruction(self.opcode, {"wait": self.wait, "signal": self.signal, **self.fields, **placed})
