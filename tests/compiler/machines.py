"""Compile a graph for two small accelerators, run it in the machine, compare with the operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compiler import compile_graph
from emulator import AcceleratorConfig, Graph, Machine, run_graph, run_graph_counts
from tests.compiler.models import Model, check_against_runtime

SMALL = (
    AcceleratorConfig(
        rows=4, columns=4, activation_scratchpad_bytes=4 * 60, weight_scratchpad_bytes=4 * 40,
        operand_scratchpad_bytes=4 * 40, output_scratchpad_bytes=4 * 30, accumulator_bytes=4 * 12 * 5,
    ),
    AcceleratorConfig(
        rows=3, columns=5, dataflow="output_stationary", activation_scratchpad_bytes=3 * 70,
        weight_scratchpad_bytes=5 * 90, operand_scratchpad_bytes=5 * 40, output_scratchpad_bytes=5 * 40,
        accumulator_bytes=5 * 9 * 5, bus_bytes=16,
    ),
)  # fmt: skip
"""Both dataflows, memories that force tiles; the default arithmetic."""


def check_machines(graph: Graph, inputs: dict[str, np.ndarray]) -> None:
    """Outputs, the codes of every layer in memory and every counter, sample by sample."""
    codes, counts = run_graph_counts(graph, inputs)
    outputs = run_graph(graph, inputs)
    for config in SMALL:
        result = Machine(config).run(compile_graph(graph, config), inputs)
        assert set(result.outputs) == set(outputs)
        for name, output in outputs.items():
            np.testing.assert_array_equal(result.outputs[name], output, err_msg=name)
        for layer, found in result.layers.items():
            np.testing.assert_array_equal(found, codes[layer], err_msg=layer)
        for layer, overflowed in result.counters["overflowed"].items():
            np.testing.assert_array_equal(overflowed, counts[layer].overflows, err_msg=layer)
            np.testing.assert_array_equal(result.counters["clipped"][layer], counts[layer].clips, err_msg=layer)


def check_everywhere(model: Model, folder: Path, x: dict[str, np.ndarray], most: int = 0) -> Graph:
    """The model in emulator and ONNX Runtime, where `most` codes may differ at ties; two samples in the machine too."""
    graph, differing = check_against_runtime(model, folder, x)
    assert differing <= most
    check_machines(graph, {name: array[:2] for name, array in x.items()})
    return graph
