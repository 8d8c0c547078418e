"""What the file computes in float in front of the accelerator and behind it: ONNX Runtime's own results, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from compiler import load_onnx
from emulator import run_graph
from tests.compiler.models import Model, runtime
from tests.compiler.onnx.float_ends import (
    S,
    W,
    conv,
    embedded,
    feed,
    gemm,
    normalized,
    pixels,
    same,
    softmax,
)


def upsampled(model: Model) -> str:
    x = model.node("Exp", [model.input((3, 3, 3))], "exp")
    return model.node("Resize", [x, "", model.constant([1, 1, 2, 2])], "larger", mode="nearest")


def unrounded_layer(model: Model) -> str:
    weights = model.constant(np.random.default_rng(3).normal(size=(3, 2, 1, 1)))
    return model.node("Relu", [model.node("Conv", [model.input((2, 6, 6)), weights], "stem")], "positive")


HEADS = {f.__name__: f for f in (normalized, pixels, upsampled, embedded, unrounded_layer)}


@pytest.mark.parametrize("head", HEADS)
def test_heads(head: str, tmp_path) -> None:
    model = Model()
    x = HEADS[head](model)
    y = model.node("Relu", [conv(model, model.qdq(x, S, 3))], "act")
    model.outputs = [model.quantize(y, 1 / 4, -128)]
    same(model, tmp_path, feed(model, 3))
    graph = load_onnx(model.save(tmp_path))
    assert graph.head is not None and graph.tail is None and [tensor.name for tensor in graph.inputs] == [x]


def rounded_log_softmax(model: Model, y: str) -> list[str]:
    soft = model.node("LogSoftmax", [model.qdq(gemm(model, y), S)], "soft", axis=1)
    return [model.qdq(soft, 1 / 16, 127)]


def best(model: Model, y: str) -> list[str]:
    y = gemm(model, y)
    return [model.node("ArgMax", [y], "best", axis=1, keepdims=0), y]


def clamped(model: Model, y: str) -> list[str]:
    return [model.node("Sigmoid", [model.node("Relu", [gemm(model, y)], "act")], "gate")]


def two_of_one(model: Model, y: str) -> list[str]:
    y = model.qdq(gemm(model, y), S)
    model.node("TopK", [y, model.constant([2], "int64")], "best", outputs=2)
    return [*model.nodes[-1].output, y]


def codes(model: Model, y: str) -> list[str]:
    y = model.quantize(gemm(model, y), S, 100, "uint8")
    return [y, model.node("Tanh", [model.dequantize(y, S, 100, "uint8")], "act")]


def float_layer(model: Model, y: str) -> list[str]:
    weights = model.constant(np.random.default_rng(7).normal(size=(8, 2)))
    return [model.node("MatMul", [y, weights], "fc")]


def constant(model: Model, y: str) -> list[str]:
    return [model.qdq(gemm(model, y), S), model.constant([1.0, 2.0])]


TAILS = {f.__name__: f for f in (softmax, rounded_log_softmax, best, clamped, two_of_one, codes, float_layer, constant)}


@pytest.mark.parametrize("tail", TAILS)
def test_tails(tail: str, tmp_path) -> None:
    model = Model()
    y = model.qdq(gemm(model, model.qdq(model.input((6,)), S, 5), seed=1, depth=6, outputs=8), 1 / 4)
    model.outputs = TAILS[tail](model, y)
    # A bias that is no multiple of the step is added in float32 there, and rounded once more.
    same(model, tmp_path, feed(model, 5), exactly=tail not in ("clamped", "best"))
    assert load_onnx(model.save(tmp_path)).head is None


@pytest.mark.parametrize("batch", ["batch", 1, 2])
def test_head_and_tail_of_maps_for_any_batch(batch: object, tmp_path) -> None:
    model = Model()
    x = model.node("Neg", [model.input((3, 6, 6), batch=batch)], "negative")
    y = model.qdq(conv(model, model.qdq(x, S)), 1 / 4)
    sums = conv(model, y, seed=2, depth=4, bias=False)
    boxes = model.node("Transpose", [sums], "turn", perm=[0, 2, 3, 1])
    shape = model.constant([-1 if batch == "batch" else batch, 16], "int64")
    model.outputs = [model.node("Reshape", [boxes, shape], "rows"), y]
    count = 4 if batch == "batch" else batch
    same(model, tmp_path, feed(model, count)) if batch != 2 else None
    graph, x = load_onnx(model.save(tmp_path)), feed(model, 2 * count)
    parts = [runtime(model, model.outputs, {"input": x["input"][n : n + count]}) for n in (0, count)]
    for index, name in enumerate(model.outputs):
        assert_array_equal(run_graph(graph, x)[name], np.concatenate([part[index] for part in parts]))


def test_sums_of_a_sequence(tmp_path) -> None:
    rng = np.random.default_rng(4)
    model = Model()
    x = model.qdq(model.input((5, 6)), S, -7)
    y = model.node("MatMul", [x, model.weight(rng.integers(-127, 128, (6, 4)), W)], "fc")
    y = model.node("Add", [y, model.constant(rng.integers(-99, 99, 4) * S * W)], "bias")
    model.outputs = [y, model.node("ReduceMax", [y, model.constant([1], "int64")], "best", keepdims=0)]
    same(model, tmp_path, feed(model, 3))
