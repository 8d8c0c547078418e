"""Softmax, layer norm and RMS norm as layers of a graph: rows of any leading axes, batches, masks, clips."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from codesign.benchmarks.row_accuracy import furthest, real_norm, real_softmax
from emulator import Arithmetic, Graph, LayerNorm, RMSNorm, Softmax, Tensor, run_graph, run_graph_counts
from emulator.operators.row_operators import causal_mask, make_normalization, make_softmax
from tests.row_cases import RowCase, row_cases

ARITHMETIC = Arithmetic()
KINDS = {"softmax": Softmax, "layer_norm": LayerNorm, "rms_norm": RMSNorm}
SX = float(np.float32(0.07))


def one_node(kind: str, shape: tuple[int, ...], parameters: Any, scale: float, zero: int = 0, **more: Any) -> Graph:
    """A graph of one layer by rows; `zero` is the input's zero point."""
    source = Tensor(name="x", shape=shape, scale=SX, zero_point=zero, channels_last=True)
    clamp = {name: getattr(parameters, name) for name in ("zero_point", "y_min", "y_max")}
    arithmetic = more.pop("arithmetic", ARITHMETIC)
    fields = {"shape": shape, "scale": scale, "inputs": ("x",), "channels_last": True} | clamp | more
    node = KINDS[kind](name="rows", parameters=parameters, **fields)
    return Graph(inputs=(source,), nodes=(node,), outputs={"y": "rows"}, arithmetic=arithmetic)


def of_vector(kind: str, case: RowCase) -> Graph:
    zero = getattr(case.parameters, "x_zero_point", 0)
    masked = {} if case.mask is None else {"mask": case.mask}
    graph = one_node(kind, case.x.shape, case.parameters, 0.01, zero, arithmetic=case.arithmetic, **masked)
    low, high = case.arithmetic.activation_range
    return replace(graph, inputs=(replace(graph.inputs[0], y_min=low, y_max=high),))


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_as_layers(kind):
    for case in row_cases(kind)[::10]:
        assert_array_equal(run_graph(of_vector(kind, case), {"x": case.x[None]})["y"][0], case.y)


@pytest.mark.parametrize("shape", [(1,), (9,), (5, 7), (2, 3, 4), (1, 1, 6), (2, 2, 3, 5)])
def test_softmax_of_any_leading_axes(shape):
    rng = np.random.default_rng(len(shape) * 10 + shape[-1])
    x = rng.integers(-128, 128, (3, *shape)).astype(np.int8)
    masks: list[Any] = [None, rng.integers(0, 2, shape[-1:]).astype(np.int8)]
    masks += [causal_mask(shape[-2], shape[-1]), rng.integers(0, 2, shape).astype(np.int8)] if len(shape) > 1 else []
    for mask in masks:
        graph = one_node("softmax", shape, make_softmax(SX, 1 / 256, -128, -128, 127, ARITHMETIC), 1 / 256, mask=mask)
        y = run_graph(graph, {"x": x})["y"]
        counts = np.broadcast_to(1 if mask is None else mask, x.shape).reshape(-1, shape[-1])
        rows = zip(x.reshape(-1, shape[-1]).tolist(), counts.tolist(), strict=True)
        real = [real_softmax(row, seen, SX, 1.0) for row, seen in rows]
        assert y.shape == x.shape and furthest(y, real, 1 / 256, -128) <= 0.51
        assert_array_equal(np.concatenate([run_graph(graph, {"x": each[None]})["y"] for each in x]), y)


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("shape", [(1,), (9,), (5, 7), (2, 3, 4), (2, 2, 3, 5)])
def test_norms_of_any_leading_axes(kind, shape):
    rng = np.random.default_rng(len(shape) * 10 + shape[-1])
    x, length = rng.integers(-128, 128, (3, *shape)).astype(np.int8), shape[-1]
    x[0] = -77
    x[1, ..., 0] = 127
    gamma, beta = rng.normal(0, 1.5, length), rng.normal(0, 0.5, length)
    scale = float(np.float32(0.02))
    parameters = make_normalization(length, SX, -77, scale, 5, -128, 127, ARITHMETIC, gamma, beta, 1e-5)
    graph = one_node(kind, shape, parameters, scale, -77)
    y = run_graph(graph, {"x": x})["y"]
    arguments = SX, gamma.tolist(), beta.tolist(), 1e-5, kind == "layer_norm"
    real = [real_norm(row, *arguments) for row in (x.astype(np.int64) + 77).reshape(-1, length).tolist()]
    assert y.shape == x.shape and furthest(y, real, scale, 5) <= 0.6


def test_clips_are_counted_by_channel():
    """A probability of 1 is beyond 127 at 1/256; masked elements never clip."""
    x = np.full((2, 3, 4), -128, np.int8)
    x[:, :, 1] = 127
    parameters = make_softmax(SX, 1 / 256, -128, -128, 127, ARITHMETIC)
    for mask, clips in ((None, [0, 6, 0, 0]), (np.array([1, 1, 1, 0]), [0, 6, 0, 0])):
        codes, counts = run_graph_counts(one_node("softmax", (3, 4), parameters, 1 / 256, mask=mask), {"x": x})
        assert_array_equal(counts["rows"].clips, clips)
        assert not counts["rows"].overflows.any() and (codes["rows"][..., 1] == 127).all()
    ones = make_normalization(4, SX, 0, 0.001, 0, -128, 127, ARITHMETIC, np.array([1.0, -1.0, 0.0, 1.0]))
    _, counts = run_graph_counts(one_node("layer_norm", (3, 4), ones, 0.001), {"x": x})
    assert_array_equal(counts["rows"].clips, [6, 6, 0, 6])


def refused(graph: Graph, text: str) -> None:
    x = np.zeros((1, *graph.inputs[0].shape), np.int8)
    with pytest.raises(ValueError, match=re.escape(text)):
        run_graph(graph, {"x": x})


def test_refusals():
    softmax = make_softmax(SX, 1 / 256, -128, -128, 127, ARITHMETIC)
    norm = make_normalization(4, SX, 3, 0.02, 0, -128, 127, ARITHMETIC)
    refused(
        one_node("softmax", (2, 4097), softmax, 1 / 256), "layer 'rows': x must have rows of 1 to 4096 codes, not 4097"
    )
    refused(
        one_node("layer_norm", (2, 5), norm, 0.02, 3), "layer 'rows': x must have rows of 4 codes, one for each elem"
    )
    refused(
        one_node("rms_norm", (2, 4), norm, 0.02, 1), "x_zero_point must be 1, the zero point of its input 'x', not 3"
    )
    refused(
        one_node("rms_norm", (2, 4), norm, 0.02, 3, y_max=9), "must be those of its parameters, (0, -128, 127), not"
    )
    mask = np.ones((1, 2, 4), np.int8)
    refused(
        one_node("softmax", (2, 4), softmax, 1 / 256, mask=mask), "mask must have a shape that broadcasts to that of"
    )
    refused(one_node("softmax", (2, 4), softmax, 1 / 256, mask=2 * mask[0]), "layer 'rows': mask must be from 0 to 1")
    turned = one_node("softmax", (2, 4), softmax, 1 / 256)
    turned = replace(turned, nodes=(replace(turned.nodes[0], shape=(4, 2)),))
    refused(turned, "layer 'rows': shape must be (2, 4), not (4, 2)")
