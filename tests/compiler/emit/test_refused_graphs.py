"""Graphs that cannot be compiled: the sentence names the layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import CompileError, compile_graph
from emulator import (
    AcceleratorConfig,
    Add,
    Arithmetic,
    Graph,
    LookupTable,
    MaxPool,
    RescaledAdd,
    Tensor,
)
from tests.compiler.emit.one_linear import one_linear


def test_what_the_accelerator_was_not_built_for_is_named() -> None:
    arithmetic = Arithmetic(rounding="double")
    plain = one_linear(5, 3, arithmetic)
    config = AcceleratorConfig(arithmetic=arithmetic)
    shifted = replace(plain, nodes=(replace(plain.nodes[0], weight_zero_point=np.array([0, 0, 1])),))
    needs = "for which the config needs"
    message = f"layer 'head': its weights have a zero point other than 0, {needs} weight_zero_points = true"
    with pytest.raises(CompileError, match=f"^{message}$"):
        compile_graph(shifted, config)
    with pytest.raises(
        CompileError, match=f"^layer 'head': its sums are an output of the model, {needs} raw_outputs = t"
    ):
        compile_graph(replace(plain, nodes=(replace(plain.nodes[0], raw=True),)), config)
    zeros = replace(plain, nodes=(replace(plain.nodes[0], weight_zero_point=np.zeros(3, np.int64)),))
    assert compile_graph(zeros, config).image == compile_graph(plain, config).image
    shared = {"name": "sum", "shape": (5,), "inputs": ("input", "input"), "scale": 1.0, "zero_point": 0}
    factors = {"a_multiplier": 1, "b_multiplier": 1, "shift": 1}
    add = Add(**shared, **factors)
    rescaled = RescaledAdd(**shared, **factors, a_shift=1, b_shift=1, multiplier=1)
    for node, adder, other in ((add, "rescaled", "shared_shift"), (rescaled, "shared_shift", "rescaled")):
        chosen = replace(arithmetic, adder=adder)
        graph = replace(plain, nodes=(node,), outputs={"y": "sum"}, arithmetic=chosen)
        with pytest.raises(CompileError, match=f"^layer 'sum': an? {type(node).__name__} needs an .* '{other}', not"):
            compile_graph(graph, AcceleratorConfig(arithmetic=chosen))


def test_a_bias_that_does_not_fit_names_layer_and_channel() -> None:
    arithmetic = Arithmetic(accumulator_bits=12)
    with pytest.raises(CompileError, match="layer 'head': the bias of channel 0 must be from -2048 to 2047, not 2048"):
        compile_graph(one_linear(8, 2, arithmetic, bias=2048), AcceleratorConfig(arithmetic=arithmetic))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shift": np.full(2, 63)}, "shift must be from 0 to 62, not 63"),
        ({"multiplier": np.full(2, 1 << 24)}, "multiplier must be from 0 to 16777215, not 16777216"),
        ({"y_min": 5, "y_max": 4}, "y_min must be at most y_max"),
        ({"shape": (3,)}, r"shape must be \(2,\), not \(3,\)"),
        ({"weight": np.zeros((7, 2), np.int8)}, "w must have"),
        ({"inputs": ("nobody",)}, "input must be a graph input or an earlier layer, not 'nobody'"),
    ],
)
def test_a_graph_that_the_operators_refuse_is_refused(change: dict[str, object], message: str) -> None:
    """What the accelerator would take for something else, or cut off, is named with its layer."""
    graph = one_linear(8, 2, Arithmetic())
    with pytest.raises(CompileError, match=f"layer 'head': .*{message}"):
        compile_graph(replace(graph, nodes=(replace(graph.nodes[0], **change),)), AcceleratorConfig())


def test_weights_beyond_their_bits_are_refused() -> None:
    arithmetic = Arithmetic(weight_bits=4)
    with pytest.raises(CompileError, match="layer 'head': w must be from -8 to 7"):
        compile_graph(one_linear(8, 2, arithmetic), AcceleratorConfig(arithmetic=arithmetic))


def test_another_arithmetic_is_refused_by_field() -> None:
    with pytest.raises(ValueError, match="accumulator_bits must be the graph's 32 in the config, not 20"):
        compile_graph(one_linear(8, 2, Arithmetic()), AcceleratorConfig(arithmetic=Arithmetic(accumulator_bits=20)))


def test_a_value_beyond_its_field_is_named() -> None:
    source = Tensor(name="input", shape=(1, 1100, 1), scale=1.0, zero_point=0)
    node = MaxPool(
        name="most", shape=(1, 71, 1), inputs=("input",), scale=1.0, zero_point=0, kernel=(1, 1030), strides=(1, 1)
    )
    graph = Graph(inputs=(source,), nodes=(node,), outputs={"y": "most"}, arithmetic=Arithmetic())
    with pytest.raises(CompileError, match=r"layer 'most' does not fit the instruction set: REDUCE\.dilation_width"):
        compile_graph(graph, AcceleratorConfig())


def test_a_graph_beyond_the_address_space_is_refused_before_anything_is_allocated() -> None:
    shape = (1 << 16, 1 << 16, 64)
    source = Tensor(name="input", shape=shape, scale=0.1, zero_point=0)
    table = LookupTable(
        name="table", shape=shape, scale=0.1, zero_point=0, inputs=("input",), table=np.zeros(256, np.int8)
    )
    graph = Graph(inputs=(source,), nodes=(table,), outputs={"output": "table"}, arithmetic=Arithmetic())
    with pytest.raises(CompileError, match=r"the memory must stay below 2\^32 bytes"):
        compile_graph(graph, AcceleratorConfig())
