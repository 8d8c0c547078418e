"""Graphs with products of two activations: codes, counts, certificates and traces against plain Python integers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from codesign.diverge.element import ElementTracer
from emulator import Arithmetic, Graph, certify, run_graph, run_graph_counts
from emulator.graph.macs import node_macs
from tests import graph_oracle
from tests.product_graphs import attention_graph, product_graph, random_inputs

ARITHMETICS = [
    Arithmetic(),
    Arithmetic(accumulator_bits=15),
    Arithmetic(accumulator_bits=13, overflow="wrap", rounding="half_up"),
    Arithmetic(activation_bits=6, weight_bits=4, accumulator_bits=10, multiplier_bits=15, rounding="floor"),
]


def check(graph: Graph, seed: int) -> tuple[int, int]:
    """Codes, overflows and clips of all layers are the oracle's; how many overflows and clips there are."""
    inputs = random_inputs(graph, seed)
    codes, counts = run_graph_counts(graph, inputs)
    for name, expected in run_graph(graph, inputs, every=True).items():
        assert_array_equal(codes[name], expected, err_msg=name)
    overflows, clips = dict.fromkeys(codes, 0), dict.fromkeys(codes, 0)
    for sample in range(2):
        found = graph_oracle.run(graph, {name: array[sample] for name, array in inputs.items()})
        for name, (expected, met) in found.items():
            assert_array_equal(codes[name][sample], expected, err_msg=name)
            overflows[name] += met.overflows
            clips[name] += met.clips
    for name, count in counts.items():
        assert (count.overflows.sum(), count.clips.sum()) == (overflows[name], clips[name]), name
    return sum(overflows.values()), sum(clips.values())


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_products_of_two_inputs(arithmetic: Arithmetic) -> None:
    met = [check(product_graph(seed, arithmetic), seed) for seed in range(24)]
    assert sum(overflows for overflows, _ in met) > 0 or arithmetic.accumulator_bits > 15
    assert sum(clips for _, clips in met) > 0


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("heads", [(1, 1), (2, 2), (4, 2), (3, 1)])
def test_attention(arithmetic: Arithmetic, heads: tuple[int, int]) -> None:
    check(attention_graph(7, arithmetic, tokens=5, heads=heads, depth=3), 8)


def test_macs() -> None:
    nodes = {node.name: node for node in attention_graph(0, Arithmetic(), tokens=5, heads=(4, 2), depth=3).nodes}
    assert (node_macs(nodes["scores"]), node_macs(nodes["mixed"])) == (4 * 5 * 5 * 3, 4 * 5 * 3 * 5)


def test_certificates_are_exact() -> None:
    """Against every pair of operands of few codes."""
    for seed, (low, high) in itertools.product(range(6), ((-2, 1), (1, 2), (-3, -2))):
        graph = product_graph(seed, Arithmetic(), most=2)
        graph = replace(graph, inputs=tuple(replace(t, y_min=low, y_max=high) for t in graph.inputs))
        (node,), zeros = graph.nodes, [tensor.zero_point for tensor in graph.inputs]
        sums = {0}
        steps = [(a - zeros[0]) * (b - zeros[1]) for a in range(low, high + 1) for b in range(low, high + 1)]
        for count in range(1, node.depth + 1):
            sums |= {sum(some) for some in itertools.combinations_with_replacement(steps, count)}
        certificate = certify(graph)["product"]
        assert (set(certificate.low), set(certificate.high)) == ({min(sums)}, {max(sums)})
        assert len(certificate.low) == node.shape[-1]


def test_a_certified_product_never_overflows() -> None:
    graph = product_graph(3, Arithmetic())
    bits = certify(graph)["product"].smallest_bits
    a, b = graph.inputs
    for codes in itertools.product((a.y_min, a.y_max), (b.y_min, b.y_max)):
        inputs = {t.name: np.full((1, *t.shape), code, np.int8) for t, code in zip(graph.inputs, codes, strict=True)}
        safe = replace(graph, arithmetic=Arithmetic(accumulator_bits=bits))
        assert run_graph_counts(safe, inputs)[1]["product"].overflows.sum() == 0


def test_traces_of_elements() -> None:
    graph = attention_graph(3, Arithmetic(accumulator_bits=14), tokens=4, heads=(4, 2), depth=3)
    inputs = random_inputs(graph, 4, 1)
    codes = run_graph(graph, inputs, every=True)
    tracer = ElementTracer(graph, {name: array[0] for name, array in inputs.items()})
    for name in ("scores", "mixed"):
        for index in ((0, 0, 0), (3, 2, 1), (2, 3, 2)):
            trace = tracer.trace(name, index)
            assert (trace.code, len(trace.sums)) == (codes[name][(0, *index)], 3 if name == "scores" else 4)


def test_a_wrong_depth_or_shape_names_the_layer() -> None:
    graph = product_graph(1, Arithmetic())
    (node,) = graph.nodes
    inputs = random_inputs(graph, 0)
    with pytest.raises(ValueError, match="layer 'product': depth must be"):
        run_graph(replace(graph, nodes=(replace(node, depth=node.depth + 1),)), inputs)
    with pytest.raises(ValueError, match="layer 'product': shape must be"):
        run_graph(replace(graph, nodes=(replace(node, shape=(9, 9)),)), inputs)
