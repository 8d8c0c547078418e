"""The machine by itself: its arguments, its results, its timeline. The RTL tests compare it with the hardware."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Graph
from emulator.instructions import FORMATS, UNIT_OF, Error, Instruction, Opcode, instruction
from emulator.machine import Machine, StoppedError
from emulator.program import Program
from tests.graphs import random_config, random_graph

HALT = instruction(Opcode.HALT)


def default(opcode: Opcode, **fields: int) -> Instruction:
    """An instruction whose other fields have their smallest harmless value."""
    return Instruction(opcode, {f.name: max(f.low, 0) for f in FORMATS[opcode]} | fields)


def network(seed: int, config: AcceleratorConfig | None = None) -> tuple[Graph, AcceleratorConfig, Program]:
    rng, arithmetic = np.random.default_rng(seed), Arithmetic()
    graph = random_graph(rng, arithmetic)
    config = config or random_config(rng, arithmetic, 4, 4)
    return graph, config, compile_graph(graph, config)


def ones(graph: Graph, batch: int = 1) -> dict[str, np.ndarray]:
    return {"input": np.ones((batch, *np.roll(graph.inputs[0].shape, 1)), np.float32)}


def test_images_and_addresses_are_checked() -> None:
    machine = Machine(AcceleratorConfig())
    for address in (4, -32):
        with pytest.raises(ValueError, match=f"program_address must be a multiple of 32 below 2\\^32, not {address}"):
            machine.execute([bytes(64)], address)
    with pytest.raises(ValueError, match=r"program_address must have one entry per image \(2\), not 1"):
        machine.execute([bytes(64)] * 2, [0])
    with pytest.raises(ValueError, match=r"program_bytes must be a multiple of 32 below 2\^32, not 33"):
        machine.execute([bytes(64)], 0, 33)
    for length in (0, 60):
        with pytest.raises(ValueError, match=f"an image's length must be positive and a multiple .* not {length}"):
            machine.execute([bytes(length)])


def test_an_empty_batch_is_refused() -> None:
    graph, config, program = network(0)
    with pytest.raises(ValueError, match="inputs must have at least one sample, not an empty batch"):
        Machine(config).run(program, ones(graph, 0))


def test_a_stopped_program_is_an_error_that_names_the_instruction() -> None:
    graph, config, program = network(0)
    broken = program.with_instruction(0, default(Opcode.STORE, memory_address=program.memory_bytes))
    with pytest.raises(StoppedError, match=r"stopped with error ADDRESS at instruction 0 \(STORE\), sample 0"):
        Machine(config).run(broken, ones(graph))


def test_a_program_for_another_config_is_refused() -> None:
    _, _, program = network(1)
    with pytest.raises(ValueError, match="the program was compiled for another config"):
        Machine(AcceleratorConfig(rows=4)).run(program, {})


def test_latency_and_stalls_change_cycles_and_nothing_else() -> None:
    graph, config, program = network(2)
    fast, slow, stalled = (
        Machine(config, latency, seed).run(program, ones(graph)) for latency, seed in ((1, 0), (50, 0), (1, 9))
    )
    assert fast.memory == slow.memory == stalled.memory
    assert fast.cycles < min(slow.cycles, stalled.cycles)
    for name in ("bytes_read", "bytes_written", "macs", "convolve_busy", "post_process_busy", "store_busy"):
        assert fast.telemetry[name] == slow.telemetry[name] == stalled.telemetry[name]
    with pytest.raises(ValueError, match="latency must be an integer from 1 to 1024, not 0"):
        Machine(config, 0)


def test_samples_do_not_depend_on_one_another() -> None:
    graph, config, program = network(3)
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, (3, *np.roll(graph.inputs[0].shape, 1)), dtype=np.int8)
    together = Machine(config).run(program, {"input": x})
    alone = [Machine(config).run(program, {"input": x[k : k + 1]}) for k in range(3)]
    assert together.cycles_per_sample == tuple(result.cycles for result in alone)
    for name, codes in together.outputs.items():
        np.testing.assert_array_equal(codes, np.concatenate([result.outputs[name] for result in alone]))


def test_the_timeline_has_each_instruction_in_its_unit_in_order() -> None:
    graph, config, program = network(4)
    images = program.images(ones(graph))
    record = Machine(config).execute(images, program.program_address, program.program_bytes, timeline=True)[0]
    assert record.error == Error.NONE and record.timeline is not None
    first = Machine(config).run(program, ones(graph), timeline=True).first
    np.testing.assert_array_equal(first.timeline, record.timeline)
    assert Machine(config).run(program, ones(graph)).first.timeline is None
    assert len(record.timeline) == len(program.instructions)
    previous: dict[int, int] = {}
    for made, (unit, start, end) in zip(program.instructions, record.timeline.tolist(), strict=True):
        if made.opcode == Opcode.HALT:
            assert (unit, start, end) == (-1, -1, -1)
            continue
        assert unit == UNIT_OF[made.opcode]
        assert previous.get(unit, 0) < end and 0 < start < end <= record.cycles
        previous[unit] = end


def test_busy_cycles_are_those_of_the_work() -> None:
    """One position per cycle enters the array; one row per cycle is requantized; one beat per cycle moves."""
    config = AcceleratorConfig(rows=4, columns=4)
    program = [
        default(Opcode.LOAD, memory_address=512, pixel_bytes=64),
        default(Opcode.CONVOLVE, output_width=8, input_width=16, channel_rows=3),
        default(Opcode.REQUANTIZE, count=5),
        default(Opcode.STORE, memory_address=768, pixel_bytes=64),
        HALT,
    ]
    code = b"".join(made.encode() for made in program)
    record = Machine(config).execute([code + bytes(1024 - len(code))], program_bytes=len(code))[0]
    assert record.error == Error.NONE
    counters = record.counters
    assert counters["convolve_busy"] == 24 and counters["macs"] == 24 * 16
    assert counters["post_process_busy"] == 5
    assert counters["load_busy"] == 16 and counters["store_busy"] == 16
    assert counters["bytes_read"] == 64 + len(code) and counters["bytes_written"] == 64


def test_counters_are_an_unknown_opcode_where_they_are_left_out() -> None:
    code = default(Opcode.COUNTERS).encode() + HALT.encode()
    record = Machine(AcceleratorConfig(counters=False)).execute([code])[0]
    assert (record.error, record.error_index) == (Error.OPCODE, 0)
