"""Layers of few positions: column blocks in turns are exact, and as fast as the bus brings their weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.networks.builder import NetworkBuilder
from compiler import compile_graph
from compiler.emit.cut.tiling import Span
from compiler.emit.cut.turns_cut import gathered
from emulator import AcceleratorConfig, Arithmetic, Machine, run_graph_counts
from emulator.graph import Graph, Tensor
from emulator.instructions import Opcode
from tests.compiler.emit.test_placement import convolution
from tests.compiler.interpreted import check, random_inputs

CONFIG = AcceleratorConfig(
    rows=4,
    columns=4,
    activation_scratchpad_bytes=4 * 100,
    weight_scratchpad_bytes=4 * 400,
    operand_scratchpad_bytes=4 * 60,
    output_scratchpad_bytes=4 * 120,
    accumulator_bytes=4 * 3 * 40,
    bus_bytes=8,
)


def dense(arithmetic: Arithmetic, inputs: int, outputs: int, layers: int = 2) -> Graph:
    """Linear layers, one after the other."""
    net = NetworkBuilder(arithmetic, 1, 1)
    x = net.input((inputs,))
    for index in range(layers):
        x = net.linear(x, outputs, f"dense{index}", activation="relu")
    return net.finish(x)


@pytest.mark.parametrize("outputs", [4, 8, 12, 27, 48])
def test_exact(outputs: int) -> None:
    """Every number of column blocks, by an interpreter that knows nothing of turns; one block has none to take."""
    program = check(dense(CONFIG.arithmetic, 37, outputs), CONFIG, np.random.default_rng(outputs), 2)
    further = [i["further_blocks"] for i in program.instructions if i.opcode == Opcode.CONVOLVE]
    assert max(further) == {4: 0, 8: 1, 12: 2, 27: 3, 48: 3}[outputs]  # the first two turns begin together
    together = [i["further_blocks"] for i in program.instructions if i.opcode == Opcode.REQUANTIZE]
    assert max(together) == min(outputs // 4 - 1, 1)  # there is room for the counters of one block between two


def test_counters_of_neighbouring_outputs_that_are_channels_of_one() -> None:
    """Blocks in turns whose columns are several outputs of a channel: its counts are those of all of them."""
    arithmetic = Arithmetic(accumulator_bits=14, overflow="saturate")
    config = replace(CONFIG, arithmetic=arithmetic)
    source = Tensor(name="input", shape=(3, 4, 1), scale=1.0, zero_point=-3)
    graph = Graph(
        inputs=(source,), nodes=(convolution("wide", source, 5, size=1),), outputs={"y": "wide"}, arithmetic=arithmetic
    )
    program = check(graph, config, np.random.default_rng(3))
    convolves = [i for i in program.instructions if i.opcode == Opcode.CONVOLVE]
    assert any(i["further_blocks"] for i in convolves) and all(
        i["output_height"] * i["output_width"] == 3 for i in convolves
    )
    inputs = random_inputs(np.random.default_rng(3), graph)
    counted = Machine(config).run(program, inputs).counters["overflowed"]["wide"]
    assert counted.sum() > 0
    np.testing.assert_array_equal(counted, run_graph_counts(graph, inputs)[1]["wide"].overflows)


def test_the_bus_is_the_bound() -> None:
    """The array takes a tile of 4 rows in 5 cycles, not in the 8 or more in which a sum comes back; the bus brings two
    rows a cycle. Output stationary has no turns, and needs none."""
    graph = dense(CONFIG.arithmetic, 128, 64, 1)
    inputs = random_inputs(np.random.default_rng(0), graph)
    result = Machine(CONFIG, 8).run(compile_graph(graph, CONFIG), inputs)
    tiles = 32 * 16
    assert result.telemetry["macs"] == tiles * 16
    assert 5 * tiles < result.cycles < 7 * tiles
    other = replace(CONFIG, dataflow="output_stationary")
    program = compile_graph(graph, other)
    assert all(not i["further_blocks"] for i in program.instructions if i.opcode == Opcode.CONVOLVE)
    assert Machine(other, 8).run(program, inputs).cycles < 7 * tiles


def test_gathered() -> None:
    parts = [Span(0, 2), Span(2, 4), Span(4, 9), Span(9, 10), Span(10, 11)]
    assert gathered(parts, len, 4) == [parts[:2], parts[2:3], parts[3:]]
