"""The compute part: RTL against machine cycle by cycle, the machine against plain integers, the time it takes."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import AcceleratorConfig, Arithmetic
from emulator.config import DATAFLOWS
from emulator.instructions import Instruction, Opcode
from rtl.simulation.vectors import play_vectors
from tests.rtl.array.compute_bench import Bench, component, random_convolve
from tests.rtl.array.sums_oracle import oracle

SHAPES = {
    "4x4": (4, 4, 16, "saturate", 8, 8),
    "5x3": (5, 3, 12, "wrap", 8, 8),
    "1x1": (1, 1, 33, "saturate", 8, 5),
    "3x11": (3, 11, 10, "saturate", 4, 3),
    "2x2": (2, 2, 48, "wrap", 7, 8),
    "13x2": (13, 2, 18, "saturate", 8, 8),
    "4x5 with zero points": (4, 5, 18, "saturate", 8, 8),
    "2x3 with zero points": (2, 3, 11, "wrap", 5, 4),
    "3x4 packed": (3, 4, 18, "saturate", 8, 8),
    "7x3 with zero points, packed": (7, 3, 19, "wrap", 8, 8),
    "2x2 packed": (2, 2, 16, "saturate", 5, 4),
}
"""rows, columns, accumulator bits, overflow, activation bits, weight bits; whether weights have zero points, and
multipliers are packed"""


def make_config(shape: str, dataflow: str) -> AcceleratorConfig:
    rows, columns, bits, overflow, activation_bits, weight_bits = SHAPES[shape]
    return AcceleratorConfig(
        rows=rows,
        columns=columns,
        dataflow=dataflow,
        activation_scratchpad_bytes=70 * rows,
        weight_scratchpad_bytes=(27 * rows + 40) * columns,
        accumulator_bytes=-(-50 * columns * bits // 8),
        weight_zero_points="zero points" in shape,
        packed_multipliers="packed" in shape,
        arithmetic=Arithmetic(activation_bits, weight_bits, bits, overflow, multiplier_bits=15),
    )


def filled(shape: str, dataflow: str, rng: np.random.Generator) -> Bench:
    bench = Bench(make_config(shape, dataflow))
    bench.fill(rng)
    return bench


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_against_machine(dataflow: str) -> None:
    """Runs that end, that stop at a bad address, or that others stop, with writes to all memories beside them."""
    benches = []
    finished = faults = 0
    for seed, shape in enumerate(SHAPES):
        rng = np.random.default_rng(seed)
        bench = filled(shape, dataflow, rng)
        bench.run(rng, 25, races=True)
        for _ in range(3):
            bench.clear()
            bench.run(rng, 100, strange=0.02, races=True)
            bench.clear()
            bench.run(rng, 100, races=True, halt_at=int(rng.integers(30, 500)))
        bench.clear()
        for row in range(bench.config.accumulator_depth):
            bench.cycle(read=row)
        for _ in range(bench.config.columns + 2):
            bench.cycle()
        finished += sum(o.get("port__finished") or 0 for o in bench.outputs)
        faults += sum(o.get("port__fault") or 0 for o in bench.outputs)
        benches.append(bench)
    parts = [component(bench.config, f"compute_{k}") for k, bench in enumerate(benches)]
    outputs = play_vectors(parts, [bench.stimulus() for bench in benches])
    compared = sum(bench.compare(out) for bench, out in zip(benches, outputs, strict=True))
    assert finished > 100 and faults == 3 * len(SHAPES) and compared > 20000


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_machine_against_oracle(shape: str, dataflow: str) -> None:
    """Without races, what the machine leaves in the accumulators is what the instructions say, one after the other."""
    rng = np.random.default_rng(7)
    bench = filled(shape, dataflow, rng)
    taken = bench.run(rng, 25)
    sums, flags = np.zeros_like(bench.state.sums), np.zeros_like(bench.state.overflowed)
    for instruction in taken:
        oracle(bench.config, bench.state, instruction, sums, flags)
    assert not any(o["port__fault"] for o in bench.outputs) and len(taken) == 25
    assert (bench.state.sums == sums).all() and (bench.state.overflowed == flags).all()


def layer(
    rng: np.random.Generator, config: AcceleratorConfig, size: int, channel_rows: int, further_blocks: int
) -> Instruction:
    """A 3 × 3 convolution over a map of `size` × `size` with padding."""
    made = random_convolve(rng, config)
    geometry = {
        "output_height": size, "output_width": size, "kernel_height": 3, "kernel_width": 3, "input_height": size,
        "input_width": size, "stride_height": 1, "stride_width": 1, "dilation_height": 1, "dilation_width": 1,
        "pad_top": 1, "pad_left": 1, "pixel_rows": channel_rows, "channel_rows": channel_rows, "input_row": 0,
        "weight_row": 0, "accumulator_row": 0, "carry": 0, "further_blocks": further_blocks,
    }  # fmt: skip
    return Instruction(Opcode.CONVOLVE, {**made.fields, **geometry})


@pytest.mark.parametrize(("size", "further_blocks"), [(2, 0), (3, 0), (4, 0), (2, 1)])
def test_no_gap(size: int, further_blocks: int) -> None:
    """Weight stationary: from the first position on, one per cycle, across tiles and instructions; with few positions
    `rows` + 4 from a tile to the next one, which carries its sums on, and `rows` + 1 to the next instruction's first
    one, whose weights are loaded meanwhile, as to another block's. Output stationary: a group's tile takes `rows`
    cycles."""
    rng, blocks = np.random.default_rng(0), further_blocks + 1
    for dataflow in DATAFLOWS[:1] if further_blocks else DATAFLOWS:
        bench = filled("4x4", dataflow, rng)
        rows, count = bench.config.rows, 3
        pending = [layer(rng, bench.config, size, 2 // blocks, further_blocks) for _ in range(count)]
        while pending or bench.port["busy"]:
            if bench.cycle(pending[0] if pending else None):
                pending.pop(0)
        work = np.array([o["port__work"] for o in bench.outputs])
        first, last = np.flatnonzero(work)[[0, -1]]
        positions = size * size
        if dataflow == "weight_stationary":
            carried, final = max(positions, rows + (1 if further_blocks else 4)), max(positions, rows + 1)
        else:
            carried = final = -(-positions // rows) * rows
        spare = final - positions  # after the last position
        assert last - first + 1 == count * (17 * carried + final) - spare
        assert work.sum() == count * 18 * positions
