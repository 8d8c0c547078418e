"""The closed forms against walks over every position and byte, and the counts against what the machine counts."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.energy.accesses import ACCESSES, access_counts, instruction_accesses, total_accesses
from codesign.energy.transfers import overlaps, pitched_rows, rows, words
from codesign.energy.windows import positions_inside
from codesign.networks.mlperf_tiny import ds_cnn, resnet8
from codesign.networks.single_layer import gemm
from compiler import compile_graph
from emulator import AcceleratorConfig, Machine
from emulator.config import KIB
from emulator.instructions import Instruction, Opcode, Target, fields_of

CONFIG = AcceleratorConfig(rows=4, columns=8)
WINDOW = {
    "output_height": 3, "output_width": 4, "kernel_height": 3, "kernel_width": 3, "input_height": 3, "input_width": 4,
    "stride_height": 1, "stride_width": 1, "dilation_height": 1, "dilation_width": 1, "pad_top": 1, "pad_left": 1,
}  # fmt: skip


def walked_positions(f: dict[str, int]) -> int:
    inside = 0
    for oy in range(f["output_height"]):
        for ox in range(f["output_width"]):
            for ky in range(f["kernel_height"]):
                for kx in range(f["kernel_width"]):
                    y = oy * f["stride_height"] + ky * f["dilation_height"] - f["pad_top"]
                    x = ox * f["stride_width"] + kx * f["dilation_width"] - f["pad_left"]
                    inside += 0 <= y < f["input_height"] and 0 <= x < f["input_width"]
    return inside


def test_positions_inside() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        fields = {name: int(rng.integers(1, 7)) for name in WINDOW}
        fields |= {name: int(rng.integers(-5, 9)) for name in ("pad_top", "pad_left")}
        assert positions_inside(fields) == walked_positions(fields), fields


def walked_transfer(f: dict[str, int], bus_bytes: int, lanes: int, used: int) -> tuple[int, int, int, int]:
    """(words, rows, overlaps, parameter rows), byte by byte."""
    found, row = [0, 0, 0, 0], f["row"]
    for line in range(f["lines"]):
        for pixel in range(f["pixels"]):
            first = f["memory_address"] + line * f["line_stride"] + pixel * f["pixel_stride"]
            parts = [((first + n) // bus_bytes, row + n // lanes) for n in range(f["pixel_bytes"])]
            there = {place for _, place in parts}
            kept = sum(place % 16 < used for place in there)
            for k, more in enumerate((len({word for word, _ in parts}), len(there), len(set(parts)), kept)):
                found[k] += more
            row += f["pixel_rows"]
    return found[0], found[1], found[2], found[3]


@pytest.mark.parametrize("bus_bytes", [8, 16, 32])
def test_transfers(bus_bytes: int) -> None:
    rng = np.random.default_rng(bus_bytes)
    for _ in range(150):
        lanes, used = int(rng.integers(1, 40)), int(rng.integers(9, 11))
        fields = {
            "memory_address": int(rng.integers(1000)), "row": int(rng.integers(40)), "lines": int(rng.integers(1, 9)),
            "line_stride": int(rng.integers(99)), "pixels": int(rng.integers(1, 9)),
            "pixel_stride": int(rng.integers(99)), "pixel_bytes": int(rng.integers(1, 150)),
            "pixel_rows": int(rng.integers(20)),
        }  # fmt: skip
        found = (
            words(fields, bus_bytes),
            rows(fields, lanes),
            overlaps(fields, bus_bytes, lanes),
            pitched_rows(fields, lanes, used, 16),
        )
        assert found == walked_transfer(fields, bus_bytes, lanes, used), (fields, lanes)


def test_many_lines_repeat_their_places_in_a_word() -> None:
    fields = {"memory_address": 3, "row": 0, "lines": 70, "line_stride": 5, "pixels": 90, "pixel_stride": 7}
    fields |= {"pixel_bytes": 11, "pixel_rows": 3}
    walked = walked_transfer(fields, 16, 4, 9)
    assert (words(fields, 16), rows(fields, 4), overlaps(fields, 16, 4), pitched_rows(fields, 4, 9, 16)) == walked


@pytest.mark.parametrize(
    ("dataflow", "carry", "weights", "writes", "reads", "biases"),
    [
        # 12 positions under a window of 9 with 2 rows of channels: 18 tiles of 4 rows.
        ("weight_stationary", 0, 18 * 4, 18 * 12, 17 * 12, 12),
        ("weight_stationary", 1, 18 * 4, 18 * 12, 18 * 12, 0),
        # 3 groups of 4 positions, each through all tiles.
        ("output_stationary", 0, 3 * 18 * 4, 12, 0, 12),
        ("output_stationary", 1, 3 * 18 * 4, 12, 12, 0),
    ],
)
def test_a_convolution(dataflow: str, carry: int, weights: int, writes: int, reads: int, biases: int) -> None:
    config = AcceleratorConfig(rows=4, columns=8, dataflow=dataflow, weight_zero_points=True)
    inside = 2 * (3 * 3 - 2) * (4 * 3 - 2)  # along each axis the first and the last output miss one step each
    assert instruction_accesses(_convolve(carry), config) == {
        "activation_reads": inside,
        "weight_reads": weights,
        "accumulator_writes": writes,
        "accumulator_reads": reads,
        "bias_reads": biases,
        "zero_point_reads": weights,
        "macs": 18 * 12 * 32,
        "macs_inside": inside * 32,
    }


def _convolve(carry: int) -> Instruction:
    rest = {"wait": 0, "signal": 0, "input_row": 0, "weight_row": 0, "accumulator_row": 0, "pixel_rows": 2}
    rest |= {"channel_rows": 2, "zero_point": 0, "carry": carry, "parameters": 0}
    return Instruction(Opcode.CONVOLVE, WINDOW | rest)


def test_other_instructions() -> None:
    transfer = {
        "wait": 0, "signal": 0, "memory_address": 4, "row": 0, "lines": 2, "line_stride": 32, "pixels": 1,
        "pixel_stride": 0, "pixel_bytes": 10, "pixel_rows": 4,
    }  # fmt: skip
    load = Instruction(Opcode.LOAD, transfer | {"target": Target.ACTIVATION})
    assert instruction_accesses(load, CONFIG) == {"activation_writes": 2 * 3, "bytes_loaded": 2 * 2 * 8}
    # Bytes 4 to 13 of memory are words 0 and 1, and rows of 8: cut before byte 8 by a word, before byte 12 by a row.
    assert instruction_accesses(Instruction(Opcode.STORE, transfer), CONFIG) == {
        "output_reads": 2 * 3,
        "bytes_stored": 2 * 2 * 8,
    }
    after = {"parameters": 0, "zero_point": 0, "y_min": 0, "y_max": 0, "add": 1, "table": 1, "lanes": 8}
    after |= {"wait": 0, "signal": 0, "output_row": 0, "output_stride": 1}
    after |= {"further_blocks": 0, "counter_row": 0}
    requantize = after | {"accumulator_row": 0, "operand_row": 0, "count": 5, "operand_stride": 1}
    made = {
        "accumulator_reads": 5, "operand_reads": 5, "output_writes": 5, "multiplier_reads": 1, "table_reads": 5,
        "requantizations": 40, "additions": 40,
    }  # fmt: skip
    assert instruction_accesses(Instruction(Opcode.REQUANTIZE, requantize), CONFIG) == made
    assert instruction_accesses(Instruction(Opcode.REQUANTIZE, requantize | {"further_blocks": 2}), CONFIG) == {
        name: 3 * count + 24 * (name == "output_writes") for name, count in made.items()
    }
    raw = Instruction(Opcode.REQUANTIZE, requantize | {"byte": 1})
    assert instruction_accesses(raw, AcceleratorConfig(rows=4, columns=8, raw_outputs=True)) == made | {
        "requantizations": 0
    }
    assert instruction_accesses(Instruction(Opcode.COUNTERS, {"wait": 0, "signal": 0, "output_row": 0}), CONFIG) == {
        "output_writes": 12,
    }
    adder = {field.name: 0 for field in fields_of(Opcode.ADDER)}
    assert instruction_accesses(Instruction(Opcode.ADDER, adder), CONFIG) == {"multiplier_reads": 1}


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
@pytest.mark.parametrize("network", [resnet8, ds_cnn])
def test_the_machine_counts_the_same(network, dataflow: str) -> None:
    config = AcceleratorConfig(
        rows=16, columns=12, dataflow=dataflow, activation_scratchpad_bytes=32 * KIB, weight_scratchpad_bytes=24 * KIB,
        operand_scratchpad_bytes=9 * KIB, output_scratchpad_bytes=9 * KIB, accumulator_bytes=24 * KIB, bus_bytes=16,
    )  # fmt: skip
    graph = network(config.arithmetic, images=0)
    program = compile_graph(graph, config)
    run = Machine(config, seed=99).execute([program.image], program.program_address, program.program_bytes)[0]
    counts = access_counts(program, config)
    total = total_accesses(counts)
    assert len(counts) == len(program.instructions) and all(list(entry) == list(ACCESSES) for entry in counts)
    assert total["macs"] == run.counters["macs"]
    assert total["bytes_fetched"] + total["bytes_loaded"] == run.counters["bytes_read"]
    assert total["bytes_stored"] == run.counters["bytes_written"]
    assert total["output_reads"] == run.counters["store_busy"]
    assert program.macs <= total["macs_inside"] <= total["macs"]


def test_another_config_is_refused() -> None:
    program = compile_graph(gemm(4, 4, 4, CONFIG.arithmetic), CONFIG)
    with pytest.raises(ValueError, match="the program was compiled for another config"):
        access_counts(program, AcceleratorConfig(rows=8, columns=8))
