"""Tokens: every pair of instructions that touch the same rows or bytes in different units is ordered by them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from codesign.networks.builder import NetworkBuilder
from codesign.utilization import random_inputs
from compiler import compile_graph
from compiler.emit.schedule.operation import Access, Buffer, Memory, Operation, Transfer
from compiler.emit.schedule.synchronize import synchronize
from emulator import AcceleratorConfig, Arithmetic, run_graph
from emulator.instructions import (
    COUNTER_ROWS,
    PARAMETER_PITCH,
    QUEUE_DEPTH,
    UNIT_OF,
    Instruction,
    Opcode,
    Target,
    Unit,
)
from emulator.machine import Machine
from tests.graphs import ALL_TAPS, random_arithmetic, random_config, random_graph
from tests.interpreter import Interpreter
from tests.oracle import depthwise_place

Touched = dict[object, bool]
"""(memory, row) or a byte's address → whether it is written."""


def touched(machine: Interpreter, i: Instruction) -> Touched:
    """What an instruction reads and writes, found as the interpreter finds it."""
    found: Touched = {}

    def add(memory: object, rows: np.ndarray, write: bool) -> None:
        for row in rows.reshape(-1).tolist():
            found[memory, row] = found.get((memory, row), False) or write

    match i.opcode:
        case Opcode.LOAD | Opcode.STORE:
            load = i.opcode == Opcode.LOAD
            memory: object = Target(i["target"]) if load else "output"
            lanes = machine.scratchpads[Target(i["target"])].shape[1] if load else machine.config.columns
            rows, addresses, inside = machine.transfer(i, lanes)
            if memory == Target.PARAMETER:
                rows = rows // PARAMETER_PITCH
            if memory == Target.DEPTHWISE:
                rows = rows // machine.config.depthwise_pitch
            add(memory, rows if memory != Target.TABLE else rows * 0, load)
            add("bytes", addresses[inside], not load)
        case Opcode.CONVOLVE:
            row, inside = machine.window(i)
            add(Target.ACTIVATION, (row[:, :, None] + np.arange(i["channel_rows"]))[inside], False)
            tiles = row.shape[1] * i["channel_rows"]
            add(Target.WEIGHT, i["weight_row"] + np.arange(tiles * machine.config.rows), False)
            add("sums", i["accumulator_row"] + np.arange(len(row)), True)
            if not i["carry"]:
                add(Target.PARAMETER, np.array(i["parameters"]), False)
        case Opcode.REQUANTIZE | Opcode.REDUCE | Opcode.DEPTHWISE:
            blocks = np.arange(1)
            if i.opcode == Opcode.REQUANTIZE:
                index, blocks = np.arange(i["count"]), np.arange(i["further_blocks"] + 1)
                add("sums", i["accumulator_row"] + np.arange(i["count"] * len(blocks)), False)
                if i["add"]:
                    add(Target.OPERAND, i["operand_row"] + np.add.outer(blocks, index * i["operand_stride"]), False)
                if machine.config.counters:
                    add("output", i["counter_row"] + np.arange(COUNTER_ROWS * i["further_blocks"]), True)
            else:
                row, inside = machine.window(i)
                index = np.arange(len(row))
                add(Target.OPERAND, row[inside], False)
            if i.opcode == Opcode.DEPTHWISE:
                words = {
                    depthwise_place((y, x), i["kernel_width"], i["dilation_width"], machine.config.depthwise_taps)[0]
                    for y, x in np.ndindex(i["kernel_height"], i["kernel_width"])
                }
                add(Target.DEPTHWISE, i["weight_word"] + np.array(sorted(words)), False)
            add(Target.PARAMETER, i["parameters"] + blocks, False)
            if i.opcode != Opcode.DEPTHWISE or not i["keep"]:
                add("output", i["output_row"] + np.add.outer(blocks, index * i["output_stride"]), True)
            if i["table"]:
                add(Target.TABLE, np.array(0), False)
        case Opcode.COUNTERS:
            add("output", i["output_row"] + np.arange(COUNTER_ROWS), True)
    return found


def assert_ordered(config: AcceleratorConfig, instructions: tuple[Instruction, ...], image: bytes) -> int:
    """Replay the tokens; every conflict must be with an instruction that is known to have ended. Returns conflicts."""
    machine, tokens, conflicts = Interpreter(config, image), defaultdict(list), 0
    known = np.full((len(Unit), len(Unit)), -1)
    writer: dict[object, tuple[Unit, int]] = {}
    readers: dict[object, dict[Unit, int]] = defaultdict(dict)
    for index, i in enumerate(instructions):
        if i.opcode == Opcode.HALT:
            break
        unit = UNIT_OF[i.opcode]
        for other in Unit:
            if i["wait"] >> other & 1:
                known[other, unit] = tokens[other, unit].pop(0)
        for place, write in touched(machine, i).items():
            before = [writer[place]] if place in writer else []
            if write:
                before += readers.pop(place, {}).items()
            for other, last in before:
                if other != unit:
                    conflicts += 1
                    assert last <= known[other, unit], f"{place}: instruction {index} does not wait for {last}"
            if write:
                writer[place] = unit, index
            else:
                readers[place][unit] = index
        for other in Unit:
            if i["signal"] >> other & 1:
                tokens[unit, other].append(index)
    assert not any(tokens.values()), "a token is left over"
    return conflicts


