"""`Operation`: an instruction before its rows and tokens are known, with what it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from emulator.config import AcceleratorConfig
from emulator.instructions import DEPTHWISE_WORDS, PARAMETER_ENTRIES, UNIT_OF, Instruction, Opcode, Target, Unit


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


@dataclass(eq=False)
class Buffer:
    """Rows of a memory for one content: written once, then read; `schedule` gives it its address."""

    memory: Memory
    rows: int
    address: int = -1


@dataclass(frozen=True)
class Access:
    """Rows of a buffer: `count` times `width` rows from `offset` on, `pitch` rows from one to the next."""

    buffer: Buffer
    offset: int
    count: int
    pitch: int
    width: int
    write: bool = False


@dataclass(frozen=True)
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


@dataclass(eq=False)
class Operation:
    """One instruction under construction.

    fields : all but tokens and places
    places : fields that are rows of buffers
    accesses : what it reads and writes in the accelerator's memories
    transfer : bytes of external memory that other instructions of the program may touch too
    layer, block : index of the layer that it belongs to, and of the block of operations that stay together
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

    @property
    def unit(self) -> Unit:
        """The unit that executes it."""
        return UNIT_OF[self.opcode]

    def instruction(self) -> Instruction:
        """The instruction, once its buffers have addresses."""
        placed = {name: (at.buffer.address + at.offset) * at.scale for name, at in self.places.items()}
        return Instruction(self.opcode, {"wait": self.wait, "signal": self.signal, **self.fields, **placed})
