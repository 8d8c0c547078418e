"""Operator sets 10 to 28: the same network in each one's spelling, against runtimes that know it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnx.reference import ReferenceEvaluator

from compiler import load_onnx
from emulator import run_graph
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import SX, refused


def network(opset: int, seed: int) -> Model:
    """Pad, Conv, Relu6, MaxPool, two halves, their sum, a mean, and two axes away and back."""
    rng = np.random.default_rng(seed)
    model = Model(opset)
    zero = int(rng.integers(-20, 20))

    def axes(values: list[int], name: str = "axes") -> tuple[list[str], dict[str, list[int]]]:
        new = opset >= (18 if name == "mean" else 13)
        return (
            ([model.constant(values, "int64")], {}) if new else ([], {"split" if name == "split" else "axes": values})
        )

    x = model.qdq(model.input((3, 6, 6)), 0.05, zero)
    pads = [0, 0, 1, 1, 0, 0, 1, 1]
    if opset >= 11:
        x = model.node("Pad", [x, model.constant(pads, "int64")], "frame")
    else:
        x = model.node("Pad", [x], "frame", pads=pads)
    x = model.qdq(x, 0.05, zero)
    weights = model.dequantize(model.constant(rng.integers(-127, 128, (8, 3, 3, 3)), "int8"), 0.01)
    y = model.node("Conv", [x, weights, model.constant(rng.integers(-9, 9, 8) * 0.05 * 0.01)], "layer")
    if opset >= 11:
        y = model.node("Clip", [y, model.constant(0.0), model.constant(6.0)], "relu6")
    else:
        y = model.node("Clip", [y], "relu6", min=0.0, max=6.0)
    y = model.qdq(y, 6 / 255, -128)
    y = model.qdq(model.node("MaxPool", [y], "pool", kernel_shape=[2, 2], strides=[2, 2]), 6 / 255, -128)
    sizes, attributes = axes([3, 5], "split")
    model.node("Split", [y, *sizes], "halves", outputs=2, axis=1, **attributes)
    low, high = model.nodes[-1].output
    first = model.node("Slice", [high, *(model.constant(v, "int64") for v in ([0], [3], [1]))], "first")
    y = model.qdq(model.node("Add", [low, first], "sum"), 0.06, -100)
    places, attributes = axes([2, 3], "mean")
    y = model.qdq(model.node("ReduceMean", [y, *places], "mean", keepdims=1, **attributes), 0.05, -90)
    places, attributes = axes([2, 3])
    y = model.node("Squeeze", [y, *places], "flat", **attributes)
    places, attributes = axes([2])
    y = model.node("Flatten", [model.node("Unsqueeze", [y, *places], "column", **attributes)], "row")
    model.output(model.qdq(y, 0.05, -90))
    return model


@pytest.mark.parametrize("opset", [10, 11, 12, 13, 18, 24, 26, 27, 28])
def test_network_in_each_spelling(opset: int, tmp_path) -> None:
    for seed in range(2):
        model = network(opset, seed)
        x = {"input": np.random.default_rng(seed).normal(scale=3, size=(3, 3, 6, 6)).astype(np.float32)}
        graph = load_onnx(model.save(tmp_path))
        (ours,) = run_graph(graph, x).values()
        codes = next(node.output[0] for node in reversed(model.nodes) if node.op_type == "QuantizeLinear")
        # The one knows the operator sets from 25 on, the other those before.
        (theirs,) = ReferenceEvaluator(model.proto()).run([codes], x) if opset > 24 else runtime(model, [codes], x)
        assert theirs.dtype == np.int8 and len(graph.nodes) > 8
        assert_array_equal(ours, theirs)


def test_versions_that_were_not_checked(tmp_path) -> None:
    model = Model(28)
    x = model.qdq(model.input((2, 4, 4)), SX)
    model.output(model.qdq(model.node("SpaceToDepth", [x], "blocks", blocksize=2, mode="CRD"), SX))
    refused(model, tmp_path, "SpaceToDepth 'blocks': mode must be 'DCR', not 'CRD'")
    model = Model(10)
    x = model.qdq(model.input((3, 4)), SX)
    model.output(model.qdq(model.node("GlobalMaxPool", [x], "pool", axis=1), SX))
    refused(model, tmp_path, "GlobalMaxPool 'pool': has the unknown attribute 'axis'")
