"""`AcceleratorConfig`: one hardware description for the RTL, the machine emulator, the compiler and QAT."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from .arithmetic import Arithmetic, check_choice, check_integer
from .instructions import COLUMN_BLOCKS, DEPTHWISE, DEPTHWISE_PITCHES, PARAMETER_ROWS, RAW_OUTPUTS, RESCALED_ADDER
from .toml import read_toml

DATAFLOWS = ("weight_stationary", "output_stationary")
BUS_BYTES = (8, 16, 32)
KIB = 1024
DEPTHWISE_TAPS = (0, *DEPTHWISE_PITCHES)
LATER_FIELDS = {
    "weight_zero_points": False,
    "raw_outputs": False,
    "depthwise_taps": 0,
    "post_process_lanes": 0,
    "packed_multipliers": False,
    "adder": "shared_shift",
}
"""Fields that the first accelerators do not have, and what they are for these."""


@dataclass(frozen=True)
class AcceleratorConfig:
    """Shape, memories, bus and arithmetic of one accelerator.

    rows, columns : 1–64, the systolic array's height (K) and width (N)
    dataflow : ``weight_stationary`` or ``output_stationary``; both give the same bits
    activation_scratchpad_bytes : input codes of the array, rows of `rows` codes
    weight_scratchpad_bytes : weight codes, rows of `columns` codes
    operand_scratchpad_bytes : codes that post-processing reads (pools, residuals), rows of `columns` codes
    output_scratchpad_bytes : codes that post-processing writes, rows of `columns` codes
    accumulator_bytes : partial sums, rows of `columns` sums of P bits (the overflow flag of an entry is not counted)
    bus_bytes : 8, 16 or 32, width of the AXI4 data bus
    counters : whether the hardware that counts overflows and clips is built
    weight_zero_points : whether weights may have a zero point, which makes the array's right operand a bit wider
    raw_outputs : whether a convolution's or a linear layer's sums can be the model's output, stored byte by byte
    packed_multipliers : whether two neighbouring columns of the array share multipliers of 18 × 18 bits
    depthwise_taps : 0, 1, 3 or 9, kernel positions of a depthwise convolution that a post-process lane takes per cycle;
        0: it has no weights, and the array computes depthwise convolutions
    post_process_lanes : hardware for requantizer and adder, shared by as many columns each, which take turns: a result
        row then takes columns / lanes cycles. A divisor of `columns`; 0, as `columns` itself, is one for each column
    arithmetic : the numeric contract's parameters

    Raises ``ValueError`` ("FIELD must be …, not VALUE") for an illegal value.
    """

    rows: int = 8
    columns: int = 8
    dataflow: str = "weight_stationary"
    activation_scratchpad_bytes: int = 16 * KIB
    weight_scratchpad_bytes: int = 16 * KIB
    operand_scratchpad_bytes: int = 8 * KIB
    output_scratchpad_bytes: int = 8 * KIB
    accumulator_bytes: int = 8 * KIB
    bus_bytes: int = 8
    counters: bool = True
    weight_zero_points: bool = False
    raw_outputs: bool = False
    depthwise_taps: int = 0
    post_process_lanes: int = 0
    packed_multipliers: bool = False
    arithmetic: Arithmetic = field(default_factory=Arithmetic)

    def __post_init__(self) -> None:
        if not isinstance(self.arithmetic, Arithmetic):
            raise ValueError(f"arithmetic must be an Arithmetic, not {self.arithmetic!r}")
        check_integer("rows", self.rows, 1, 64)
        check_integer("columns", self.columns, 1, 64)
        check_choice("dataflow", self.dataflow, DATAFLOWS)
        for name, lanes, least in (
            ("activation_scratchpad_bytes", self.rows, 16),
            ("weight_scratchpad_bytes", self.columns, max(2 * self.rows, 2)),
            ("operand_scratchpad_bytes", self.columns, 16),
            ("output_scratchpad_bytes", self.columns, 16),
        ):
            check_integer(name, getattr(self, name), least * lanes, (1 << 16) * lanes)
        entry_bits = self.columns * self.arithmetic.accumulator_bits
        check_integer("accumulator_bytes", self.accumulator_bytes, -(-2 * entry_bits // 8), (1 << 13) * entry_bits)
        if self.bus_bytes not in BUS_BYTES or type(self.bus_bytes) is not int:
            raise ValueError(f"bus_bytes must be 8, 16 or 32, not {self.bus_bytes!r}")
        if self.depthwise_taps not in DEPTHWISE_TAPS or type(self.depthwise_taps) is not int:
            raise ValueError(f"depthwise_taps must be 0, 1, 3 or 9, not {self.depthwise_taps!r}")
        check_integer("post_process_lanes", self.post_process_lanes, 0, self.columns)
        if self.post_process_lanes and self.columns % self.post_process_lanes:
            raise ValueError(
                f"post_process_lanes must divide columns = {self.columns}, not be {self.post_process_lanes}"
            )
        if self.lane_columns > 1 and self.depthwise_taps:
            raise ValueError(
                f"depthwise_taps must be 0 where columns share post_process_lanes, not {self.depthwise_taps}"
            )
        if self.post_process_lanes == self.columns:
            object.__setattr__(self, "post_process_lanes", 0)  # of one hardware there is one config
        for name in ("counters", "weight_zero_points", "raw_outputs", "packed_multipliers"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, not {getattr(self, name)!r}")

    @property
    def activation_depth(self) -> int:
        """Rows of the activation scratchpad, `rows` codes each."""
        return self.activation_scratchpad_bytes // self.rows

    @property
    def weight_depth(self) -> int:
        """Rows of the weight scratchpad, `columns` codes each."""
        return self.weight_scratchpad_bytes // self.columns

    @property
    def operand_depth(self) -> int:
        """Rows of the operand scratchpad, `columns` codes each."""
        return self.operand_scratchpad_bytes // self.columns

    @property
    def output_depth(self) -> int:
        """Rows of the output scratchpad, `columns` codes each."""
        return self.output_scratchpad_bytes // self.columns

    @property
    def accumulator_depth(self) -> int:
        """Rows of the accumulator memory, `columns` partial sums each."""
        return self.accumulator_bytes * 8 // (self.columns * self.arithmetic.accumulator_bits)

    @property
    def features(self) -> frozenset[str]:
        """What it has and not every one: `RESCALED_ADDER`, `RAW_OUTPUTS`, `DEPTHWISE`, `COLUMN_BLOCKS`."""
        present = {
            RESCALED_ADDER: self.arithmetic.adder == "rescaled",
            RAW_OUTPUTS: self.raw_outputs,
            DEPTHWISE: self.depthwise_taps > 0,
            COLUMN_BLOCKS: self.dataflow == "weight_stationary",
        }
        return frozenset(name for name, there in present.items() if there)

    @property
    def lane_columns(self) -> int:
        """Columns that share a post-process lane; a row of results takes as many cycles."""
        return self.columns // (self.post_process_lanes or self.columns)

    @property
    def array_weight_bits(self) -> int:
        """Signed width of the array's right operand: a weight code, or the difference of two."""
        return self.arithmetic.weight_bits + self.weight_zero_points

    @property
    def depthwise_pitch(self) -> int:
        """Rows from word to word of the depthwise weights where a LOAD writes them; 0 without them."""
        return DEPTHWISE_PITCHES.get(self.depthwise_taps, 0)

    @property
    def parameter_rows(self) -> int:
        """Rows of a parameter entry in use."""
        return PARAMETER_ROWS + self.weight_zero_points

    def as_dict(self) -> dict[str, Any]:
        """All fields, `arithmetic` as a nested dictionary."""
        return asdict(self)

    def hash(self) -> str:
        """SHA-256 in hexadecimal: a program names the config that it was compiled for by this.

        It is over all fields but those of `LATER_FIELDS` at their defaults: accelerators without them keep their hash.
        """
        made = self.as_dict()
        for name, default in LATER_FIELDS.items():
            table = made if name in made else made["arithmetic"]
            if table[name] == default:
                del table[name]
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def _checked(kind: type, table: object, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table, not {table!r}")
    known = [f.name for f in fields(kind)]
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r} (known: {', '.join(known)})")
    return dict(table)


def config_from_dict(table: dict[str, Any], where: str = "config") -> AcceleratorConfig:
    """An `AcceleratorConfig` from plain tables; an unknown key or illegal value is a ``ValueError`` that names it."""
    values = _checked(AcceleratorConfig, table, where)
    try:
        if "arithmetic" in values:
            values["arithmetic"] = Arithmetic(**_checked(Arithmetic, values["arithmetic"], f"{where} [arithmetic]"))
        return AcceleratorConfig(**values)
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


def load_config(path: str | PathLike[str]) -> AcceleratorConfig:
    """Read a TOML file: the fields of `AcceleratorConfig` at the top, those of `Arithmetic` under ``[arithmetic]``."""
    return config_from_dict(read_toml(path), str(Path(path)))
