"""Layers by rows at the ends of a graph: the program's head and tail, with the integers of `run_graph`."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from compiler import CompileError, compile_graph, load_onnx
from emulator import AcceleratorConfig, Graph, LayerNorm, Machine, Softmax, run_graph, run_graph_counts
from emulator.operators.row_operators import causal_mask
from tests.compiler.interpreted import random_inputs
from tests.compiler.machines import SMALL
from tests.compiler.models import Model
from tests.compiler.onnx.row_models import SX, tokens
from tests.interpreter import run

SHAPE = 4, 6
SOFT = 1 / 256, -128


def norm(m: Model, x: str, length: int = 6) -> str:
    gamma = np.linspace(-1.5, 1.5, length)
    return m.qdq(m.node("LayerNormalization", [x, m.constant(gamma), m.constant(gamma[::-1])], "norm"), 0.03, 5)


def product(m: Model, x: str, outputs: int = 6, name: str = "fc", depth: int = 6) -> str:
    rng = np.random.default_rng(outputs)
    weight = m.weight(rng.integers(-127, 128, (depth, outputs)), 0.01)
    return m.qdq(m.node("MatMul", [x, weight], name), 0.08, -3)


def softmax(m: Model, x: str, kind: str = "int8", axis: int = -1) -> str:
    mask = np.where(causal_mask(4, 6, past=1), np.float32(0), np.float32(-1e9))
    scores = m.node("Add", [x, m.constant(mask)], "mask")
    return m.qdq(m.node("Softmax", [scores], "soft", axis=axis), 1 / 256, -128 + 128 * (kind == "uint8"), kind)


def model(build) -> Model:
    made = Model()
    for y in build(made, made.qdq(made.input(SHAPE), SX, 7)):
        made.output(y)
    return made


def everywhere(m: Model, x: str) -> list[str]:
    y = product(m, x)
    soft = softmax(m, y)
    best = m.node("TopK", [soft, m.constant([2], "int64")], "best", outputs=2)
    return [x, soft, y, best]


NETWORKS = {
    "in front": lambda m, x: [product(m, norm(m, x))],
    "behind": lambda m, x: [softmax(m, product(m, x))],
    "uint8": lambda m, x: [softmax(m, product(m, x), "uint8")],
    "both": lambda m, x: [softmax(m, product(m, norm(m, x)))],
    "norm twice, a table between": lambda m, x: [
        norm(m, m.qdq(m.node("Gelu", [norm(m, product(m, x))]), 0.02, -100)),
    ],
    "residual in front": lambda m, x: [product(m, m.qdq(m.node("Add", [x, norm(m, x)], "sum"), 0.1))],
    "residual behind": lambda m, x: [(lambda y: m.qdq(m.node("Add", [y, norm(m, y)], "sum"), 0.1))(product(m, x))],
    "outputs in front, within and behind": lambda m, x: everywhere(m, norm(m, x)),
    "an output that only the head's layers read": lambda m, x: (lambda y: [y, product(m, norm(m, y))])(
        m.qdq(m.node("Gelu", [x]), 0.02, -100)
    ),
    "the host's softmax behind": lambda m, x: [m.node("Softmax", [norm(m, product(m, x))], "float")],
    "an unrounded layer beside": lambda m, x: [
        norm(m, product(m, x)),
        m.node("MatMul", [x, m.weight(np.eye(6) * 9, 0.01)], "sums"),
    ],
}


def config_of(small: AcceleratorConfig, graph: Graph) -> AcceleratorConfig:
    return replace(small, raw_outputs=any(getattr(node, "raw", False) for node in graph.nodes))


@pytest.mark.parametrize("network", NETWORKS)
def test_machine_is_numpy(network, tmp_path):
    graph, x = load_onnx(model(NETWORKS[network]).save(tmp_path)), {"input": tokens(SHAPE, 3, 2)}
    assert any(isinstance(node, Softmax | LayerNorm) for node in graph.nodes)
    expected, (codes, counts) = run_graph(graph, x), run_graph_counts(graph, x)
    for small in SMALL:
        config = config_of(small, graph)
        result = Machine(config).run(compile_graph(graph, config), x)
        assert list(result.outputs) == list(expected)
        for name, array in expected.items():
            assert_array_equal(result.outputs[name], array, err_msg=name)
        assert result.layers and not any(isinstance(graph.tensor(name), Softmax | LayerNorm) for name in result.layers)
        for name, found in result.layers.items():
            assert_array_equal(found, codes[name], err_msg=name)
        for name, clipped in result.counters["clipped"].items():
            assert_array_equal(clipped, counts[name].clips, err_msg=name)


@pytest.mark.parametrize("network", ["both", "residual in front"])
def test_interpreter_is_numpy(network, tmp_path):
    """Of the model's codes, without a head of its own."""
    graph = load_onnx(model(NETWORKS[network]).save(tmp_path))
    inputs = random_inputs(np.random.default_rng(2), graph)
    codes, _ = run_graph_counts(graph, inputs)
    program = compile_graph(graph, SMALL[0])
    memory = run(SMALL[0], program.images(inputs)[0], program.program_address)
    for layer in program.tensors:
        assert_array_equal(program.read(memory, layer), codes[layer], err_msg=layer)


def refused(build, folder, text: str) -> None:
    graph = load_onnx(model(build).save(folder))
    run_graph(graph, {"input": tokens(SHAPE, 3, 2)})
    with pytest.raises(CompileError, match=re.escape(text)):
        compile_graph(graph, SMALL[0])


def test_refusals(tmp_path):
    refused(
        lambda m, x: [product(m, norm(m, product(m, x)), name="second")],
        tmp_path,
        "layer 'norm/codes' (LayerNorm): the accelerator has no instruction for layers by rows, and the host computes "
        "them only in front of all layers with weights or behind them, not in front of 'second/codes'; run_graph",
    )
    refused(lambda m, x: [softmax(m, x)], tmp_path, "no other layer is left to it; run_graph computes the whole graph")
