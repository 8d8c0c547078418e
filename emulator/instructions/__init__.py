"""The instruction set: formats, fields and their encoding, declared once for compiler, machine, RTL and documents.

An instruction has 32 bytes, little-endian: the opcode in bits 0–7, then the format's fields one after the other, least
significant bit first; the bits left over must be 0. All but HALT begin with `wait` (bits 8–11) and `signal` (12–15).
The last fields of a format may exist only where the config has what they steer; elsewhere they are bits left over.

Four units execute instructions side by side, each of them its own in program order. Bit u of `wait` consumes a token of
unit u before the instruction starts; bit u of `signal` gives a token to unit u when it has ended.
"""

from .encoding import Instruction, decode, instruction
from .formats import (
    COLUMN_BLOCKS,
    DEPTHWISE,
    FEATURE_OF,
    FORMATS,
    RAW_OUTPUTS,
    RESCALED_ADDER,
    Field,
    exists,
    field_offsets,
    fields_of,
    largest,
    used_bits,
)
from .opcodes import UNIT_OF, Error, Mode, Opcode, Target, Unit
from .sizes import (
    ADDRESS_BITS,
    COUNTER_ROWS,
    DEPTHWISE_PITCHES,
    DEPTHWISE_SUMS,
    DEPTHWISE_WORDS,
    INSTRUCTION_BITS,
    INSTRUCTION_BYTES,
    OPCODE_BITS,
    PARAMETER_ENTRIES,
    PARAMETER_PITCH,
    PARAMETER_ROWS,
    QUEUE_DEPTH,
    RAW_BYTES,
    TOKEN_BITS,
    WEIGHT_ZERO_POINT_ROW,
)

__all__ = [
    "ADDRESS_BITS",
    "COLUMN_BLOCKS",
    "COUNTER_ROWS",
    "DEPTHWISE",
    "DEPTHWISE_PITCHES",
    "DEPTHWISE_SUMS",
    "DEPTHWISE_WORDS",
    "FEATURE_OF",
    "FORMATS",
    "INSTRUCTION_BITS",
    "INSTRUCTION_BYTES",
    "OPCODE_BITS",
    "PARAMETER_ENTRIES",
    "PARAMETER_PITCH",
    "PARAMETER_ROWS",
    "QUEUE_DEPTH",
    "RAW_BYTES",
    "RAW_OUTPUTS",
    "RESCALED_ADDER",
    "TOKEN_BITS",
    "UNIT_OF",
    "WEIGHT_ZERO_POINT_ROW",
    "Error",
    "Field",
    "Instruction",
    "Mode",
    "Opcode",
    "Target",
    "Unit",
    "decode",
    "exists",
    "field_offsets",
    "fields_of",
    "instruction",
    "largest",
    "used_bits",
]
