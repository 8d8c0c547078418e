"""The accelerator's Verilog: one module per kind, the same text every time, arrays of any shape."""

from __future__ import annotations

import re

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic
from emulator.instructions import FORMATS, Error, Instruction, Opcode, instruction
from emulator.machine import Machine
from rtl import simulate, simulate_images
from rtl.accelerator import accelerator_verilog
from tests.end_to_end.configs import CONFIGS
from tests.graphs import random_graph


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 7), (8, 8)])
def test_one_module_per_kind(rows: int, columns: int) -> None:
    text = accelerator_verilog(AcceleratorConfig(rows=rows, columns=columns))
    names = re.findall(r"^module (\S+?)\s*\(", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert len([name for name in names if "processing_element" in name]) == 1
    assert len(re.findall(r"^  processing_element \S+ \(", text, re.MULTILINE)) == rows * columns
    assert text == accelerator_verilog.__wrapped__(AcceleratorConfig(rows=rows, columns=columns))


def test_counters_can_be_left_out() -> None:
    with_counters, without = (accelerator_verilog(AcceleratorConfig(counters=built)) for built in (True, False))
    assert "overflows" in with_counters and "overflows" not in without


def test_thirty_two_by_thirty_two() -> None:
    """The largest array that the tests build, on a network, in Verilator: equal to the machine."""
    arithmetic = Arithmetic(accumulator_bits=14, rounding="half_up")
    config = AcceleratorConfig(
        rows=32, columns=32, activation_scratchpad_bytes=32 * 128, weight_scratchpad_bytes=32 * 128,
        output_scratchpad_bytes=32 * 128, accumulator_bytes=32 * 14 * 8, bus_bytes=32, arithmetic=arithmetic,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    graph = random_graph(rng, arithmetic, size=9)
    height, width, depth = graph.inputs[0].shape
    x = rng.integers(*(graph.inputs[0].y_min, 128), (1, depth, height, width), dtype=np.int8)
    program = compile_graph(graph, config)
    machine, rtl = Machine(config).run(program, {"input": x}), simulate(program, config, {"input": x})
    assert (rtl.memory, rtl.cycles) == (machine.memory, machine.cycles)


def test_what_a_stopped_convolution_leaves_behind(simulator: str) -> None:
    """A later run on the same hardware reads the sums that a run had made before it stopped: they are the machine's.

    The first runs have no PARAMETERS: their biases are the 0 of power-on.
    """
    config = CONFIGS["4x4"]
    depth = config.weight_depth
    rng = np.random.default_rng(2)

    def image(*program: Instruction) -> bytes:
        code = b"".join(made.encode() for made in program)
        return code + rng.bytes(2048 - len(code))

    def make(opcode: Opcode, **fields: int) -> Instruction:
        return instruction(opcode, **{f.name: max(f.low, 0) for f in FORMATS[opcode]} | fields)

    def stopping(**fields: int) -> bytes:
        return image(
            make(Opcode.LOAD, memory_address=1024, pixels=config.activation_depth, pixel_stride=4, pixel_bytes=4),
            make(Opcode.LOAD, memory_address=1024, pixels=depth, pixel_stride=4, pixel_bytes=4, target=1),
            make(Opcode.CONVOLVE, output_width=8, input_width=16, **fields),
            make(Opcode.HALT),
        )

    # The parameters are bias 0, multiplier 1 and shift 0 in every lane: a sum of 12 bits shows its code or its clamp.
    reading = bytearray(
        image(
            make(Opcode.LOAD, memory_address=1024, pixels=9, pixel_stride=4, pixel_bytes=4, target=2),
            make(Opcode.PARAMETERS),
            make(Opcode.REQUANTIZE, count=16, y_min=-128, y_max=127),
            make(Opcode.STORE, memory_address=1536, pixels=16, pixel_stride=4, pixel_bytes=4),
            make(Opcode.HALT),
        )
    )
    reading[1024:1060] = bytes(16) + b"\x01\x01\x01\x01" + bytes(12) + b"\x04" * 4
    places = [
        *({"weight_row": row, "channel_rows": tiles} for row in range(depth - 12, depth + 2) for tiles in (1, 2, 3)),
        {"input_row": config.activation_depth - 3},
        {"input_row": config.activation_depth - 6, "channel_rows": 3, "pixel_rows": 1},
        {"accumulator_row": config.accumulator_depth - 3, "channel_rows": 2},
    ]
    images = [bytes(run) for fields in places for run in (stopping(**fields), reading)]
    machine, rtl = Machine(config).execute(images), simulate_images(config, images, simulator=simulator)
    assert rtl == machine
    assert [record.error for record in machine[::2]].count(Error.NONE) == 9 + 5 + 1
    assert {record.error for record in machine[1::2]} == {Error.NONE}
    assert len({record.memory[1536:1600] for record in machine[1::2]}) > 10, "the runs leave different sums"
