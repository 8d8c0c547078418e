"""The inputs that attain the certified bounds, through the emulator's accumulators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import (
    Arithmetic,
    AttainingInput,
    Convolution,
    Graph,
    LayerCertificate,
    Linear,
    accumulate,
    attaining_input,
    certify,
    convolve,
    linear,
    run_graph_counts,
)
from tests.emulator.graph.certified import Layer, a_linear, graph_of, layers, running_sums, vector
from tests.emulator.strategies import few, many, seeds
from tests.graphs import random_arithmetic, random_graph


def sums(graph: Graph, node: Layer, found: AttainingInput, channel: int, bits: int) -> tuple[Any, Any]:
    """The emulator's sums and flags of that channel for that input, in an accumulator of so many bits."""
    bias = np.where(np.arange(len(node.bias)) == channel, node.bias, 0)  # other channels' may need more bits
    arithmetic = replace(graph.arithmetic, accumulator_bits=bits, multiplier_bits=8)
    zero = graph.tensor(node.inputs[0]).zero_point
    w_zero = 0 if node.weight_zero_point is None else node.weight_zero_point
    if isinstance(node, Linear):
        return linear(found.codes.reshape(1, -1), node.weight, bias, arithmetic, zero, w_zero)
    window = node.strides, node.padding, node.dilations, node.groups
    return convolve(found.codes, node.weight, bias, arithmetic, zero, *window, w_zero)


def assert_attained(graph: Graph, node: Layer, certificate: LayerCertificate, channel: int) -> None:
    """Both extremes are sums of the emulator; the certified width holds them, and one bit less does not."""
    source = graph.tensor(node.inputs[0])
    overflowed = False
    bits = int(certificate.channel_bits[channel])
    for largest, value in ((True, certificate.high[channel]), (False, certificate.low[channel])):
        found = attaining_input(graph, node.name, channel, largest)
        assert found.value == value and found.codes.dtype == np.int8 and found.codes.shape == (1, *source.shape)
        assert found.codes.min() >= source.y_min and found.codes.max() <= source.y_max
        place = (0, *found.position, channel)
        steps = node.weight.size // len(node.bias)
        if source.y_min <= source.zero_point <= source.y_max:
            assert found.steps == steps
        if found.steps == steps:
            assert sums(graph, node, found, channel, 48)[0][place] == value
        else:
            assert window_sums(graph, node, found, channel)[found.steps] == value
        assert not sums(graph, node, found, channel, bits)[1][place]
        if bits > 8:
            try:
                overflowed = overflowed or sums(graph, node, found, channel, bits - 1)[1][place]
            except ValueError as error:  # the bias alone needs all bits
                assert str(error).startswith("bias must be")
                overflowed = True
    assert overflowed or bits == 8


def window_sums(graph: Graph, node: Layer, found: AttainingInput, channel: int) -> list[int]:
    """The running sum at that position."""
    positions = running_sums(graph, node, found.codes[0].tolist())[channel]
    columns = node.shape[1] if isinstance(node, Convolution) else 1
    row, column = found.position or (0, 0)
    return positions[row * columns + column]


@many
@given(layers(most_cells=24, most_codes=16), st.data())
def test_the_emulator_attains_the_bound(graph: Graph, data: st.DataObject) -> None:
    (node,) = graph.nodes
    assert isinstance(node, Layer)
    assert_attained(graph, node, certify(graph)["layer"], data.draw(st.integers(0, len(node.bias) - 1)))


@few
@given(seeds)
def test_whole_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, random_arithmetic(rng))
    certificates = certify(graph)
    weighted = [node for node in graph.nodes if isinstance(node, Layer)]
    assert [*certificates] == [node.name for node in weighted]
    for node in weighted:
        assert_attained(graph, node, certificates[node.name], int(rng.integers(len(node.bias))))
    (source,) = graph.inputs
    shape = (8, source.shape[2], *source.shape[:2])
    codes = np.where(rng.random(shape) < 0.5, source.y_min, source.y_max).astype(np.int8)
    counts = run_graph_counts(graph, {source.name: codes})[1]
    for name, certificate in certificates.items():
        fits = certificate.channel_bits <= graph.arithmetic.accumulator_bits
        assert not counts[name].overflows[fits].any()
        assert certificate.safe == fits.all()


def test_widths_beyond_32_bits() -> None:
    """60 000 products of 255 · 127 and the largest bias need 33 bits."""
    depth = 60_000
    graph = graph_of(vector(depth, zero_point=-128), a_linear(np.full((depth, 1), 127), [2**31 - 1]))
    certificate = certify(graph)["layer"]
    assert certificate.high.tolist() == [2**31 - 1 + depth * 255 * 127]
    assert (certificate.smallest_bits, certificate.safe) == (33, False)
    found = attaining_input(graph, "layer", 0)
    node = graph.nodes[0]
    for bits, expected in ((33, False), (32, True)):
        arithmetic = Arithmetic(accumulator_bits=bits)
        acc, flags = accumulate(found.codes, node.weight, node.bias, arithmetic, -128)
        assert flags.tolist() == [[expected]] and (acc == found.value) != expected


@pytest.mark.parametrize(
    ("layer", "channel", "error", "message"),
    [
        ("x", 0, ValueError, r"layer must be a convolution or linear layer \(layer\), not 'x'"),
        ("layer", 1, ValueError, "channel must be from 0 to 0, not 1"),
        ("layer", 0.0, TypeError, "channel must be an integer"),
    ],
)
def test_errors(layer: str, channel: Any, error: type[Exception], message: str) -> None:
    graph = graph_of(vector(1), a_linear([[1]], [0]))
    with pytest.raises(error, match=message):
        attaining_input(graph, layer, channel)
    with pytest.raises(TypeError, match="graph must be a Graph, as load_onnx gives it, not dict"):
        certify({})  # type: ignore[arg-type]
