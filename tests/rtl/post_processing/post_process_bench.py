"""The post-process unit between memories that follow a script: the same cycles for the RTL and for the machine."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from emulator.config import AcceleratorConfig
from emulator.instructions import (
    COUNTER_ROWS,
    FORMATS,
    INSTRUCTION_BITS,
    PARAMETER_PITCH,
    Instruction,
    Unit,
)
from emulator.machine.compiled import compiled
from emulator.machine.post_processing import post_process
from emulator.machine.state.state import allocate
from rtl.post_processing.post_processing import PostProcessing
from rtl.simulation.vectors import amaranth_component, play_vectors
from rtl.skew import skew
from rtl.unit import INDEX_BITS, UnitPort
from rtl.verilog.hierarchy import write_verilog

UNIT = int(Unit.POST_PROCESS)
REGISTERS = ("finished", "signals", "finished_index", "fault", "fault_code", "fault_index", "busy")
"""Registers of the port; `work` is of the same cycle."""


@compiled
def _cycle(s, offered):
    """One cycle in which an instruction may be offered; returns whether one would be taken."""
    accepts = post_process.ready(s)
    s.issue[UNIT].take = accepts and offered
    post_process.step(s)
    return accepts


class Harness(wiring.Component):
    """`PostProcessing` with accumulators, its port and LOAD's writes as plain inputs, and its counters as one word."""

    def __init__(self, config: AcceleratorConfig):
        self.unit, self.config = PostProcessing(config), config
        columns, arithmetic = config.columns, config.arithmetic
        port = UnitPort().members
        super().__init__(
            {
                **{name: Out(port[name].shape) for name in (*REGISTERS, "work")},
                "ready": Out(1),
                "valid": In(1),
                "instruction": In(INSTRUCTION_BITS),
                "index": In(INDEX_BITS),
                "halt": In(1),
                "clear": In(1),
                "bank_reads": In(2),
                "write_operand": In(1),
                "write_parameter": In(1),
                "write_table": In(1),
                "write_depthwise": In(1),
                "write_address": In(16),
                "write_data": In(8 * columns),
                "write_sums": In(1),
                "sums_row": In(16),
                "sums": In((arithmetic.accumulator_bits + 1) * columns),
                "output_read": In(1),
                "output_address": In(16),
                "output_data": Out(8 * columns),
                "counts": Out(96 * columns),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        port, columns, entry = unit.port, self.config.columns, self.config.arithmetic.accumulator_bits + 1
        m.d.comb += [
            port.issued.valid.eq(self.valid),
            port.issued.payload.instruction.eq(self.instruction),
            port.issued.payload.index.eq(self.index),
            self.ready.eq(port.issued.ready),
            port.halt.eq(self.halt),
            port.clear.eq(self.clear),
        ]
        for name in (*REGISTERS, "work"):
            m.d.comb += getattr(self, name).eq(getattr(port, name))
        for name in ("bank_reads", "write_operand", "write_address", "write_data", "output_read", "output_address"):
            m.d.comb += getattr(unit, name).eq(getattr(self, name))
        for c, visited in enumerate(unit.counts):
            for place in range(COUNTER_ROWS):
                with m.If(visited.place == place):
                    m.d.sync += self.counts.word_select(COUNTER_ROWS * c + place, 8).eq(visited.byte)
        # Unknown until the first read.
        read = Signal()
        m.d.sync += read.eq(read | self.output_read)
        m.d.comb += self.output_data.eq(Mux(read, unit.output_data, 0))

        enables = Cat(self.write_parameter, self.write_table, self.write_depthwise)
        writes = [Cat(enables, self.write_data.word_select(c, 8), self.write_address) for c in range(columns)]
        for c, write in enumerate(skew(m, writes, "write")):
            parameters = unit.parameter_writes[c]
            m.d.comb += [
                parameters.bytes.eq(Mux(write[0], 1 << write[11:15], 0)),
                parameters.entry.eq(write[15:19]),
                parameters.data.eq(write[3:11]),
            ]
            targets = [unit.table_writes[c], *([unit.depthwise_writes[c]] if self.config.depthwise_taps else [])]
            for index, target in enumerate(targets, 1):
                address = write[11:][: len(target.address)]
                m.d.comb += [target.write.eq(write[index]), target.address.eq(address), target.data.eq(write[3:11])]

        m.submodules.sums = memory = Memory(shape=entry * columns, depth=self.config.accumulator_depth, init=[])
        write, sums = memory.write_port(), memory.read_port()
        data, row, reads, bank = Signal(entry * columns), Signal(entry * columns), Signal(), Signal(2)
        m.d.sync += [reads.eq(unit.accumulator_read), bank[0].eq(unit.accumulator_address[0]), row.eq(data)]
        with m.If(reads):
            m.d.sync += [data.eq(sums.data), bank[1].eq(bank[0])]
        m.d.comb += [
            write.en.eq(self.write_sums),
            write.addr.eq(self.sums_row),
            write.data.eq(self.sums),
            sums.addr.eq(unit.accumulator_address),
        ]
        words = [Cat(data.word_select(c, entry)[:-1], bank[1], row.word_select(c, entry)[-1]) for c in range(columns)]
        for c, word in enumerate(skew(m, words, "sums")):
            for k, total in enumerate(unit.sums[c]):
                m.d.comb += total.eq(Mux(word[-2] == k, word[:-2].as_signed(), 0))
            m.d.comb += unit.overflowed[c].eq(word[-1])
        return m


def pack(values: NDArray[Any], bits: int) -> int:
    """Lanes of a row as one word, lane 0 lowest."""
    return sum((int(value) & ((1 << bits) - 1)) << (bits * lane) for lane, value in enumerate(values))


class Driver:
    """Steps the machine's unit, plays the rest of the accelerator, and keeps what the RTL is given and has to show."""

    def __init__(self, config: AcceleratorConfig):
        self.config, self.state = config, allocate(config)
        self._cycle = _cycle.bind(self.state)
        self.inputs: dict[str, list[int]] = {}
        self.outputs: dict[str, list[int]] = {}
        self.output_row = np.zeros(config.columns, np.int8)

    @property
    def port(self) -> Any:
        """The unit's port registers."""
        return self.state.ports[Unit.POST_PROCESS]

    def _record(self, kept: dict[str, list[int]], **values: int) -> None:
        for name, value in values.items():
            kept.setdefault(name, []).append(int(value))

    def cycle(
        self,
        instruction: Instruction | None = None,
        index: int = 0,
        halt: bool = False,
        bank_reads: int = 0,
        write: tuple[str, int, NDArray[np.int8]] | None = None,
        sums: tuple[int, NDArray[np.int64], NDArray[np.uint8]] | None = None,
        output_address: int | None = None,
    ) -> bool:
        """One clock; returns whether the instruction was taken.

        write : memory (operand, parameter, table, depthwise), row as in LOAD, codes
        sums : accumulator row, its sums and flags
        """
        s, port = self.state, self.port
        s.control[0]["halt"] = halt
        s.convolve.registers[0]["bank_reads"] = bank_reads
        if instruction is not None:
            fields = [instruction[field.name] for field in FORMATS[instruction.opcode]]
            s.issue[UNIT]["opcode"], s.issue[UNIT]["index"] = instruction.opcode, index
            s.issue_fields[UNIT, :] = 0
            s.issue_fields[UNIT, : len(fields)] = fields
        registers = {name: port[name] for name in REGISTERS}
        self._record(self.outputs, output_data=pack(self.output_row, 8), **registers)
        if output_address is not None:
            self.output_row = s.output[output_address].copy()
        accepts = bool(self._cycle(instruction is not None))
        self._record(self.outputs, ready=accepts, work=port["work"])

        name, row, codes = write or ("", 0, np.zeros(self.config.columns, np.int8))
        if name == "operand":
            s.operand[row] = codes
        elif name == "table":
            s.table[row] = codes
        elif name == "depthwise":
            word, tap = divmod(row, self.config.depthwise_pitch)
            if tap < self.config.depthwise_taps:
                s.depthwise_weights[word, tap] = codes
        elif name == "parameter" and row % PARAMETER_PITCH < self.config.parameter_rows:
            s.parameters[row // PARAMETER_PITCH, row % PARAMETER_PITCH] = codes.view(np.uint8)
        sums_word = 0
        if sums is not None:
            s.sums[sums[0]], s.overflowed[sums[0]] = sums[1], sums[2]
            bits = self.config.arithmetic.accumulator_bits
            words = [int(flag) << bits | int(total) % (1 << bits) for total, flag in zip(*sums[1:], strict=True)]
            sums_word = pack(np.array(words, object), bits + 1)
        self._record(
            self.inputs,
            valid=instruction is not None,
            instruction=0 if instruction is None else int.from_bytes(instruction.encode(), "little"),
            index=index,
            halt=halt,
            clear=0,
            bank_reads=bank_reads,
            write_operand=name == "operand",
            write_parameter=name == "parameter",
            write_table=name == "table",
            write_depthwise=name == "depthwise",
            write_address=row,
            write_data=pack(codes, 8),
            write_sums=sums is not None,
            sums_row=0 if sums is None else sums[0],
            sums=sums_word,
            output_read=output_address is not None,
            output_address=output_address or 0,
        )
        return accepts and instruction is not None

    def clear(self) -> None:
        """A run starts: one cycle in which nothing else happens."""
        self.cycle()
        self.inputs["clear"][-1] = 1
        registers = *self.state.post_process, *self.state.depthwise, self.state.ports, self.state.lane_counters
        for array in registers:
            array[...] = np.zeros((), array.dtype)

    def counts(self) -> int:
        """The lanes' counters as the RTL shows them."""
        return pack(np.array([pack(lane, 32) for lane in self.state.lane_counters.T], object), 96)


def play(drivers: Sequence[Driver], simulator: str) -> list[dict[str, NDArray[Any]]]:
    """What the RTL shows in the cycles of each driver."""
    components = []
    for index, driver in enumerate(drivers):
        harness = Harness(driver.config)
        component = amaranth_component(harness, f"harness_{index}")
        source = component.source + write_verilog(harness.unit.kinds())
        source = re.sub(r"\bpost_process_lane", f"lane_of_{index}", source)
        components.append(dataclasses.replace(component, source=source))
    stimuli = [{name: np.array(values, object) for name, values in driver.inputs.items()} for driver in drivers]
    return play_vectors(components, stimuli, simulator)
