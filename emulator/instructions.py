"""The instruction set: formats, fields and their encoding, declared once for compiler, machine, RTL and documents.

An instruction has 32 bytes, little-endian: the opcode in bits 0–7, then the format's fields one after the other, least
significant bit first; the bits left over must be 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

INSTRUCTION_BYTES = 32
INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES
OPCODE_BITS = 8
PARAMETER_ROWS = 9
"""Rows of the output scratchpad that hold a block's parameters: bias (4), multiplier (4), shift (1), low byte first."""
COUNTER_ROWS = 8
"""Rows that a block's counters take: overflowed accumulations (4), clipped outputs (4), low byte first."""
ADDRESS_BITS = 20
"""Scratchpad row addresses of windows are computed modulo 2^20, then compared with the memory's depth."""


class Opcode(IntEnum):
    """First byte of an instruction."""

    HALT = 1
    LOAD = 2
    STORE = 3
    PARAMETERS = 4
    COUNTERS = 5
    CONVOLVE = 6
    REQUANTIZE = 7
    POOL = 8


class Target(IntEnum):
    """Scratchpad that a LOAD fills."""

    ACTIVATION = 0
    WEIGHT = 1
    OUTPUT = 2


class Error(IntEnum):
    """Why the accelerator stopped."""

    NONE = 0
    OPCODE = 1
    FIELD = 2
    ADDRESS = 3


@dataclass(frozen=True)
class Field:
    """One field of an instruction: `bits` wide, legal from `low` to `high` (by default all that the bits can hold)."""

    name: str
    bits: int
    doc: str
    signed: bool = False
    minimum: int | None = None
    maximum: int | None = None

    @property
    def low(self) -> int:
        """Smallest legal value."""
        return self.minimum if self.minimum is not None else -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest legal value."""
        return self.maximum if self.maximum is not None else (1 << (self.bits - self.signed)) - 1


def _count(name: str, bits: int, doc: str) -> Field:
    return Field(name, bits, doc, minimum=1)


_TRANSFER = (
    Field("memory_address", 32, "byte address of the first pixel in external memory"),
    Field("row", 16, "first scratchpad row"),
    _count("lines", 16, "lines"),
    Field("line_stride", 24, "bytes from line to line"),
    _count("pixels", 16, "pixels of a line"),
    Field("pixel_stride", 24, "bytes from pixel to pixel"),
    _count("pixel_bytes", 16, "bytes of a pixel; each pixel starts a new row and takes as many as it needs"),
)
_WINDOW = (
    _count("output_height", 12, "output lines"),
    _count("output_width", 12, "output pixels of a line"),
    _count("kernel_height", 8, "window lines"),
    _count("kernel_width", 8, "window pixels of a line"),
    _count("input_height", 12, "input lines in the scratchpad; a position outside contributes nothing"),
    _count("input_width", 12, "input pixels of a line in the scratchpad"),
    _count("stride_height", 8, "input lines from output line to output line"),
    _count("stride_width", 8, "input pixels from output pixel to output pixel"),
    _count("dilation_height", 8, "input lines from window line to window line"),
    _count("dilation_width", 8, "input pixels from window pixel to window pixel"),
    Field("pad_top", 12, "lines of padding above the input; negative: lines skipped", signed=True),
    Field("pad_left", 12, "pixels of padding left of the input; negative: pixels skipped", signed=True),
)
_CLAMP = (
    Field("zero_point", 8, "added after rounding", signed=True),
    Field("y_min", 8, "smallest output code", signed=True),
    Field("y_max", 8, "largest output code", signed=True),
)

FORMATS: dict[Opcode, tuple[Field, ...]] = {
    Opcode.HALT: (),
    Opcode.LOAD: (*_TRANSFER, Field("target", 2, "scratchpad: 0 activation, 1 weight, 2 output", maximum=2)),
    Opcode.STORE: _TRANSFER,
    Opcode.PARAMETERS: (Field("row", 16, "first of the output scratchpad's 9 rows"),),
    Opcode.COUNTERS: (Field("row", 16, "first of the output scratchpad's 8 rows"),),
    Opcode.CONVOLVE: (
        Field("input_row", 16, "activation scratchpad row of the input's first pixel"),
        Field("weight_row", 16, "weight scratchpad row of the first weight tile"),
        Field("accumulator_row", 16, "accumulator row of the first output position"),
        *_WINDOW,
        _count("channel_rows", 12, "weight tiles (of `rows` input channels) per window position"),
        _count("pixel_rows", 12, "activation scratchpad rows from pixel to pixel"),
        Field("zero_point", 8, "the input's zero point", signed=True),
        Field("carry", 1, "0: sums start at the bias; 1: at the accumulator memory"),
    ),
    Opcode.REQUANTIZE: (
        Field("accumulator_row", 16, "first accumulator row"),
        Field("output_row", 16, "first output scratchpad row"),
        _count("count", 16, "rows"),
        *_CLAMP,
    ),
    Opcode.POOL: (
        Field("input_row", 16, "output scratchpad row of the input's first pixel"),
        Field("output_row", 16, "output scratchpad row of the first output"),
        *_WINDOW,
        Field("average", 1, "0: maximum; 1: sum of code − input_zero_point"),
        Field("input_zero_point", 8, "the input's zero point", signed=True),
        *_CLAMP,
    ),
}


def largest(opcode: Opcode, name: str) -> int:
    """Largest legal value of a format's field."""
    return next(field.high for field in FORMATS[opcode] if field.name == name)


