"""Random CONVOLVEs for the compute part alone: stimuli and expectations from the machine, a plain oracle of sums."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from emulator import AcceleratorConfig
from emulator.instructions import (
    COLUMN_BLOCKS,
    FORMATS,
    PARAMETER_ENTRIES,
    PARAMETER_PITCH,
    WEIGHT_ZERO_POINT_ROW,
    Instruction,
    Opcode,
    Unit,
)
from emulator.machine.array import convolve
from emulator.machine.compiled import MAX_FIELDS, compiled
from emulator.machine.state import convolve as convolve_state
from emulator.machine.state.records import record
from emulator.machine.state.state import ISSUE, PORT, config_record
from rtl.array.compute import Compute
from rtl.simulation.vectors import Component, amaranth_component
from rtl.verilog.hierarchy import write_verilog
from tests.programs import random_instruction

DONT_CARE = None


@compiled
def _ready(s):
    return convolve.ready(s)


@compiled
def _step(s):
    return convolve.step(s)


class ComputeState(NamedTuple):
    """The fields of the machine's `State` that CONVOLVE touches."""

    config: Any
    control: Any
    activation: Any
    weight: Any
    sums: Any
    overflowed: Any
    parameters: Any
    issue: Any
    issue_fields: Any
    ports: Any
    convolve: convolve_state.Convolve


def allocate(config: AcceleratorConfig) -> ComputeState:
    columns, units = config.columns, len(Unit)
    return ComputeState(
        config=config_record(config),
        control=np.zeros(1, record("halt", "now")),
        activation=np.zeros((config.activation_depth, config.rows), np.int8),
        weight=np.zeros((config.weight_depth, columns), np.int8),
        sums=np.zeros((config.accumulator_depth, columns), np.int64),
        overflowed=np.zeros((config.accumulator_depth, columns), np.uint8),
        parameters=np.zeros((PARAMETER_ENTRIES, WEIGHT_ZERO_POINT_ROW + 1, columns), np.uint8),
        issue=np.zeros(units, ISSUE),
        issue_fields=np.zeros((units, MAX_FIELDS), np.int64),
        ports=np.zeros(units, PORT),
        convolve=convolve_state.allocate(config),
    )


def component(config: AcceleratorConfig, name: str) -> Component:
    """`Compute` with its separately written modules, under names of its own."""
    top = Compute(config)
    made = amaranth_component(top, name)
    source = made.source + write_verilog(top.kinds)
    for kind in top.kinds:
        source = re.sub(rf"\b{kind}\b", f"{kind}_of_{name}", source)
    return Component(made.module, source, made.inputs, made.outputs)


