"""Opcodes, the units that execute them, and the numbers that fields and error registers hold."""

from __future__ import annotations

from enum import IntEnum


class Unit(IntEnum):
    """The units, in the order of the bits of `wait` and `signal`."""

    LOAD = 0
    CONVOLVE = 1
    POST_PROCESS = 2
    STORE = 3


class Opcode(IntEnum):
    """First byte of an instruction."""

    HALT = 1
    LOAD = 2
    STORE = 3
    CONVOLVE = 4
    REQUANTIZE = 5
    REDUCE = 6
    ADDER = 7
    COUNTERS = 8
    DEPTHWISE = 9


UNIT_OF = {
    Opcode.LOAD: Unit.LOAD,
    Opcode.STORE: Unit.STORE,
    Opcode.CONVOLVE: Unit.CONVOLVE,
    Opcode.REQUANTIZE: Unit.POST_PROCESS,
    Opcode.REDUCE: Unit.POST_PROCESS,
    Opcode.ADDER: Unit.POST_PROCESS,
    Opcode.COUNTERS: Unit.POST_PROCESS,
    Opcode.DEPTHWISE: Unit.POST_PROCESS,
}
"""Which unit executes an opcode; HALT is the sequencer's own."""


class Target(IntEnum):
    """Memory that a LOAD fills."""

    ACTIVATION = 0
    WEIGHT = 1
    OPERAND = 2
    PARAMETER = 3
    TABLE = 4
    DEPTHWISE = 5


class Mode(IntEnum):
    """What a REDUCE makes of the codes of a window."""

    MAXIMUM = 0
    SUM = 1
    PRODUCT = 2
    FIRST = 3


class Error(IntEnum):
    """Why the accelerator stopped."""

    NONE = 0
    OPCODE = 1
    FIELD = 2
    ADDRESS = 3
    PROGRAM_END = 4
    DEADLOCK = 5
    BUS = 6
    TOKEN = 7