def field_offsets(opcode: Opcode) -> dict[str, int]:
    """First bit of each field of a format."""
    offsets, bit = {}, OPCODE_BITS
    for field in FORMATS[opcode]:
        offsets[field.name] = bit
        bit += field.bits
    return offsets


def used_bits(opcode: Opcode) -> int:
    """Bits of a format, the opcode's included; those above must be 0."""
    return OPCODE_BITS + sum(field.bits for field in FORMATS[opcode])


@dataclass(frozen=True)
class Instruction:
    """An opcode with a value for each of its fields; ``instruction["row"]`` reads one.

    `encode` raises ``ValueError`` for a missing, unknown or unrepresentable field.
    """

    opcode: Opcode
    fields: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    def encode(self) -> bytes:
        """The 32 bytes; values that the bits hold are encoded even where the accelerator will refuse them."""
        formats = FORMATS[self.opcode]
        names = {field.name for field in formats}
        if set(self.fields) != names:
            raise ValueError(f"{self.opcode.name} must have the fields {sorted(names)}, not {sorted(self.fields)}")
        word, offsets = int(self.opcode), field_offsets(self.opcode)
        for field in formats:
            value = self.fields[field.name]
            low, high = (-(1 << (field.bits - 1)) if field.signed else 0), (1 << (field.bits - field.signed)) - 1
            if not low <= value <= high:
                raise ValueError(f"{self.opcode.name}.{field.name} must be from {low} to {high}, not {value}")
            word |= (value & ((1 << field.bits) - 1)) << offsets[field.name]
        return word.to_bytes(INSTRUCTION_BYTES, "little")


def instruction(opcode: Opcode, **fields: int) -> Instruction:
    """An `Instruction` from keyword arguments."""
    return Instruction(opcode, fields)


def decode(code: bytes) -> tuple[Error, Instruction | None]:
    """The instruction of 32 bytes, or why the accelerator refuses it: opcode, field or spare bits are illegal."""
    word = int.from_bytes(code, "little")
    try:
        opcode = Opcode(word & ((1 << OPCODE_BITS) - 1))
    except ValueError:
        return Error.OPCODE, None
    offsets, fields, legal = field_offsets(opcode), {}, word >> used_bits(opcode) == 0
    for field in FORMATS[opcode]:
        value = (word >> offsets[field.name]) & ((1 << field.bits) - 1)
        if field.signed and value >> (field.bits - 1):
            value -= 1 << field.bits
        fields[field.name] = value
        legal &= field.low <= value <= field.high
    return (Error.NONE, Instruction(opcode, fields)) if legal else (Error.FIELD, None)
