"""Decode: an instruction's fields out of its bytes, by the formats of `emulator.instructions`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...instructions import (
    COLUMN_BLOCKS,
    DEPTHWISE,
    FEATURE_OF,
    FORMATS,
    INSTRUCTION_BYTES,
    RAW_OUTPUTS,
    RESCALED_ADDER,
    UNIT_OF,
    Error,
    Opcode,
    field_offsets,
    used_bits,
)
from ..compiled import MAX_FIELDS, compiled

_OPCODES = 1 + max(Opcode)
_FIELD, _OPCODE, _COUNTERS = int(Error.FIELD), int(Error.OPCODE), int(Opcode.COUNTERS)
_USED = np.zeros(_OPCODES, np.int64)  # 0: not an opcode
_FIELDS = np.zeros(_OPCODES, np.int64)
_ALWAYS, _RESCALED, _RAW, _DEPTHWISE, _BLOCKS = range(5)
_FEATURES = {
    "": _ALWAYS,
    RESCALED_ADDER: _RESCALED,
    RAW_OUTPUTS: _RAW,
    DEPTHWISE: _DEPTHWISE,
    COLUMN_BLOCKS: _BLOCKS,
}
_RULES = np.zeros((_OPCODES, MAX_FIELDS, 7), np.int64)  # offset, bits, signed, low, high, feature, that of the largest
_NEEDED = np.zeros(_OPCODES, np.int64)  # feature of the opcode
UNIT_OF_OPCODE = np.full(_OPCODES, -1, np.int64)
"""Unit of each opcode, −1 for HALT."""
for _opcode, _format in FORMATS.items():
    _USED[_opcode], _FIELDS[_opcode] = used_bits(_opcode), len(_format)
    _NEEDED[_opcode] = _FEATURES[FEATURE_OF.get(_opcode, "")]
    UNIT_OF_OPCODE[_opcode] = UNIT_OF.get(_opcode, -1)
    for _place, _field in enumerate(_format):
        _RULES[_opcode, _place] = (
            field_offsets(_opcode)[_field.name],
            _field.bits,
            _field.signed,
            _field.low,
            _field.high,
            _FEATURES[_field.feature],
            _FEATURES[_field.further],
        )


@compiled
def _lacks(feature: int, config: Any) -> bool:
    """Whether the config has not this feature."""
    if feature == _RESCALED:
        return bool(not config.rescaled_adder)
    if feature == _RAW:
        return bool(not config.raw_outputs)
    if feature == _BLOCKS:
        return bool(config.output_stationary)
    return bool(feature == _DEPTHWISE and not config.depthwise_taps)


@compiled
def decode_fields(code: NDArray[np.uint8], fields: NDArray[np.int64], config: Any) -> int:
    """Write the fields of the 32 bytes, in the order of the format; 0, or the error that refuses the instruction.

    config : a `CONFIG` record; where it has not what a field steers, the field's bits must be 0
    """
    opcode = np.int64(code[0])
    if opcode >= _OPCODES or _USED[opcode] == 0 or (opcode == _COUNTERS and not config.counters):
        return _OPCODE
    if _lacks(_NEEDED[opcode], config):
        return _OPCODE
    legal = True
    for place in range(_FIELDS[opcode]):
        offset, bits = _RULES[opcode, place, 0], _RULES[opcode, place, 1]
        value, low = np.int64(0), offset // 8
        for byte in range((offset + bits - 1) // 8, low - 1, -1):
            value = (value << 8) | np.int64(code[byte])
        value = (value >> (offset % 8)) & ((np.int64(1) << bits) - 1)
        if _RULES[opcode, place, 2] and value >> (bits - 1):
            value -= np.int64(1) << bits
        fields[place] = value
        legal &= _RULES[opcode, place, 3] <= value <= _RULES[opcode, place, 4]
        if _lacks(_RULES[opcode, place, 5], config):
            legal &= value == 0
        if _lacks(_RULES[opcode, place, 6], config):
            legal &= value < _RULES[opcode, place, 4]
    used = _USED[opcode]
    for byte in range(used // 8, INSTRUCTION_BYTES):
        spare = np.int64(code[byte])
        legal &= (spare >> (used % 8) if byte == used // 8 else spare) == 0
    return 0 if legal else _FIELD
