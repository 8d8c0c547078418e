"""Certificates against all inputs there are, and the inputs that attain them through the emulator's accumulators."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import (
    Arithmetic,
    AttainingInput,
    Convolution,
    Graph,
    LayerCertificate,
    Linear,
    Node,
    Pad,
    Reshape,
    Tensor,
    accumulate,
    attaining_input,
    certify,
    convolve,
    linear,
    run_graph_counts,
)
from tests import oracle
from tests.emulator.strategies import few, many, seeds
from tests.graphs import out_size, random_arithmetic, random_graph

Layer = Convolution | Linear
EMPTY = np.zeros(0, np.int64)


def graph_of(source: Tensor, *nodes: Node, arithmetic: Arithmetic | None = None) -> Graph:
    outputs = {"output": nodes[-1].name}
    return Graph(inputs=(source,), nodes=nodes, outputs=outputs, arithmetic=arithmetic or Arithmetic())


def a_linear(weight: Any, bias: Any, **fields: Any) -> Linear:
    """weight (K, N)."""
    weight, bias = np.array(weight, np.int8), np.array(bias, np.int64)
    given = {"name": "layer", "inputs": ("x",), "scale": 1.0, "zero_point": 0, "shape": bias.shape} | fields
    return Linear(weight=weight, bias=bias, multiplier=EMPTY, shift=EMPTY, **given)


def running_sums(graph: Graph, node: Layer, image: Any) -> list[list[list[int]]]:
    """For one input map: per output channel, position and step the partial sum, the bias first."""
    zero = graph.tensor(node.inputs[0]).zero_point
    if isinstance(node, Linear):
        flat = np.array(image).ravel().tolist()
        return [
            [running(zip(flat, node.weight[:, n].tolist(), strict=True), int(node.bias[n]), zero)]
            for n in range(len(node.bias))
        ]
    outputs, height, width, depth = node.weight.shape
    size = (len(image), len(image[0]))
    places = oracle.corners(size, (height, width), node.strides, node.padding, node.dilations)
    result = []
    for n in range(outputs):
        first = n // (outputs // node.groups) * depth
        weights = node.weight[n].reshape(-1, depth).tolist()
        channel = []
        for corner in itertools.chain(*places):
            taps = oracle.window(size, corner, (height, width), node.dilations)
            pairs = [
                (zero if tap is None else image[tap[0]][tap[1]][first + c], weights[k][c])
                for k, tap in enumerate(taps)
                for c in range(depth)
            ]
            channel.append(running(pairs, int(node.bias[n]), zero))
        result.append(channel)
    return result


def running(pairs: Any, bias: int, zero: int) -> list[int]:
    return [*itertools.accumulate(((x - zero) * w for x, w in pairs), initial=bias)]


def everything(graph: Graph, node: Layer) -> tuple[list[int], list[int]]:
    """(smallest, largest) partial sum per channel over every input that there is."""
    source = graph.tensor(node.inputs[0])
    low, high = node.bias.tolist(), node.bias.tolist()
    for codes in itertools.product(range(source.y_min, source.y_max + 1), repeat=int(np.prod(source.shape))):
        for n, channel in enumerate(running_sums(graph, node, np.reshape(codes, source.shape).tolist())):
            low[n] = min(low[n], *map(min, channel))
            high[n] = max(high[n], *map(max, channel))
    return low, high


@st.composite
def layers(draw: st.DrawFn, most_cells: int, most_codes: int) -> Graph:
    """One convolution or linear layer on a small map, of any geometry, zero point and legal codes."""
    rng = np.random.default_rng(draw(seeds))
    arithmetic = Arithmetic(activation_bits=4, weight_bits=int(rng.choice([2, 4, 8])), accumulator_bits=24)
    groups = int(rng.choice([1, 1, 2]))
    height, width = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    depth = groups * int(rng.integers(1, 3))
    while height * width * depth > most_cells:
        height, width, depth = max(1, height - 1), max(1, width - 1), groups
    y_min = int(rng.integers(-8, 8))
    y_max = min(7, y_min + int(rng.integers(most_codes)))
    source = Tensor(
        name="x", shape=(height, width, depth), scale=1.0, zero_point=int(rng.integers(-8, 8)), y_min=y_min, y_max=y_max
    )
    low, high = arithmetic.weight_range
    bias = rng.integers(-40, 41, size=groups * 2)
    if draw(st.booleans()):
        return graph_of(
            source, a_linear(rng.integers(low, high + 1, (height * width * depth, len(bias))), bias),
            arithmetic=arithmetic,
        )  # fmt: skip
    while True:
        kernel, strides, dilations = (tuple(int(v) for v in rng.integers(1, most, 2)) for most in (5, 3, 3))
        padding = tuple(int(v) for v in rng.integers(0, 4, 4))
        sizes = [
            out_size(n, kernel[axis], strides[axis], dilations[axis], padding[axis], padding[axis + 2])
            for axis, n in enumerate((height, width))
        ]
        if min(sizes) >= 1:
            break
    weight = rng.integers(low, high + 1, (len(bias), *kernel, depth // groups)).astype(np.int8)
    node = Convolution(
        name="layer", inputs=("x",), shape=(*sizes, len(bias)), scale=1.0, zero_point=0, weight=weight, bias=bias,
        multiplier=EMPTY, shift=EMPTY, strides=strides, padding=padding, dilations=dilations, groups=groups,
    )  # fmt: skip
    return graph_of(source, node, arithmetic=arithmetic)


@many
@given(layers(most_cells=4, most_codes=4))
def test_all_inputs_that_there_are(graph: Graph) -> None:
    (node,) = graph.nodes
    assert isinstance(node, Layer)
    low, high = everything(graph, node)
    certificate = certify(graph)["layer"]
    assert (certificate.low.tolist(), certificate.high.tolist()) == (low, high)
    for n, (least, most) in enumerate(zip(low, high, strict=True)):
        widths = [bits for bits in range(8, 49) if -(2 ** (bits - 1)) <= least and most < 2 ** (bits - 1)]
        assert certificate.channel_bits[n] == widths[0]


def sums(graph: Graph, node: Layer, found: AttainingInput, channel: int, bits: int) -> tuple[Any, Any]:
    """The emulator's sums and flags of that channel for that input, in an accumulator of so many bits."""
    bias = np.where(np.arange(len(node.bias)) == channel, node.bias, 0)  # other channels' may need more bits
    arithmetic = replace(graph.arithmetic, accumulator_bits=bits, multiplier_bits=8)
    zero = graph.tensor(node.inputs[0]).zero_point
    if isinstance(node, Linear):
        return linear(found.codes.reshape(1, -1), node.weight, bias, arithmetic, zero)
    return convolve(
        found.codes, node.weight, bias, arithmetic, zero, node.strides, node.padding, node.dilations, node.groups
    )


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


