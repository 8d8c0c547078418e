"""Products of attention and of a layer, built in code: shapes, multiplications, codes."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.networks import attention_products, encoder_products, macs
from codesign.utilization import measure
from emulator import AcceleratorConfig, Arithmetic, Graph, MatrixProduct, run_graph
from emulator.graph import Codes


def plain(node: MatrixProduct, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Half even in Python's integers; zero points are 0."""
    sums = np.einsum("hmk,hnk->hmn" if node.b_transposed else "hmk,hkn->hmn", a.astype(int), b.astype(int))
    exact = [[[int(v) * node.multiplier for v in row] for row in head] for head in sums.tolist()]
    half, whole = 1 << (node.shift - 1), 1 << node.shift
    rounded = np.array([[[(v + half - (v % (2 * whole) == half)) // whole for v in row] for row in h] for h in exact])
    return np.clip(rounded, -128, 127)


def split(x: np.ndarray, heads: int) -> np.ndarray:
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def codes(graph: Graph, seed: int = 0) -> dict[str, Codes]:
    rng = np.random.default_rng(seed)
    return {t.name: rng.integers(-128, 128, (1, *t.shape)).astype(np.int8) for t in graph.inputs}


@pytest.mark.parametrize("queries", [None, 1, 3])
def test_products_are_those_of_plain_integers(queries: int | None) -> None:
    heads = 2
    graph = attention_products(Arithmetic(), 5, heads, 4, queries=queries)
    inputs = codes(graph)
    assert inputs["q"].shape == (1, queries or 5, 8)
    by_name = {node.name: node for node in graph.nodes}
    found = run_graph(graph, inputs, every=True)
    q, k, v = (split(inputs[name][0], heads) for name in "qkv")
    scores, mixed = by_name["scores"], by_name["mixed"]
    assert isinstance(scores, MatrixProduct) and isinstance(mixed, MatrixProduct)
    expected = plain(scores, q, k)
    np.testing.assert_array_equal(found["scores"][0], expected)
    np.testing.assert_array_equal(found["mixed"][0], plain(mixed, expected, v))


def test_each_part_alone_has_its_multiplications() -> None:
    for parts, count in ((("scores",), 1), (("mixed",), 1), (("scores", "mixed"), 2)):
        graph = attention_products(Arithmetic(), 8, 2, 4, parts=parts)
        assert macs(graph) == count * 2 * 8 * 8 * 4
        assert {node.name for node in graph.nodes if isinstance(node, MatrixProduct)} == set(parts)


def test_a_layer_has_berts_multiplications_and_runs_in_the_machine() -> None:
    tokens, width, inner = 128, 768, 3072
    assert macs(encoder_products(Arithmetic(), tokens, 12, 64, inner)) == (
        tokens * (4 * width * width + 2 * width * inner) + 2 * tokens * tokens * width
    )
    small = encoder_products(Arithmetic(), 6, 2, 4, 16)
    measured = measure(small, AcceleratorConfig(rows=4, columns=4), 8)
    expected = run_graph(small, measured.inputs, every=True)
    for name, found in measured.result.layers.items():
        np.testing.assert_array_equal(found, expected[name])
