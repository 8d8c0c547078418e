"""Pools and broadcast layers: what the interpreter makes of their program is what the operators make of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import CompileError, compile_graph
from emulator import AcceleratorConfig, Add, Arithmetic, AveragePool, Graph, MaxPool, Product, Tensor
from emulator.instructions import Opcode
from emulator.operators.average_pool import average_pool_scales
from emulator.operators.requantization.multiplier import quantize_multiplier
from tests.compiler.interpreted import check


def pooled(size: int, arithmetic: Arithmetic | None = None, zero_point: int = 0, **change: object) -> Graph:
    source = Tensor(name="input", shape=(size, size, 3), scale=1.0, zero_point=zero_point)
    node = AveragePool(
        name="mean", shape=(1, 1, 3), inputs=("input",), scale=1.0, zero_point=0, kernel=(size, size), strides=(1, 1),
        multiplier=np.full((1, 1), 1 << 23), shift=np.full((1, 1), 30),
    )  # fmt: skip
    node = replace(node, **change)
    return Graph(inputs=(source,), nodes=(node,), outputs={"y": "mean"}, arithmetic=arithmetic or Arithmetic())


SMALL = AcceleratorConfig(rows=4, columns=4, operand_scratchpad_bytes=64, output_scratchpad_bytes=256)
"""Its operand scratchpad holds 16 pixels."""


def test_an_average_of_a_window_larger_than_the_operand_scratchpad() -> None:
    program = check(pooled(20), SMALL, np.random.default_rng(0))
    assert Opcode.REDUCE not in [i.opcode for i in program.instructions]


def test_averages_of_large_windows_with_a_multiplier_for_each_position() -> None:
    kernel, strides, padding = (6, 5), (2, 3), (2, 1, 3, 1)
    scales = average_pool_scales(1.0, 1.0, (11, 11), kernel, strides, padding, count_padding=False)
    multiplier, shift = quantize_multiplier(scales, Arithmetic())
    graph = pooled(
        11, kernel=kernel, strides=strides, padding=padding, shape=(*multiplier.shape, 3), multiplier=multiplier,
        shift=shift,
    )  # fmt: skip
    assert len(np.unique(multiplier)) > 3
    check(graph, SMALL, np.random.default_rng(0))


def test_averages_of_dilated_windows() -> None:
    kernel, strides, padding, dilations = (4, 5), (2, 3), (2, 1, 3, 1), (3, 2)
    scales = average_pool_scales(1.0, 1.0, (11, 11), kernel, strides, padding, dilations)
    multiplier, shift = quantize_multiplier(scales, Arithmetic())
    graph = pooled(
        11, kernel=kernel, strides=strides, padding=padding, dilations=dilations, shape=(*multiplier.shape, 3),
        multiplier=multiplier, shift=shift,
    )  # fmt: skip
    assert len(np.unique(multiplier)) > 2
    check(graph, SMALL, np.random.default_rng(0))
    check(graph, AcceleratorConfig(rows=4, columns=4), np.random.default_rng(0))


def test_an_average_that_fits_neither_way_is_named() -> None:
    arithmetic = Arithmetic(accumulator_bits=16)
    graph = pooled(20, arithmetic, zero_point=-128)
    config = replace(SMALL, arithmetic=arithmetic)
    with pytest.raises(
        CompileError, match=r"layer 'mean': its window of 400 positions fits neither the operand scratc"
    ):
        compile_graph(graph, config)


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "dilations"),
    [
        ((20, 20), (1, 1), (0, 0, 0, 0), (1, 1)),
        ((5, 6), (2, 3), (2, 3, 1, 2), (1, 1)),
        ((7, 2), (1, 2), (3, 0, 2, 1), (2, 3)),
        ((1, 18), (2, 1), (0, 9, 0, 8), (1, 1)),
        ((19, 1), (1, 1), (6, 0, 9, 0), (1, 1)),
    ],
)
def test_a_maximum_of_a_window_larger_than_the_operand_scratchpad(
    kernel: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int, int, int], dilations: tuple[int, int]
) -> None:
    """Along one axis after the other, and along an axis in overlapping halves."""
    source = Tensor(name="input", shape=(20, 20, 6), scale=1.0, zero_point=0)
    shape = tuple(
        (20 + padding[i] + padding[i + 2] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(2)
    )
    node = MaxPool(
        name="most", shape=(*shape, 6), inputs=("input",), scale=1.0, zero_point=0, kernel=kernel, strides=strides,
        padding=padding, dilations=dilations,
    )  # fmt: skip
    graph = Graph(inputs=(source,), nodes=(node,), outputs={"y": "most"}, arithmetic=Arithmetic())
    check(graph, SMALL, np.random.default_rng(0))


def test_a_sum_that_does_not_fit_is_named() -> None:
    graph = pooled(182, Arithmetic(accumulator_bits=16), zero_point=-128)  # 182² · 255 is beyond 24 bits
    with pytest.raises(CompileError, match="layer 'mean': kernel must keep sums of its window in 24 bits, not be"):
        compile_graph(graph, AcceleratorConfig(arithmetic=Arithmetic(accumulator_bits=16)))


@pytest.mark.parametrize("shapes", [
    ((4, 5, 9), (1, 1, 9)), ((4, 5, 9), (4, 1, 9)), ((1, 5, 9), (4, 1, 9)), ((4, 5, 9), (4, 5, 1)), ((6, 9), (1, 9)),
    ((4, 1, 9), (1, 5, 1)), ((9,), (1,)), ((1, 1, 1), (3, 2, 9)),
])  # fmt: skip
@pytest.mark.parametrize("swapped", [False, True])
def test_axes_of_size_one_are_broadcast(shapes: tuple[tuple[int, ...], ...], swapped: bool) -> None:
    a, b = (
        Tensor(name=name, shape=shape, scale=1.0, zero_point=zero)
        for name, shape, zero in zip("ab", shapes[::-1] if swapped else shapes, (3, -5), strict=True)
    )
    made = {"shape": np.broadcast_shapes(*shapes), "scale": 1.0, "zero_point": 7}
    nodes = (
        Product(name="scaled", inputs=("a", "b"), **made, multiplier=1 << 23, shift=30),
        Add(name="sum", inputs=("a", "b"), **made, a_multiplier=3 << 20, b_multiplier=5 << 20, shift=23),
    )
    graph = Graph(inputs=(a, b), nodes=nodes, outputs={"y": "scaled", "z": "sum"}, arithmetic=Arithmetic())
    check(graph, SMALL, np.random.default_rng(0))


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    vector = {"scale": 1.0, "zero_point": 0}
    a, b = Tensor(name="a", shape=(4, 4, 3), **vector), Tensor(name="b", shape=(2, 1, 3), **vector)
    node = Product(name="scaled", shape=(4, 4, 3), inputs=("a", "b"), **vector, multiplier=1 << 23, shift=30)
    graph = Graph(inputs=(a, b), nodes=(node,), outputs={"y": "scaled"}, arithmetic=Arithmetic())
    with pytest.raises(CompileError, match="layer 'scaled': b must have a shape that broadcasts with"):
        compile_graph(graph, AcceleratorConfig())
