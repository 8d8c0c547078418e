"""Tracing elements: in every layer of random graphs the trace's code is the oracle's, and its parts add up."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.diverge.element import ElementTracer
from emulator import Arithmetic, Convolution, Linear, run_graph
from tests import graph_oracle
from tests.emulator.graph.test_run_version_2 import network
from tests.graphs import random_arithmetic, random_graph

ELEMENTS = 6  # of every layer


def check(graph, sample, seed: int) -> set[str]:
    """Trace some elements of every layer, twice: with all layers' codes known, and with the inputs' alone."""
    rng = np.random.default_rng(seed)
    expected = graph_oracle.run(graph, sample)
    known = ElementTracer(graph, dict(sample) | {name: codes for name, (codes, _) in expected.items()})
    unknown = ElementTracer(graph, sample)
    seen = set()
    for node in graph.nodes:
        codes, met = expected[node.name]
        for _ in range(ELEMENTS):
            index = tuple(int(rng.integers(size)) for size in node.shape)
            trace = known.trace(node.name, index)
            assert trace.code == codes[index], (node.name, index)
            if node.name in (graph.nodes[0].name, graph.nodes[1].name):
                assert unknown.code(node.name, index) == codes[index]
            assert trace.code == (trace.steps[-1].value if trace.steps else trace.code)
            seen.add(trace.operator)
            if isinstance(node, Convolution | Linear):
                exact = trace.start + sum(term.product for term in trace.sums)
                overflowed = any(term.overflowed for term in trace.sums)
                assert overflowed or trace.sums[-1].total == exact
                assert not (overflowed and met.overflows == 0)
                assert len(trace.sums) == node.weight[..., 0].size if isinstance(node, Linear) else True
    return seen


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, random_arithmetic(rng), size=6)
    low, high = graph.inputs[0].y_min, graph.inputs[0].y_max
    check(graph, {"input": rng.integers(low, high, graph.inputs[0].shape, np.int8, endpoint=True)}, seed)


def test_all_operators_are_met() -> None:
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        graph = random_graph(rng, random_arithmetic(rng), size=4)
        low, high = graph.inputs[0].y_min, graph.inputs[0].y_max
        seen |= check(graph, {"input": rng.integers(low, high, graph.inputs[0].shape, np.int8, endpoint=True)}, seed)
    assert seen >= {
        "Add", "AveragePool", "Concat", "Convolution", "Linear", "LookupTable", "MaxPool", "Pad", "Product", "Rescale",
        "Reshape", "Slice", "Transpose",
    }  # fmt: skip


@pytest.mark.parametrize("arithmetic", [Arithmetic.tflm(), Arithmetic(rounding="double", multiplier_bits=5)])
def test_version_2_of_the_contract(arithmetic: Arithmetic) -> None:
    """Weight zero points, sums as outputs, the rescaled adder, averages of raw codes, double rounding."""
    graph = network(arithmetic)
    low, high = arithmetic.activation_range
    image = np.random.default_rng(5).integers(low, high, (1, 2, 6, 5), np.int8, endpoint=True)
    layers = run_graph(graph, {graph.inputs[0].name: image}, every=True)
    tracer = ElementTracer(graph, {graph.inputs[0].name: np.moveaxis(image[0], 0, -1)})
    for node in graph.nodes:
        stored = np.moveaxis(layers[node.name][0], 0, -1) if len(node.shape) > 1 else layers[node.name][0]
        for index in np.ndindex(*node.shape):
            assert tracer.code(node.name, index) == stored[index], (node.name, index)
