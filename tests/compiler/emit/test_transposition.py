"""Transposes that move codes between lanes: by tables where a matrix is large enough for it, code by code elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Graph, LookupTable, Machine, Tensor, Transpose, run_graph
from emulator.instructions import Opcode
from tests.compiler import interpreted

CONFIG = AcceleratorConfig(
    rows=4, columns=8, activation_scratchpad_bytes=4 * 60, weight_scratchpad_bytes=8 * 40,
    operand_scratchpad_bytes=8 * 60, output_scratchpad_bytes=8 * 50, accumulator_bytes=8 * 8 * 4,
)  # fmt: skip
CONFIGS = [CONFIG, replace(CONFIG, arithmetic=Arithmetic(activation_bits=5)), replace(CONFIG, bus_bytes=32, columns=10)]


def between_tables(shape: tuple[int, ...], axes: tuple[int, ...], arithmetic: Arithmetic) -> Graph:
    """A table, a transpose and a table, so that no view at a graph's door shows its codes."""
    low, high = arithmetic.activation_range
    same = {"scale": 1.0, "zero_point": 0, "y_min": low, "y_max": high}
    x = Tensor(name="x", shape=shape, **same)
    after = tuple(shape[axis - 1] for axis in axes[1:])
    codes = np.random.default_rng(1).permutation(np.arange(low, high + 1)).astype(np.int8)
    nodes = (
        LookupTable(name="first", shape=shape, inputs=("x",), table=codes, **same),
        Transpose(name="turned", shape=after, inputs=("first",), axes=axes, **same),
        LookupTable(name="last", shape=after, inputs=("turned",), table=codes, **same),
    )
    return Graph(inputs=(x,), nodes=nodes, outputs={"y": "last"}, arithmetic=arithmetic)


@pytest.mark.parametrize("config", CONFIGS, ids=["8", "5 bits", "10 columns"])
@pytest.mark.parametrize(
    ("shape", "axes", "by_tables"),
    [
        ((8, 8), (0, 2, 1), True),
        ((9, 40), (0, 2, 1), True),
        ((70, 11), (0, 2, 1), True),
        ((3, 10, 13), (0, 1, 3, 2), True),
        ((3, 10, 13), (0, 3, 1, 2), True),
        ((9, 4, 13), (0, 3, 2, 1), True),
        ((7, 30), (0, 2, 1), False),
        ((30, 5), (0, 2, 1), False),
    ],
)
def test_transposes(config: AcceleratorConfig, shape: tuple[int, ...], axes: tuple[int, ...], by_tables: bool) -> None:
    graph = between_tables(shape, axes, config.arithmetic)
    program = interpreted.check(graph, config, np.random.default_rng(2), orders=2)
    inputs = interpreted.random_inputs(np.random.default_rng(3), graph)
    result, codes = Machine(config).run(program, inputs), run_graph(graph, inputs, every=True)
    for name, found in result.layers.items():
        np.testing.assert_array_equal(found, codes[name], err_msg=name)
    tables = {
        instruction.fields["target"] == 4
        for instruction, layer in zip(program.instructions, program.layers, strict=True)
        if layer == "turned" and instruction.opcode == Opcode.LOAD
    }
    assert (True in tables) == by_tables


def test_tables_are_the_quicker_way() -> None:
    """A transposed matrix of 64 × 96 codes, which would take the bus two cycles and a half for each of them."""
    config = AcceleratorConfig(rows=16, columns=16, bus_bytes=16)
    graph = between_tables((64, 96), (0, 2, 1), config.arithmetic)
    inputs = interpreted.random_inputs(np.random.default_rng(0), graph)
    result = Machine(config).run(compile_graph(graph, config), inputs)
    assert int(np.sum(result.cycles)) < 1.25 * 64 * 96