def vector(length: int, **fields: Any) -> Tensor:
    return Tensor(**({"name": "x", "shape": (length,), "scale": 1.0, "zero_point": 0} | fields))


def test_the_formula_of_the_contract() -> None:
    rng = np.random.default_rng(5)
    for zero in (-128, -3, 0, 90):
        weight, bias = rng.integers(-128, 128, (50, 6)), rng.integers(-9000, 9000, 6)
        certificate = certify(graph_of(vector(50, zero_point=zero), a_linear(weight, bias)))["layer"]
        a, b = 127 - zero, 128 + zero
        positive, negative = np.maximum(weight, 0).sum(0), np.maximum(-weight, 0).sum(0)
        assert_array_equal(certificate.high, bias + a * positive + b * negative)
        assert_array_equal(certificate.low, bias - b * positive - a * negative)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_may_pass_beyond_where_it_ends(sign: int) -> None:
    """Codes 1 … 3 around no zero: after +3 −1 the sum has come back, and the extreme lies in between."""
    source = vector(2, y_min=1, y_max=3)
    graph = graph_of(source, a_linear([[sign], [-sign]], [0]))
    certificate = certify(graph)["layer"]
    assert (certificate.low.tolist(), certificate.high.tolist()) == (([-2], [3]) if sign > 0 else ([-3], [2]))
    found = attaining_input(graph, "layer", 0, largest=sign > 0)
    assert (found.steps, found.value, found.codes[0, 0]) == (1, 3 * sign, 3)


