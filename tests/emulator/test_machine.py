"""The machine by itself: cycles counted by hand, errors, results. The RTL tests compare it with the hardware."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic
from emulator.instructions import FORMATS, Error, Instruction, Opcode, instruction
from emulator.machine import Machine, StoppedError, post_process
from tests.graphs import random_config, random_graph

CONFIG = AcceleratorConfig(
    rows=4, columns=4, activation_scratchpad_bytes=4 * 32, weight_scratchpad_bytes=4 * 32,
    output_scratchpad_bytes=4 * 40, accumulator_bytes=4 * 4 * 16,
)  # fmt: skip
FETCH = 32 // 8 + 16 + 1  # words, latency, decode
HALT = instruction(Opcode.HALT)


def default(opcode: Opcode, **fields: int) -> Instruction:
    """An instruction whose other fields have their smallest harmless value."""
    return Instruction(opcode, {f.name: max(f.low, 0) for f in FORMATS[opcode]} | fields)


def image(*instructions: Instruction, size: int = 1024) -> bytes:
    code = b"".join(made.encode() for made in instructions)
    return code + bytes(range(256)) * ((size - len(code)) // 256) + bytes((size - len(code)) % 256)


def cycles(*instructions: Instruction) -> int:
    record = Machine(CONFIG).execute([image(*instructions, HALT)])[0]
    assert record.error == Error.NONE
    return record.cycles - FETCH * (len(instructions) + 1)


def test_halt_alone() -> None:
    assert cycles() == 0


def test_transfer_cycles() -> None:
    """One word a cycle; a row that straddles two words takes two; then the latency and the end."""
    assert cycles(default(Opcode.LOAD, memory_address=512, pixels=5, pixel_stride=8, pixel_bytes=4)) == 5 + 16 + 1
    assert cycles(default(Opcode.LOAD, memory_address=518, pixels=5, pixel_stride=8, pixel_bytes=4)) == 10 + 16 + 1
    assert cycles(default(Opcode.STORE, memory_address=512, pixels=5, pixel_stride=8, pixel_bytes=4)) == 5 + 2


def test_convolve_cycles() -> None:
    """3 to prepare, then one position per cycle; a tile waits for its sums (6 cycles); 12 to drain."""

    def tiles(width: int, count: int) -> int:
        return cycles(default(Opcode.CONVOLVE, output_width=width, input_width=16, channel_rows=count))

    assert tiles(8, 1) == 3 + 1 + 8 - 1 + 12
    assert tiles(8, 3) == 3 + 1 + 3 * 8 - 1 + 12
    assert tiles(1, 3) == 3 + 1 + 2 * 6 + 1 - 1 + 12


def test_post_process_cycles() -> None:
    """3 to prepare, one step a cycle, 14 to drain."""
    assert cycles(default(Opcode.REQUANTIZE, count=5)) == 3 + 5 - 1 + 14
    assert cycles(default(Opcode.PARAMETERS)) == 3 + 9 - 1 + 14
    assert cycles(default(Opcode.COUNTERS)) == 3 + 8 - 1 + 14
    pool = default(Opcode.POOL, output_row=20, output_width=3, kernel_height=2, kernel_width=2, input_width=4)
    assert cycles(pool) == 3 + 12 - 1 + 14


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (default(Opcode.LOAD, memory_address=1020, pixel_bytes=8), Error.ADDRESS),
        (default(Opcode.LOAD, pixels=33), Error.ADDRESS),
        (default(Opcode.STORE, row=40), Error.ADDRESS),
        (default(Opcode.CONVOLVE, accumulator_row=16), Error.ADDRESS),
        (default(Opcode.CONVOLVE, weight_row=30), Error.ADDRESS),
        (default(Opcode.CONVOLVE, input_row=32), Error.ADDRESS),
        (default(Opcode.REQUANTIZE, count=17), Error.ADDRESS),
        (default(Opcode.POOL, output_row=40), Error.ADDRESS),
        (default(Opcode.PARAMETERS, row=32), Error.ADDRESS),
        (default(Opcode.COUNTERS, row=33), Error.ADDRESS),
        (default(Opcode.REQUANTIZE, count=0), Error.FIELD),
        (default(Opcode.LOAD, target=3), Error.FIELD),
    ],
)
def test_a_bad_instruction_stops_the_machine(bad: Instruction, error: Error) -> None:
    store = default(Opcode.STORE, memory_address=512)
    before = image(HALT, bad, store, HALT)
    record = Machine(CONFIG).execute([image(default(Opcode.PARAMETERS), bad, store, HALT)])[0]
    assert (record.error, record.error_index) == (error, 1)
    assert record.memory[512:] == before[512:], "nothing is executed after the error"


@pytest.mark.parametrize(("fields", "step"), [({"weight_row": 29}, 0), ({"weight_row": 25, "channel_rows": 2}, 4)])
def test_a_weight_tile_that_ends_outside_stops_where_its_loading_begins(fields: dict[str, int], step: int) -> None:
    """The first tile is loaded in step 0, the next one in step 4, while eight positions meet the first."""
    bad = default(Opcode.CONVOLVE, output_width=8, input_width=16, **fields)
    record = Machine(CONFIG).execute([image(bad, HALT)])[0]
    assert (record.error, record.error_index) == (Error.ADDRESS, 0)
    assert record.cycles == FETCH + 3 + step + 12


@pytest.mark.parametrize("chunk", [4, 8, 12])
def test_a_pool_that_reads_its_own_results_does_not_depend_on_chunks(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Window p covers the results of windows p − 1 to p + 2: it sees only what has left the pipeline."""
    program = (
        default(Opcode.LOAD, memory_address=512, pixels=9, pixel_stride=4, pixel_bytes=4, target=2),
        default(Opcode.PARAMETERS),
        default(Opcode.LOAD, memory_address=600, row=10, pixels=30, pixel_stride=4, pixel_bytes=4, target=2),
        default(
            Opcode.POOL, input_row=19, output_row=20, output_width=8, kernel_width=4, input_width=16, y_min=-128,
            y_max=127,
        ),
        default(Opcode.STORE, memory_address=800, row=10, pixels=30, pixel_stride=4, pixel_bytes=4),
    )  # fmt: skip
    memory = bytearray(image(*program, HALT))
    memory[512 : 512 + 36] = bytes(16) + b"\x01\x01\x01\x01" + bytes(16)  # bias 0, multiplier 1, shift 0
    memory[600:720] = np.random.default_rng(3).bytes(120)
    whole = Machine(CONFIG).execute([bytes(memory)])[0]
    assert whole.error == Error.NONE and whole.memory[800:920] != whole.memory[600:720]
    monkeypatch.setattr(post_process, "CHUNK", chunk)
    assert Machine(CONFIG).execute([bytes(memory)])[0] == whole


