"""Between layers: bands of maps that fit the scratchpads, loads before the last stores, each byte loaded once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.networks.builder import NetworkBuilder
from compiler import compile_graph
from compiler.emit.cut.bands import LEAST_POSITIONS, bands
from compiler.emit.cut.tiling import Span
from emulator import AcceleratorConfig, Graph, Machine
from emulator.instructions import Opcode, Target
from emulator.program import Program
from tests.compiler.interpreted import check, random_inputs

ROOM = AcceleratorConfig(
    rows=4, columns=8, activation_scratchpad_bytes=4096, weight_scratchpad_bytes=16384, operand_scratchpad_bytes=4096,
    output_scratchpad_bytes=4096, accumulator_bytes=16384,
)  # fmt: skip
FLOWS = ["weight_stationary", "output_stationary"]
LATENCY = 32


def chain(seed: int) -> Graph:
    """Some convolutions of one small map after the other, of many kernels, strides and dilations; one with an add."""
    rng = np.random.default_rng(seed)
    net = NetworkBuilder(ROOM.arithmetic, seed)
    x = net.input((int(rng.integers(6, 13)), int(rng.integers(5, 13)), int(rng.integers(4, 14))))
    for index in range(4):
        size, stride = int(rng.choice([1, 3, 3, 5])), int(rng.choice([1, 1, 2]))
        pad = int(rng.integers(size))
        if min(x.shape[:2]) + pad < 2 * size:
            size, stride, pad = 1, 1, 0
        y = net.convolution(
            x, int(rng.integers(3, 30)), (size, size), f"conv{index}", strides=(stride, stride),
            padding=(pad, size - 1 - pad, size - 1 - pad, pad),
        )  # fmt: skip
        if index == 2:
            z = net.convolution(y, y.shape[2], (3, 3), "same", padding=(1, 1, 1, 1), activation=None)
            y = net.add(y, z, "sum", activation="relu")
        x = y
    return net.finish(x)


@pytest.mark.parametrize("dataflow", FLOWS)
@pytest.mark.parametrize("weights", [16384, 2048, 512])
@pytest.mark.parametrize("seed", range(3))
def test_codes_and_counts_whatever_order_the_units_take(seed: int, weights: int, dataflow: str) -> None:
    config = replace(ROOM, dataflow=dataflow, weight_scratchpad_bytes=weights)
    check(chain(seed), config, np.random.default_rng(seed), orders=2)


def two_layers(channels: int, map_size: int = 8) -> Graph:
    net = NetworkBuilder(ROOM.arithmetic, 1)
    x = net.input((map_size, map_size, channels))
    for name in ("first", "second"):
        x = net.convolution(x, channels, (3, 3), name, padding=(1, 1, 1, 1))
    return net.finish(x)


def spans_of(program: Program, config: AcceleratorConfig, graph: Graph) -> list[tuple[int, int]]:
    inputs = random_inputs(np.random.default_rng(0), graph)
    timeline = Machine(config, LATENCY).run(program, inputs, timeline=True).first.timeline
    assert timeline is not None
    return [(int(start), int(end)) for _, start, end in timeline]


def found(program: Program, layer: str, opcode: Opcode, target: Target | None = None) -> list[int]:
    """Indices of a layer's instructions; of its LOADs, those to one memory."""
    pairs = enumerate(zip(program.instructions, program.layers, strict=True))
    return [
        index
        for index, (i, name) in pairs
        if name == layer and i.opcode == opcode and (target is None or i["target"] == target)
    ]


@pytest.mark.parametrize("weights", [65536, 4096])
@pytest.mark.parametrize("dataflow", FLOWS)
def test_a_layer_begins_before_the_one_before_it_is_stored(dataflow: str, weights: int) -> None:
    """Weights that stay, tile by tile, and weights that do not, column block by column block."""
    graph, config = two_layers(32), replace(ROOM, dataflow=dataflow, weight_scratchpad_bytes=weights)
    program = compile_graph(graph, config)
    spans = spans_of(program, config, graph)
    loads = found(program, "second", Opcode.LOAD, Target.ACTIVATION)
    stores = [
        n for n in found(program, "first", Opcode.STORE) if program.instructions[n]["memory_address"] < 3 * 64 * 32
    ]
    arrays = [found(program, name, Opcode.CONVOLVE) for name in ("first", "second")]
    assert spans[loads[0]][1] < spans[stores[-1]][0] < spans[loads[-1]][0]
    assert spans[loads[0]][0] < spans[arrays[0][-1]][1]
    ends = [spans[n][1] for each in arrays for n in each]
    work = [array_cycles(program, n) for each in arrays for n in each]
    idle = max(end - start - cycles for start, end, cycles in zip(ends, ends[1:], work[1:], strict=False))
    assert idle < LATENCY, "the array does not wait for a trip through memory"


def array_cycles(program: Program, index: int) -> int:
    """Cycles for which one CONVOLVE's positions enter the array."""
    i = program.instructions[index]
    positions = i["output_height"] * i["output_width"]
    return int(positions * i["kernel_height"] * i["kernel_width"] * i["channel_rows"])


def test_each_byte_of_a_map_is_loaded_once() -> None:
    graph = two_layers(8)
    program = compile_graph(graph, ROOM)
    for layer in ("first", "second"):
        loads = [program.instructions[n] for n in found(program, layer, Opcode.LOAD, Target.ACTIVATION)]
        assert len(loads) > 1
        assert sum(i["lines"] * i["pixels"] * i["pixel_bytes"] for i in loads) == 8 * 8 * 8


def test_weights_come_before_the_input_that_waits_for_a_store() -> None:
    """All of the second layer's weights and parameters are there when its first codes are."""
    graph = two_layers(8)
    program = compile_graph(graph, ROOM)
    spans = spans_of(program, ROOM, graph)
    first = found(program, "second", Opcode.LOAD, Target.ACTIVATION)[0]
    for target in (Target.WEIGHT, Target.PARAMETER):
        assert all(spans[n][1] <= spans[first][0] for n in found(program, "second", Opcode.LOAD, target)[:1])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 49), (1, 300), (7, 7), (8, 8), (14, 14), (16, 16), (25, 5)])
@pytest.mark.parametrize("unit", [1, 16])
def test_bands(height: int, width: int, unit: int) -> None:
    """They cover the map in order, none is tiny, and together they take no more groups of positions than the map."""
    made = bands(Span(0, height), Span(0, width), unit)
    positions = [(y, x) for t in made for y in range(*vars(t.rows).values()) for x in range(*vars(t.columns).values())]
    assert positions == [(y, x) for y in range(height) for x in range(width)]
    assert len(made) == 1 or min(tile.positions for tile in made) >= LEAST_POSITIONS
    assert sum(-(-tile.positions // unit) for tile in made) == -(-height * width // unit)
    if unit == 1:
        assert (len(made) > 1) == (height * width >= 2 * LEAST_POSITIONS)