def test_a_map_smaller_than_the_kernel_has_fewer_taps() -> None:
    source = Tensor(name="x", shape=(1, 1, 1), scale=1.0, zero_point=0)
    node = Convolution(
        name="layer", inputs=("x",), shape=(1, 1, 1), scale=1.0, zero_point=0,
        weight=np.arange(1, 10, dtype=np.int8).reshape(1, 3, 3, 1), bias=np.zeros(1, np.int64), multiplier=EMPTY,
        shift=EMPTY, padding=(1, 1, 1, 1),
    )  # fmt: skip
    certificate = certify(graph_of(source, node))["layer"]
    assert (certificate.low.tolist(), certificate.high.tolist()) == ([5 * -128], [5 * 127])


def test_a_sequence_is_a_map_of_height_1() -> None:
    rng = np.random.default_rng(2)
    node = Convolution(
        name="layer", inputs=("x",), shape=(3, 2), scale=1.0, zero_point=0,
        weight=rng.integers(-128, 128, (2, 1, 5, 3)).astype(np.int8), bias=np.array([5, -7]), multiplier=EMPTY,
        shift=EMPTY, padding=(0, 2, 0, 2),
    )  # fmt: skip
    flat, image = (Tensor(name="x", shape=shape, scale=1.0, zero_point=9) for shape in ((3, 3), (1, 3, 3)))
    found, expected = (certify(graph_of(source, node))["layer"].as_dict() for source in (flat, image))
    assert found == expected
    one, other = (attaining_input(graph_of(source, node), "layer", 1) for source in (flat, image))
    assert one.codes.shape == (1, 3, 3) and one.position == other.position
    assert_array_equal(one.codes, other.codes[0])


def test_padding_as_a_layer_brings_codes_that_its_input_has_not() -> None:
    source = Tensor(name="x", shape=(1, 1, 1), scale=1.0, zero_point=0, y_min=2, y_max=3)
    pad = Pad(
        name="pad", shape=(1, 2, 1), inputs=("x",), scale=1.0, zero_point=0, y_min=2, y_max=3, padding=(0, 1, 0, 0)
    )
    flat = Reshape(name="flat", shape=(2,), inputs=("pad",), scale=1.0, zero_point=0, y_min=2, y_max=3)
    certificate = certify(graph_of(source, pad, flat, a_linear([[1], [-1]], [0], inputs=("flat",))))["layer"]
    assert (certificate.low.tolist(), certificate.high.tolist()) == ([-3], [3])


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


def test_the_bias_is_the_first_partial_sum() -> None:
    graph = graph_of(
        vector(1, y_min=0, y_max=1), a_linear([[0, 0, 0, -1]], [127, 128, -129, -128]),
        arithmetic=Arithmetic(accumulator_bits=9),
    )  # fmt: skip
    certificate = certify(graph)["layer"]
    assert certificate.channel_bits.tolist() == [8, 9, 9, 9]
    assert certificate.safe and certificate.smallest_bits == 9
    assert certificate.as_dict() == {
        "layer": "layer", "accumulator_bits": 9, "smallest_bits": 9, "safe": True, "low": [127, 128, -129, -129],
        "high": [127, 128, -129, -128], "bits": [8, 9, 9, 9],
    }  # fmt: skip


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
