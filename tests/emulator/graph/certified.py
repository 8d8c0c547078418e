"""Small layers to certify, and their partial sums by plain integers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import strategies as st

from emulator import Arithmetic, Convolution, Graph, Linear, Node, Tensor
from tests import oracle
from tests.emulator.strategies import seeds
from tests.graphs import out_size

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
    w_zeros = np.zeros(len(node.bias), np.int64) if node.weight_zero_point is None else node.weight_zero_point
    if isinstance(node, Linear):
        flat = np.array(image).ravel().tolist()
        return [
            [running(zip(flat, (node.weight[:, n] - w_zeros[n]).tolist(), strict=True), int(node.bias[n]), zero)]
            for n in range(len(node.bias))
        ]
    outputs, height, width, depth = node.weight.shape
    size = (len(image), len(image[0]))
    places = oracle.corners(size, (height, width), node.strides, node.padding, node.dilations)
    result = []
    for n in range(outputs):
        first = n // (outputs // node.groups) * depth
        weights = (node.weight[n].reshape(-1, depth) - w_zeros[n]).tolist()
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
    w_zeros = rng.integers(low, high + 1, len(bias)) if draw(st.booleans()) else None
    if draw(st.booleans()):
        weight = rng.integers(low, high + 1, (height * width * depth, len(bias)))
        return graph_of(source, a_linear(weight, bias, weight_zero_point=w_zeros), arithmetic=arithmetic)
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
        weight_zero_point=w_zeros,
    )  # fmt: skip
    return graph_of(source, node, arithmetic=arithmetic)


def vector(length: int, **fields: Any) -> Tensor:
    return Tensor(**({"name": "x", "shape": (length,), "scale": 1.0, "zero_point": 0} | fields))
