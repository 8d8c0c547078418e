"""Certificates against all inputs there are, and against the contract's formula."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_array_equal

from emulator import (
    Arithmetic,
    Convolution,
    Graph,
    Pad,
    Reshape,
    Tensor,
    attaining_input,
    certify,
)
from tests.emulator.graph.certified import EMPTY, Layer, a_linear, graph_of, layers, running_sums, vector
from tests.emulator.strategies import many


def everything(graph: Graph, node: Layer) -> tuple[list[int], list[int]]:
    """(smallest, largest) partial sum per channel over every input that there is."""
    source = graph.tensor(node.inputs[0])
    low, high = node.bias.tolist(), node.bias.tolist()
    for codes in itertools.product(range(source.y_min, source.y_max + 1), repeat=int(np.prod(source.shape))):
        for n, channel in enumerate(running_sums(graph, node, np.reshape(codes, source.shape).tolist())):
            low[n] = min(low[n], *map(min, channel))
            high[n] = max(high[n], *map(max, channel))
    return low, high


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