def test_images_and_addresses_are_checked() -> None:
    machine = Machine(CONFIG)
    with pytest.raises(ValueError, match=r"program_address must be a multiple of bus_bytes \(8\) below 2\^32, not 4"):
        machine.execute([bytes(64)], 4)
    with pytest.raises(ValueError, match=r"program_address must be a multiple of bus_bytes \(8\) below 2\^32, not -8"):
        machine.execute([bytes(64)], -8)
    with pytest.raises(ValueError, match=r"program_address must have one entry per image \(2\), not 1"):
        machine.execute([bytes(64)] * 2, [0])
    for length in (0, 60):
        with pytest.raises(ValueError, match=f"an image's length must be positive and a multiple .* not {length}"):
            machine.execute([bytes(length)])


def test_an_empty_batch_is_refused() -> None:
    graph = random_graph(np.random.default_rng(0), Arithmetic())
    program = compile_graph(graph, AcceleratorConfig())
    x = np.zeros((0, *np.roll(graph.inputs[0].shape, 1)), np.int8)
    with pytest.raises(ValueError, match="inputs must have at least one sample, not an empty batch"):
        Machine(AcceleratorConfig()).run(program, {"input": x})


def test_unknown_opcode_and_the_end_of_memory() -> None:
    record = Machine(CONFIG).execute([bytes(64)])[0]
    assert (record.error, record.error_index) == (Error.OPCODE, 0)
    parameters = default(Opcode.PARAMETERS).encode()
    record = Machine(CONFIG).execute([parameters * 2])[0]
    assert (record.error, record.error_index) == (Error.ADDRESS, 2)


def test_counters_are_an_unknown_opcode_where_they_are_left_out() -> None:
    config = AcceleratorConfig(counters=False)
    record = Machine(config).execute([image(default(Opcode.COUNTERS), HALT)])[0]
    assert (record.error, record.error_index) == (Error.OPCODE, 0)


def test_a_stopped_program_is_an_error_that_names_the_instruction() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng, Arithmetic())
    config = AcceleratorConfig()
    program = compile_graph(graph, config)
    broken = program.with_instruction(2, default(Opcode.STORE, memory_address=program.memory_bytes))
    x = np.zeros((1, *np.roll(graph.inputs[0].shape, 1)), np.int8)
    with pytest.raises(StoppedError, match=r"stopped with error ADDRESS at instruction 2 \(STORE\), sample 0"):
        Machine(config).run(broken, {"input": x})


def test_a_program_for_another_config_is_refused() -> None:
    rng = np.random.default_rng(1)
    graph = random_graph(rng, Arithmetic())
    program = compile_graph(graph, AcceleratorConfig())
    with pytest.raises(ValueError, match="the program was compiled for another config"):
        Machine(AcceleratorConfig(rows=4)).run(program, {})


def test_latency_changes_cycles_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    arithmetic = Arithmetic()
    graph = random_graph(rng, arithmetic)
    config = random_config(rng, arithmetic, 4, 4)
    program = compile_graph(graph, config)
    x = np.ones((1, *np.roll(graph.inputs[0].shape, 1)), np.float32)
    fast, slow = (Machine(config, latency).run(program, {"input": x}) for latency in (1, 50))
    assert fast.memory == slow.memory
    reads = sum(i.opcode == Opcode.LOAD for i in program.instructions) + len(program.instructions)
    assert slow.cycles - fast.cycles == 49 * reads
    with pytest.raises(ValueError, match="latency must be a positive integer, not 0"):
        Machine(config, 0)
