"""BATCH_MATMUL against TFLM, and in the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Machine, MatrixProduct, run_graph
from tests.compiler.tflite.net import Net, check_tflm, graph, refusal

SHAPES = [
    ((1, 3, 4), (1, 4, 5)),
    ((1, 2, 3, 4), (1, 2, 4, 5)),
    ((1, 1, 1, 6), (1, 1, 6, 1)),
    ((1, 4, 5, 2), (1, 4, 2, 7)),
]


def exchanged(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2])


def product(seed: int, a: tuple[int, ...], b: tuple[int, ...], turns: tuple[bool, bool]) -> Net:
    net = Net(seed)
    given = [net.input(exchanged(shape) if turn else shape) for shape, turn in zip((a, b), turns, strict=True)]
    heads = tuple(map(max, a[:-2], b[:-2]))
    net.add("BATCH_MATMUL", given, (*heads, a[-2], b[-1]), (0.7, 5), AdjX=turns[0], AdjY=turns[1])
    return net


@pytest.mark.parametrize("turns", [(False, False), (False, True), (True, False), (True, True)])
def test_two_activations(tmp_path: Path, turns: tuple[bool, bool]) -> None:
    for seed, (a, b) in enumerate(SHAPES):
        read = check_tflm(product(seed, a, b, turns), tmp_path)
        (node,) = (node for node in read.nodes if isinstance(node, MatrixProduct))
        assert (node.a_transposed, node.b_transposed) == turns
        config = AcceleratorConfig(rows=4, columns=4, arithmetic=Arithmetic.tflm(), weight_zero_points=True)
        codes = product(seed, a, b, turns).codes(2)
        result = Machine(config).run(compile_graph(read, config), codes)
        (expected,) = run_graph(read, codes).values()
        np.testing.assert_array_equal(next(iter(result.outputs.values())), expected)


def test_heads_of_one_operand_broadcast(tmp_path: Path) -> None:
    read = graph(product(1, (1, 3, 2, 4), (1, 1, 4, 5), (False, False)), tmp_path)
    assert read.nodes[-1].shape == (3, 2, 5)


def test_shapes_that_do_not_match(tmp_path: Path) -> None:
    net = Net(0)
    a, b = net.input((1, 3, 4)), net.input((1, 5, 2))
    net.add("BATCH_MATMUL", [a, b], (1, 3, 2))
    assert "b must have 4 rows, one per column of a, not 5" in refusal(net, tmp_path)
    net = Net(0)
    a, b = net.input((1, 3, 3, 4)), net.input((1, 2, 4, 2))
    net.add("BATCH_MATMUL", [a, b], (1, 3, 3, 2))
    assert "the inputs must have shapes that broadcast" in refusal(net, tmp_path)
