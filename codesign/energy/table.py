"""`EnergyTable`: what a multiplication, an addition, a register, a memory access and a byte of the bus cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from emulator.toml import read_toml

BUILT_IN = Path(__file__).with_name("tables") / "45nm.toml"


@dataclass(frozen=True)
class EnergyTable:
    """Energies in pJ, all at least 0; ``tables/45nm.toml`` says where its own are from.

    name : of the table, for reports
    multiplier_pj, multiplier_pj_per_bit_pair : of a × b bits: the first, plus a · b times the second
    adder_pj, adder_pj_per_bit : of n bits: the first, plus n times the second
    register_pj_per_bit : of a flip-flop that takes a new value; the least of an access to a memory, too
    sram_pj_per_bit, sram_exponent : a bit read out of c KiB costs the first times c to the power of the second
    sram_write_over_read : energy of a write over that of a read
    dram_pj_per_byte : of a byte on the bus, with the external memory behind it
    static_pj_per_cycle : of a cycle of the run, whatever happens in it
    sources : field → where its number is from

    Raises ``ValueError`` for a number that is none, negative or not finite, and for sources of unknown fields.
    """

    name: str
    multiplier_pj: float
    multiplier_pj_per_bit_pair: float
    adder_pj: float
    adder_pj_per_bit: float
    register_pj_per_bit: float
    sram_pj_per_bit: float
    sram_exponent: float
    sram_write_over_read: float
    dram_pj_per_byte: float
    static_pj_per_cycle: float
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name must be a text, not {self.name!r}")
        for number in NUMBERS:
            value = getattr(self, number)
            if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
                raise ValueError(f"{number} must be a number of at least 0, not {value!r}")
        if not isinstance(self.sources, Mapping):
            raise ValueError(f"sources must be a table, not {self.sources!r}")
        for key, text in self.sources.items():
            if key not in NUMBERS:
                raise ValueError(f"sources: unknown key {key!r} (known: {', '.join(NUMBERS)})")
            if not isinstance(text, str):
                raise ValueError(f"sources: {key} must be a text, not {text!r}")

    def multiplier(self, a_bits: int, b_bits: int) -> float:
        """pJ of a product of a_bits × b_bits."""
        return self.multiplier_pj + a_bits * b_bits * self.multiplier_pj_per_bit_pair

    def adder(self, bits: int) -> float:
        """pJ of a sum of `bits`."""
        return self.adder_pj + bits * self.adder_pj_per_bit

    def register(self, bits: int) -> float:
        """pJ of `bits` flip-flops."""
        return bits * self.register_pj_per_bit

    def read(self, bits: int, memory_bytes: float) -> float:
        """pJ of reading `bits` in one access out of a memory of `memory_bytes`."""
        per_bit = self.sram_pj_per_bit * float((memory_bytes / 1024) ** self.sram_exponent)
        return bits * max(per_bit, self.register_pj_per_bit)

    def write(self, bits: int, memory_bytes: float) -> float:
        """pJ of writing them."""
        return self.read(bits, memory_bytes) * self.sram_write_over_read

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return {f.name: dict(self.sources) if f.name == "sources" else getattr(self, f.name) for f in fields(self)}


NUMBERS = tuple(f.name for f in fields(EnergyTable) if f.name not in ("name", "sources"))


def load_energy_table(path: str | PathLike[str] | None = None) -> EnergyTable:
    """Read a TOML file with the fields of `EnergyTable`, `sources` optional; None: the built-in table.

    Raises ``ValueError``, one sentence with the file and the key at fault.
    """
    file = BUILT_IN if path is None else Path(path)
    made = read_toml(file)
    known = ("name", *NUMBERS, "sources")
    for key in made:
        if key not in known:
            raise ValueError(f"{file}: unknown key {key!r} (known: {', '.join(known)})")
    missing = [key for key in known[:-1] if key not in made]
    if missing:
        raise ValueError(f"{file}: must have {', '.join(missing)}; {BUILT_IN.name} of Lockstep shows all keys")
    try:
        return EnergyTable(**made)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