@pytest.mark.parametrize("seed", range(20))
def test_every_conflict_is_ordered(seed: int) -> None:
    rng = np.random.default_rng([seed, 5])
    arithmetic = random_arithmetic(rng)
    graph = random_graph(rng, arithmetic, size=7)
    config = random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)), ALL_TAPS)
    program = compile_graph(graph, config)
    assert assert_ordered(config, program.instructions, program.image) > 100


def test_a_missing_token_is_found() -> None:
    """The check above is not blind."""
    rng = np.random.default_rng(0)
    arithmetic = random_arithmetic(rng)
    graph = random_graph(rng, arithmetic, size=7)
    config = random_config(rng, arithmetic, 4, 4)
    program = compile_graph(graph, config)
    last = max(n for n, i in enumerate(program.instructions) if i.opcode == Opcode.CONVOLVE and i["wait"])
    fields = {**program.instructions[last].fields, "wait": 0}
    blind = program.with_instruction(last, Instruction(Opcode.CONVOLVE, fields))
    with pytest.raises(AssertionError):
        assert_ordered(config, blind.instructions, blind.image)


def test_more_stores_than_a_counter_of_tokens_holds() -> None:
    """A layer's 324 blocks are stored before the next layer's first LOAD, each LOAD there reads one of them."""
    arithmetic = Arithmetic(accumulator_bits=24)
    config = AcceleratorConfig(
        rows=4, columns=4, activation_scratchpad_bytes=256, weight_scratchpad_bytes=256, operand_scratchpad_bytes=64,
        output_scratchpad_bytes=64, accumulator_bytes=192, arithmetic=arithmetic,
    )  # fmt: skip
    net = NetworkBuilder(arithmetic)
    x = net.convolution(net.input((18, 18, 8)), 8, (1, 1), "first")
    graph = net.finish(net.convolution(x, 8, (1, 1), "second"))
    program, inputs = compile_graph(graph, config), random_inputs(graph)
    assert sum(i.opcode == Opcode.STORE for i in program.instructions) > 2 * 255
    made = Machine(config).run(program, inputs).outputs  # stops where a counter overflows
    for name, codes in run_graph(graph, inputs).items():
        np.testing.assert_array_equal(made[name], codes)


def most_tokens(program: list[Operation]) -> int:
    """Tokens that a counter may hold if who takes them does as little as queues and program order allow."""
    most = 0
    for giver in Unit:
        for taker in Unit:
            consumed = [operation.wait >> giver & 1 for operation in program if operation.unit == taker]
            given = passed = 0
            for operation in program:
                passed += operation.unit == taker
                given += operation.unit == giver and operation.signal >> taker & 1
                begun = max(passed - QUEUE_DEPTH - 1, 0)  # the others are in the queue, one at its head
                most = max(most, given - sum(consumed[:begun]))
    return most


def test_more_stores_than_a_counter_holds_before_the_first_load() -> None:
    """No STORE knows of any LOAD: the last ones are waited for together, and each before what it stores is loaded."""
    count = 300
    rows = [Buffer(memory, count, 0) for memory in (Memory.OUTPUT, Memory.ACTIVATION)]
    program = [
        Operation(
            opcode, {}, accesses=(Access(buffer, index, 1, 1, 1, write=opcode == Opcode.LOAD),),
            transfer=Transfer(8 * index, 1, 0, 1, 0, 8),
        )
        for opcode, buffer in zip((Opcode.STORE, Opcode.LOAD), rows, strict=True)
        for index in range(count)
    ]  # fmt: skip
    synchronize(program, dict.fromkeys(Memory, count), 8 * count)
    given = [index for index, operation in enumerate(program) if operation.signal >> Unit.LOAD & 1]
    taken = [index - count for index, operation in enumerate(program) if operation.wait >> Unit.STORE & 1]
    assert given == [*range(254), count - 1] and taken == list(range(255))
    assert most_tokens(program) == 255


def test_loads_that_never_wait_give_each_instruction_its_own_token() -> None:
    """What a queue cannot hold has begun: LOADs ahead of an array whose rows are never filled again."""
    count, ahead = 700, 10
    rows = Buffer(Memory.WEIGHT, count, 0)
    loads = [Operation(Opcode.LOAD, {}, accesses=(Access(rows, i, 1, 1, 1, write=True),)) for i in range(count)]
    convolves = [Operation(Opcode.CONVOLVE, {}, accesses=(Access(rows, i, 1, 1, 1),)) for i in range(count)]
    program = loads[:ahead]
    for index in range(count):
        program += [convolves[index], *loads[index + ahead : index + ahead + 1]]
    synchronize(program, dict.fromkeys(Memory, count), 0)
    assert all(operation.signal == 1 << Unit.CONVOLVE for operation in loads)
    assert all(operation.wait == 1 << Unit.LOAD for operation in convolves)
    assert most_tokens(program) == ahead + QUEUE_DEPTH + 1
