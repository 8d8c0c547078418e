"""`Instruction`: an opcode with values for its fields, to its 32 bytes and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from .formats import FORMATS, exists, field_offsets, fields_of, used_bits
from .opcodes import Error, Opcode
from .sizes import INSTRUCTION_BYTES, OPCODE_BITS


@dataclass(frozen=True)
class Instruction:
    """An opcode with a value for each of its fields; ``instruction["row"]`` reads one.

    A field that not every accelerator has may be missing, and is then 0. `encode` raises ``ValueError`` for another
    missing field, an unknown or an unrepresentable one.
    """

    opcode: Opcode
    fields: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        if name not in self.fields and any(f.name == name and f.feature for f in FORMATS[self.opcode]):
            return 0
        return self.fields[name]

    def encode(self) -> bytes:
        """The 32 bytes; values that the bits hold are encoded even where the accelerator will refuse them."""
        required, names, places = _encoding(self.opcode)
        if not required <= self.fields.keys() <= names:
            raise ValueError(f"{self.opcode.name} must have the fields {sorted(names)}, not {sorted(self.fields)}")
        word, given = int(self.opcode), self.fields.get
        for name, offset, low, high, mask in places:
            value = given(name, 0)
            if not low <= value <= high:
                raise ValueError(f"{self.opcode.name}.{name} must be from {low} to {high}, not {value}")
            word |= (value & mask) << offset
        return word.to_bytes(INSTRUCTION_BYTES, "little")


@cache
def _encoding(opcode: Opcode) -> tuple[frozenset[str], frozenset[str], list[tuple[str, int, int, int, int]]]:
    """Names of a format's fields that must be given, those of all, and (name, offset, low, high, mask) of each."""
    places, offsets = [], field_offsets(opcode)
    for field in FORMATS[opcode]:
        low, high = (-(1 << (field.bits - 1)) if field.signed else 0), (1 << (field.bits - field.signed)) - 1
        places.append((field.name, offsets[field.name], low, high, (1 << field.bits) - 1))
    required = frozenset(field.name for field in FORMATS[opcode] if not field.feature)
    return required, frozenset(offsets), places


def instruction(opcode: Opcode, **fields: int) -> Instruction:
    """An `Instruction` from keyword arguments."""
    return Instruction(opcode, fields)


def decode(code: bytes, features: Collection[str] | None = None) -> tuple[Error, Instruction | None]:
    """The instruction of 32 bytes, or why the accelerator refuses it: opcode, field or spare bits are illegal.

    features : of the accelerator; None: all
    """
    word = int.from_bytes(code, "little")
    try:
        opcode = Opcode(word & ((1 << OPCODE_BITS) - 1))
    except ValueError:
        return Error.OPCODE, None
    if not exists(opcode, features):
        return Error.OPCODE, None
    offsets, fields, legal = field_offsets(opcode), {}, word >> used_bits(opcode, features) == 0
    for field in fields_of(opcode, features):
        value = (word >> offsets[field.name]) & ((1 << field.bits) - 1)
        if field.signed and value >> (field.bits - 1):
            value -= 1 << field.bits
        fields[field.name] = value
        legal &= field.low <= value <= field.most(features)
    return (Error.NONE, Instruction(opcode, fields)) if legal else (Error.FIELD, None)
