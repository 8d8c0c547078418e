"""Graphs run layer by layer."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator import (
    Add,
    Arithmetic,
    AveragePool,
    Concat,
    Convolution,
    Graph,
    Linear,
    LookupTable,
    MaxPool,
    Pad,
    Product,
    Rescale,
    Reshape,
    Slice,
    Tensor,
    Transpose,
    add,
    average_pool,
    convolve,
    linear,
    lookup,
    max_pool,
    product,
    quantize,
    requantize,
    rescale,
    run_graph,
    run_graph_counts,
    subtract,
)
from emulator.graph import Node
from tests.emulator.strategies import codes

ARITHMETIC = Arithmetic(accumulator_bits=14)
TABLE = codes(9, (256,), (-128, 127))


def tensor(name: str, shape: tuple[int, ...], zero: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "scale": 0.05, "zero_point": zero, "y_min": -128, "y_max": 127} | more


def network() -> Graph:
    """Every operation once; the input is (2 channels, 6, 5)."""
    shape = (6, 5, 4)
    weight, bias = codes(1, (4, 3, 3, 2), (-128, 127)), np.array([5, -6, 700, 8000])
    multipliers, shifts = np.array([9000, 8000, 7000, 6000]) << 9, np.array([30, 31, 30, 31])
    matrix = codes(2, (2 * 2 * 4, 3), (-128, 127))
    nodes: tuple[Node, ...] = (
        Convolution(
            **tensor("conv", shape, -128, y_min=-100),
            inputs=("image",),
            weight=weight,
            bias=bias,
            multiplier=multipliers,
            shift=shifts,
            padding=(1, 1, 1, 1),
        ),
        LookupTable(**tensor("table", shape, 3), inputs=("conv",), table=TABLE),
        Add(**tensor("sum", shape, 4), inputs=("conv", "table"), a_multiplier=300, b_multiplier=500, shift=9),
        Add(
            **tensor("difference", shape, 5),
            inputs=("sum", "conv"),
            a_multiplier=3,
            b_multiplier=2,
            shift=2,
            subtract=True,
        ),
        Product(**tensor("product", shape, 6), inputs=("difference", "table"), multiplier=77, shift=13),
        Rescale(**tensor("rescale", shape, 7), inputs=("product",), multiplier=3, shift=1),
        MaxPool(**tensor("maximum", (3, 2, 4), 7), inputs=("rescale",), kernel=(2, 2), strides=(2, 2)),
        AveragePool(
            **tensor("average", (2, 2, 4), -1),
            inputs=("maximum",),
            kernel=(2, 2),
            strides=(1, 1),
            padding=(0, 0, 0, 1),
            multiplier=np.array([[1, 2], [1, 2]]),
            shift=np.array([[2, 2], [2, 2]]),
        ),
        Reshape(**tensor("flatten", (16,), -1), inputs=("average",)),
        Linear(
            **tensor("fc", (3,), 11, y_max=100),
            inputs=("flatten",),
            weight=matrix,
            bias=np.array([0, 1, 2]),
            multiplier=multipliers[:3],
            shift=shifts[:3],
        ),
    )
    image = Tensor(name="image", shape=(6, 5, 2), scale=0.1, zero_point=-20)
    return Graph(inputs=(image,), nodes=nodes, outputs={"logits": "fc", "features": "maximum"}, arithmetic=ARITHMETIC)


def test_every_layer_is_its_operator() -> None:
    graph = network()
    real = np.random.default_rng(3).normal(0, 6, (3, 2, 6, 5)).astype(np.float32)
    layers = run_graph(graph, {"image": real}, every=True)
    assert list(layers) == [node.name for node in graph.nodes]
    nodes = {node.name: node for node in graph.nodes}
    conv, fc, average = nodes["conv"], nodes["fc"], nodes["average"]
    assert isinstance(conv, Convolution) and isinstance(fc, Linear) and isinstance(average, AveragePool)
    x = np.ascontiguousarray(quantize(real, 0.1, -20).transpose(0, 2, 3, 1))
    sums, conv_flags = convolve(x, conv.weight, conv.bias, ARITHMETIC, -20, padding=(1, 1, 1, 1))
    clamp = (-128, 127, ARITHMETIC)
    first = requantize(sums, conv.multiplier, conv.shift, -128, -100, 127, ARITHMETIC)
    table = lookup(first, TABLE, ARITHMETIC)
    total = add(first, -128, 300, table, 3, 500, 9, 4, *clamp)
    difference = subtract(total, 4, 3, first, -128, 2, 2, 5, *clamp)
    times = product(difference, 5, table, 3, 77, 13, 6, *clamp)
    scaled = rescale(times, 6, 3, 1, 7, *clamp)
    largest = max_pool(scaled, (2, 2), (2, 2))
    mean = average_pool(
        largest,
        (2, 2),
        (1, 1),
        (0, 0, 0, 1),
        x_zero_point=7,
        multiplier=average.multiplier,
        shift=average.shift,
        zero_point=-1,
        y_min=-128,
        y_max=127,
        arithmetic=ARITHMETIC,
    )
    sums, fc_flags = linear(mean.reshape(3, -1), fc.weight, fc.bias, ARITHMETIC, -1)
    last = requantize(sums, fc.multiplier, fc.shift, 11, -128, 100, ARITHMETIC)
    maps = {"conv": first, "table": table, "sum": total, "difference": difference, "product": times, "rescale": scaled}
    for name, expected in (maps | {"maximum": largest, "average": mean}).items():
        assert_array_equal(layers[name], expected.transpose(0, 3, 1, 2), err_msg=name)
    assert_array_equal(layers["flatten"], mean.reshape(3, -1))
    assert_array_equal(layers["fc"], last)

    outputs = run_graph(graph, {"image": np.ascontiguousarray(x.transpose(0, 3, 1, 2))})
    assert list(outputs) == ["logits", "features"]
    assert_array_equal(outputs["logits"], last)
    assert_array_equal(outputs["features"], largest.transpose(0, 3, 1, 2))

    shown, counts = run_graph_counts(graph, {"image": real})
    for name, layer in layers.items():
        assert_array_equal(shown[name], layer)
    assert conv_flags.any() and counts["conv"].clips.any()
    assert_array_equal(counts["conv"].overflows, conv_flags.sum(axis=(0, 1, 2)))
    assert_array_equal(counts["fc"].overflows, fc_flags.sum(axis=0))
    assert_array_equal(counts["table"].clips, np.zeros(4))
    for name in layers:
        assert counts[name].overflows.shape == counts[name].clips.shape == (graph.tensor(name).shape[-1],)


def test_codes_of_a_batch_do_not_depend_on_the_batch() -> None:
    graph = network()
    real = np.random.default_rng(4).normal(0, 6, (4, 2, 6, 5))
    whole = run_graph(graph, {"image": real})
    for i in range(4):
        assert_array_equal(run_graph(graph, {"image": real[i : i + 1]})["logits"][0], whole["logits"][i])
    assert run_graph(graph, {"image": real[:0]})["logits"].shape == (0, 3)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({}, ValueError, "inputs must have 'image', not only nothing"),
        ({"picture": np.zeros((1, 2, 6, 5))}, ValueError, "inputs must be named 'image', not 'picture'"),
        ({"image": [[1.0]]}, TypeError, "input 'image' must be an array of floats or of int8 codes, not list"),
        ({"image": np.zeros((1, 2, 6, 5), int)}, TypeError, "input 'image' must be .* not int64"),
        (
            {"image": np.zeros((1, 6, 5, 2))},
            ValueError,
            "input 'image' must have shape (batch, 2, 6, 5), not (1, 6, 5, 2)",
        ),
        ({"image": np.full((1, 2, 6, 5), np.nan)}, ValueError, "input 'image' must not contain NaN"),
    ],
)
def test_input_errors(inputs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message).replace(r"\.\*", ".*")):
        run_graph(network(), inputs)


def test_input_codes_outside_their_range_and_batches_that_differ() -> None:
    pair = (
        Tensor(name="a", shape=(3,), scale=1.0, zero_point=0, y_min=-8, y_max=7),
        Tensor(name="b", shape=(3,), scale=1.0, zero_point=0),
    )
    node = Add(**tensor("sum", (3,), 0), inputs=("a", "b"), a_multiplier=1, b_multiplier=1, shift=0)
    graph = Graph(inputs=pair, nodes=(node,), outputs={"y": "sum"}, arithmetic=Arithmetic())
    with pytest.raises(ValueError, match="input 'a' must be from -8 to 7, not 8 at index"):
        run_graph(graph, {"a": np.full((1, 3), 8, np.int8), "b": np.zeros((1, 3))})
    with pytest.raises(ValueError, match=r"inputs must have one batch size, not \{'a': 1, 'b': 2\}"):
        run_graph(graph, {"a": np.zeros((1, 3)), "b": np.zeros((2, 3))})


def test_errors_name_the_layer() -> None:
    image = Tensor(name="x", shape=(3,), scale=1.0, zero_point=0)
    common: dict[str, Any] = {
        "inputs": ("x",),
        "weight": np.zeros((3, 2), np.int8),
        "multiplier": np.array([1, 1]),
        "shift": np.array([0, 0]),
    }
    wide = Linear(**tensor("fc", (2,), 0), bias=np.array([0, 2048]), **common)
    with pytest.raises(ValueError, match="layer 'fc': bias must be from -2048 to 2047, not 2048 at index 1"):
        run_graph(
            Graph(inputs=(image,), nodes=(wide,), outputs={"y": "fc"}, arithmetic=Arithmetic(accumulator_bits=12)),
            {"x": np.zeros((1, 3))},
        )
    shape = Linear(**tensor("fc", (5,), 0), bias=np.array([0, 0]), **common)
    with pytest.raises(ValueError, match=r"layer 'fc': shape must be \(2,\), not \(5,\)"):
        run_graph(
            Graph(inputs=(image,), nodes=(shape,), outputs={"y": "fc"}, arithmetic=Arithmetic()),
            {"x": np.zeros((1, 3))},
        )


def test_a_sequence_is_a_map_of_height_one() -> None:
    """Convolution, pools and pad of (length, channels) give the codes of (1, length, channels)."""

    def made(lines: tuple[int, ...]) -> Graph:
        nodes: tuple[Node, ...] = (
            Pad(**tensor("pad", (*lines, 9, 2), -20), inputs=("x",), padding=(0, 1, 0, 2)),
            Convolution(
                **tensor("conv", (*lines, 5, 4), 3),
                inputs=("pad",),
                weight=codes(1, (4, 1, 3, 2), (-128, 127)),
                bias=np.array([5, -6, 700, 8000]),
                multiplier=np.array([9000, 8000, 7000, 6000]) << 9,
                shift=np.array([27, 28, 27, 28]),
                strides=(1, 2),
                padding=(0, 1, 0, 2),
                dilations=(1, 1),
            ),
            MaxPool(**tensor("most", (*lines, 4, 4), 3), inputs=("conv",), kernel=(1, 2), strides=(1, 1)),
            AveragePool(
                **tensor("mean", (*lines, 2, 4), 0),
                inputs=("most",),
                kernel=(1, 3),
                strides=(1, 1),
                multiplier=np.array([[3, 5]]),
                shift=np.array([[3, 4]]),
            ),
        )
        source = Tensor(name="x", shape=(*lines, 6, 2), scale=0.1, zero_point=-20)
        return Graph(inputs=(source,), nodes=nodes, outputs={"y": "mean"}, arithmetic=ARITHMETIC)

    x = codes(4, (3, 2, 6), (-128, 127))
    flat, flat_counts = run_graph_counts(made(()), {"x": x})
    lines, line_counts = run_graph_counts(made((1,)), {"x": x[:, :, None]})
    for name, expected in lines.items():
        assert_array_equal(flat[name], expected[:, :, 0], err_msg=name)
        assert_array_equal(flat_counts[name].overflows, line_counts[name].overflows)
        assert_array_equal(flat_counts[name].clips, line_counts[name].clips)
    assert flat_counts["conv"].overflows.any() and flat_counts["conv"].clips.any()


def test_nodes_that_move_codes() -> None:
    """Pad, slice, concat and transpose in one graph, against NumPy's own indexing."""
    x = np.random.default_rng(5).integers(-128, 128, (2, 3, 4, 5), dtype=np.int8)  # (batch, channels, height, width)
    shared = {"scale": 0.5, "zero_point": 3}
    nodes = (
        Pad(name="padded", shape=(6, 5, 3), inputs=("input",), padding=(1, 0, 1, 0), **shared),
        Slice(name="middle", shape=(4, 5, 3), inputs=("padded",), axis=1, start=1, stop=5, **shared),
        Concat(name="both", shape=(4, 5, 6), inputs=("middle", "input"), axis=-1, **shared),
        Transpose(name="turned", shape=(5, 4, 6), inputs=("both",), axes=(0, 2, 1, 3), **shared),
    )
    source = Tensor(name="input", shape=(4, 5, 3), **shared)
    graph = Graph(inputs=(source,), nodes=nodes, outputs={"y": "turned"}, arithmetic=Arithmetic())
    shown = run_graph(graph, {"input": x}, every=True)
    assert_array_equal(shown["padded"][:, :, 0], np.full((2, 3, 5), 3))
    assert_array_equal(shown["middle"], x)
    assert_array_equal(shown["turned"], np.concatenate([x, x], axis=1).transpose(0, 1, 3, 2))
    other = replace(graph, nodes=(nodes[0], nodes[1], replace(nodes[2], scale=0.25)), outputs={"y": "both"})
    with pytest.raises(ValueError, match="layer 'both': inputs must have the scale and zero point of the output"):
        run_graph(other, {"input": x})