class Bench:
    """Steps the machine and writes down, cycle by cycle, what goes into the RTL and what has to come out of it."""

    def __init__(self, config: AcceleratorConfig):
        self.config, self.state = config, allocate(config)
        self._ready, self._step = _ready.bind(self.state), _step.bind(self.state)
        self.inputs: list[dict[str, int]] = []
        self.outputs: list[dict[str, int | None]] = []
        self.parameter_bytes: list[tuple[int, int, list[int]]] = []  # (cycle, address, bytes)
        self.reads: list[tuple[int, np.ndarray, np.ndarray]] = []  # (cycle, sums, flags)
        self.busy_banks = 0

    def cycle(
        self,
        offer: Instruction | None = None,
        index: int = 0,
        halt: int = 0,
        write: tuple[str, int, bytes] | None = None,
        read: int | None = None,
    ) -> bool:
        """One cycle; returns whether the offered instruction was taken. A read in conflict gives nothing."""
        s, now = self.state, len(self.inputs)
        unit = int(Unit.CONVOLVE)
        port, bank_reads = s.ports[unit], int(s.convolve.registers[0]["bank_reads"])
        made = {"port__halt": halt, "read": read is not None, "read_address": read or 0}
        s.control[0]["halt"] = halt
        ready = bool(self._ready())
        take = ready and offer is not None
        s.issue[unit]["take"] = take
        if offer is not None:
            made["port__issued__valid"] = 1
            made["port__issued__payload"] = int.from_bytes(offer.encode(), "little") | index << 256
            s.issue[unit]["index"] = index
            for k, field in enumerate(FORMATS[Opcode.CONVOLVE]):
                s.issue_fields[unit, k] = offer[field.name]
        expected: dict[str, int | None] = {
            "port__issued__ready": ready,
            "bank_reads": bank_reads,
            **{f"port__{name}": int(port[name]) for name in ("finished", "fault", "busy")},
        }
        expected["port__signals"] = int(port["signals"]) if port["finished"] else DONT_CARE
        expected["port__finished_index"] = int(port["finished_index"]) if port["finished"] else DONT_CARE
        expected["port__fault_index"] = int(port["fault_index"]) if port["fault"] else DONT_CARE
        if read is not None and not self.busy_banks >> self.bank(read) & 1:
            self.reads.append((now, s.sums[read].copy(), s.overflowed[read].copy()))
        self.busy_banks = bank_reads
        self._step()
        expected["port__work"], expected["positions"] = int(port["work"]), int(port["positions"])
        if write is not None:
            self.write(made, *write)
        self.inputs.append(made)
        self.outputs.append(expected)
        return take

    def clear(self) -> None:
        """A run starts; nothing is in flight. What the outputs show in this cycle is of no interest."""
        for array in (*self.state.convolve, self.state.ports, self.state.issue):
            array[...] = np.zeros((), array.dtype)
        self.inputs.append({"port__clear": 1})
        self.outputs.append({})
        self.busy_banks = 0

    @property
    def port(self) -> Any:
        """The machine's record of the unit's port."""
        return self.state.ports[int(Unit.CONVOLVE)]

    def run(
        self, rng: np.random.Generator, count: int, strange: float = 0.0, races: bool = False, halt_at: int = -1
    ) -> list[Instruction]:
        """Random CONVOLVEs, dense or with gaps, until all are executed or one is refused or somebody else stops the
        units; returns those taken. Reads of accumulators and, where `races`, writes of everything go on beside them."""
        config = self.config
        taken: list[Instruction] = []
        pending, lazy, quiet, cycle, halt = None, rng.random() < 0.5, 0, 0, 0
        depths = {"activation": config.activation_depth, "weight": config.weight_depth, "parameter": 40}
        while quiet < (3 if halt else 60):
            if pending is None and len(taken) < count and not (lazy and rng.random() < 0.9):
                pending = random_convolve(rng, config, strange)
            write, read = None, None
            if races and rng.random() < 0.2:
                memory = str(rng.choice(list(depths)))
                lanes = config.rows if memory == "activation" else config.columns
                write = memory, int(rng.integers(depths[memory])), rng.bytes(lanes)
            if rng.random() < 0.7:
                read = int(rng.integers(config.accumulator_depth))
            stops = bool(self.port["fault"]) or cycle == halt_at
            if self.cycle(None if halt else pending, len(taken) + 5, halt, write, read):
                taken.append(pending)
                pending = None
            halt |= stops
            quiet = 0 if self.port["busy"] else quiet + 1
            cycle += 1
        return taken

    def bank(self, row: int) -> int:
        return row & 1

    def write(self, made: dict[str, int], memory: str, address: int, row: bytes) -> None:
        """A row for a scratchpad, or for byte `address` % 16 of a parameter entry, at the end of this cycle."""
        s, codes = self.state, np.frombuffer(row, np.uint8)
        if memory == "parameter":
            self.parameter_bytes.append((len(self.inputs), address, list(row)))
            entry, byte = divmod(address, PARAMETER_PITCH)
            if byte <= WEIGHT_ZERO_POINT_ROW:
                s.parameters[entry, byte] = codes
        else:
            made |= {f"write_{memory}": 1, "write_address": address, "write_data": int.from_bytes(row, "little")}
            getattr(s, memory)[address] = codes.view(np.int8)

    def fill(self, rng: np.random.Generator) -> None:
        """Random bytes in everything that CONVOLVE reads, and sums by a CONVOLVE of every row would be too slow: 0."""
        config = self.config
        for row in range(config.activation_depth):
            self.cycle(write=("activation", row, rng.bytes(config.rows)))
        for row in range(config.weight_depth):
            self.cycle(write=("weight", row, rng.bytes(config.columns)))
        for entry in range(4):
            for byte in range(config.parameter_rows):
                self.cycle(write=("parameter", PARAMETER_PITCH * entry + byte, rng.bytes(config.columns)))
        for _ in range(config.columns):
            self.cycle()

    def stimulus(self) -> dict[str, np.ndarray]:
        length, columns = len(self.inputs), self.config.columns
        names = sorted({name for cycle in self.inputs for name in cycle})
        made = {name: np.array([c.get(name, 0) for c in self.inputs], object) for name in names}
        for c in range(columns):
            made[f"parameter_writes__{c}"] = np.zeros(length, np.int64)
        for cycle, address, row in self.parameter_bytes:
            for c, value in enumerate(row):
                entry, byte = divmod(address, PARAMETER_PITCH)
                write = 1 << byte | entry << 10 | value << 14 if byte < 10 else 0
                made[f"parameter_writes__{c}"][cycle + c] = write
        return made

    def compare(self, out: dict[str, np.ndarray]) -> int:
        """Check the RTL's outputs; returns how many accumulator rows were compared."""
        for cycle, expected in enumerate(self.outputs):
            seen = {name: int(out[name][cycle]) for name, value in expected.items() if value is not DONT_CARE}
            wanted = {name: int(value) for name, value in expected.items() if value is not DONT_CARE}
            assert seen == wanted, (cycle, self.config)
        compared = 0
        for cycle, sums, flags in self.reads:
            for c in range(self.config.columns):
                if cycle + c + 3 < len(self.inputs):
                    where = cycle + c + 3
                    banks = [int(out[f"sums__{c}__{bank}"][where - 1]) for bank in range(2)]
                    assert banks[0] | banks[1] == sums[c] and 0 in banks, (cycle, c, self.config)
                    assert out[f"overflowed__{c}"][where] == flags[c], (cycle, c, self.config)
                    compared += 1
        return compared


def random_convolve(rng: np.random.Generator, config: AcceleratorConfig, strange: float = 0.0) -> Instruction:
    """Mostly within the memories."""
    fixed = {"wait": 0, "signal": int(rng.integers(16))}
    if rng.random() < 0.4:
        fixed |= {"output_height": int(rng.integers(1, 6)), "output_width": int(rng.integers(1, 6))}
    if rng.random() < 0.3:
        fixed |= {"kernel_height": 1, "kernel_width": 1, "channel_rows": 1}
    fixed["accumulator_row"] = int(rng.choice([0, 0, 0, 3, 8, config.accumulator_depth // 2 - 2]))
    made = random_instruction(Opcode.CONVOLVE, rng, config, strange, **fixed)
    if not config.features & {COLUMN_BLOCKS}:
        return made
    tiles = made["kernel_height"] * made["kernel_width"] * made["channel_rows"]
    blocks = min(
        (config.accumulator_depth - made["accumulator_row"]) // (made["output_height"] * made["output_width"]),
        (config.weight_depth - made["weight_row"]) // (tiles * config.rows),
    )
    further = int(rng.integers(min(max(blocks, 1), 4)))
    return Instruction(Opcode.CONVOLVE, {**made.fields, "further_blocks": further})
