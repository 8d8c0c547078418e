"""Lookup tables that a file ships as data: metadata entry ``lockstep.tables``, JSON of hexadecimal codes by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emulator.arithmetic import Arithmetic
from emulator.graph import Codes

from .json_entry import read_json

KEY = "lockstep.tables"
MAX_LENGTH = 1 << 27
LENGTHS = tuple(1 << bits for bits in range(2, 9))


def read_tables(metadata: Mapping[str, str], arithmetic: Arithmetic) -> dict[str, Codes]:
    """{layer: int8 codes, smallest input code first}; tables for other activation_bits than `arithmetic`'s left out.

    Raises ``ValueError`` where the entry is not {layer: two hexadecimal digits per code, 4 … 256 codes}, or has more
    than `MAX_LENGTH` characters.
    """
    entries = read_json(metadata, KEY, MAX_LENGTH)
    tables = {name: _codes(name, text) for name, text in entries.items()}
    return {name: codes for name, codes in tables.items() if codes.size == 1 << arithmetic.activation_bits}


def chosen_table(stored: Codes | None, computed: Codes, y_min: int, y_max: int) -> Codes:
    """`stored` where there is one, otherwise `computed`; legal codes are y_min … y_max.

    The libraries of two machines may round a function's value to different neighbours, so the two may differ by one
    code; ``ValueError`` where they differ by more, for then the table is another function's.
    """
    if stored is None:
        return computed
    difference = np.abs(stored.astype(np.int16) - computed)
    outside = (stored < y_min) | (stored > y_max)
    for entry in np.flatnonzero((difference > 1) | outside)[:1]:
        raise ValueError(
            f"metadata {KEY}: entry {entry} must be what the operator gives, {int(computed[entry])} or a legal "
            f"neighbour, not {int(stored[entry])}"
        )
    return stored


def _codes(name: str, text: object) -> Codes:
    try:
        codes = np.frombuffer(bytes.fromhex(text), np.int8) if isinstance(text, str) else None
    except ValueError:
        codes = None
    if codes is None or codes.size not in LENGTHS:
        raise ValueError(f"metadata {KEY}: the table of {name!r} must be 4 to 256 hexadecimal codes, a power of two")
    return codes
