"""Sums, products and functions: the layers against plain arithmetic, their codes against ONNX Runtime."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from emulator import Add, LookupTable, Product
from tests.compiler.expected import F32, SX, multiplier_of
from tests.compiler.models import Model, check_against_runtime


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_elementwise_of_two_tensors(op, tmp_path):
    model = Model()
    a = model.qdq(model.input((2, 3, 3), "a"), 0.03, 5)
    b = model.qdq(model.input((2, 3, 3), "b"), 0.011, -100)
    model.output(model.qdq(model.node(op, [a, b], "join"), 0.05, 17))
    rng = np.random.default_rng(8)
    feeds = {name: rng.normal(0, 2, (40, 2, 3, 3)).astype(F32) for name in "ab"}
    graph, differing = check_against_runtime(model, tmp_path, feeds)
    (layer,) = graph.nodes
    assert layer.inputs == ("a", "b") and differing <= 7  # of 720
    sa, sb, sy = (float(F32(s)) for s in (0.03, 0.011, 0.05))
    if op == "Mul":
        assert isinstance(layer, Product) and (layer.multiplier, layer.shift) == multiplier_of(sa * sb / sy)
    else:
        assert isinstance(layer, Add) and layer.subtract == (op == "Sub")
        assert (layer.a_multiplier, layer.shift) == multiplier_of(sa / sy)
        assert layer.b_multiplier == round(Fraction(sb / sy) * 2**layer.shift)


FUNCTIONS = {
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "Tanh": math.tanh,
    "HardSwish": lambda x: x * min(max(x / 6 + 0.5, 0), 1),
    "Gelu": lambda x: x / 2 * (1 + math.erf(x / 2**0.5)),
    "LeakyRelu": lambda x: x if x >= 0 else float(F32(0.01)) * x,
    "Elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "Softplus": lambda x: math.log(1 + math.exp(x)),
    "Abs": abs,
    "Exp": math.exp,
    "HardSigmoid": lambda x: min(max(float(F32(0.2)) * x + 0.5, 0), 1),
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_unary_function_is_a_table(op, tmp_path):
    model = Model()
    x = model.qdq(model.input((256,)), SX, 11)
    model.output(model.qdq(model.node(op, [x], "act"), 0.02, -30))
    codes = np.arange(-128, 128)
    feeds = {"input": ((codes - 11) * F32(SX)).astype(F32)[None]}
    graph, differing = check_against_runtime(model, tmp_path, feeds)
    (layer,) = graph.nodes
    assert isinstance(layer, LookupTable) and layer.name == "act" and differing <= 1
    reals = [FUNCTIONS[op](float(F32(SX)) * (int(code) - 11)) / float(F32(0.02)) for code in codes]
    np.testing.assert_array_equal(layer.table, [min(max(round(v) - 30, -128), 127) for v in reals])


@pytest.mark.parametrize("form", ["silu", "hard_swish", "gelu", "scaled", "reciprocal"])
def test_expression_of_one_tensor_is_one_table(form, tmp_path):
    model = Model()
    x = model.qdq(model.input((256,)), SX, 11)
    if form == "silu":
        y = model.node("Mul", [x, model.node("Sigmoid", [x])], "act")
    elif form == "hard_swish":
        y = model.node("Add", [x, model.constant(3.0)])
        y = model.node("Clip", [y, model.constant(0.0), model.constant(6.0)])
        y = model.node("Div", [model.node("Mul", [x, y]), model.constant(6.0)], "act")
    elif form == "gelu":
        y = model.node("Erf", [model.node("Div", [x, model.constant(2**0.5)])])
        y = model.node("Mul", [x, model.node("Add", [y, model.constant(1.0)])])
        y = model.node("Mul", [y, model.constant([0.5])], "act")
    elif form == "scaled":
        y = model.node("Sub", [model.constant(1.0), model.node("Relu", [x])], "act")
    else:
        y = model.node("Div", [model.constant(1.0), x], "act")
    model.output(model.qdq(y, 0.02, -30))
    feeds = {"input": ((np.arange(-128, 128) - 11) * F32(SX)).astype(F32)[None]}
    graph, differing = check_against_runtime(model, tmp_path, feeds)
    assert [(type(node), node.name) for node in graph.nodes] == [(LookupTable, "act")] and differing <= 1
