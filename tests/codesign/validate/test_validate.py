"""`validate`: ONNX Runtime as the reference, layer by layer; and that it notices a wrong code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from codesign.validate import validate, validation
from emulator import Arithmetic, Convolution
from tests.compiler.models import Model, small_network

LAYERS = ["input", "features.0", "pool", "depthwise", "residual", "average", "classifier"]


def test_every_layer_on_equal_inputs(tmp_path):
    report = validate(small_network().save(tmp_path), images=20)
    compared = [layer for layer in report.layers if layer.counterpart is not None]
    assert [layer.name for layer in compared] == LAYERS
    assert [layer.compared for layer in compared] == [8640, 23040, 5760, 5760, 5760, 1440, 200]
    (flatten,) = (layer for layer in report.layers if layer.counterpart is None)
    assert (flatten.name, flatten.within, flatten.compared) == ("flatten", "classifier", 0)
    assert report.holds and report.reference is report.layers
    for layer in report.layers:
        assert layer.largest <= 1 and (layer.tie_distance is None) == (layer.differing == 0)
        assert layer.tie_distance is None or layer.tie_distance < 1e-4 + layer.bias_error
    assert sum(layer.differing for layer in report.layers if layer.name in ("input", "pool")) == 0
    assert report.as_dict()["layers"][1]["name"] == "features.0"


def test_narrow_arithmetic_differs_legitimately(tmp_path):
    narrow = Arithmetic(accumulator_bits=14, rounding="floor")
    model = small_network()
    for node in model.nodes:  # biases that fit 14 bits
        if node.op_type in ("Conv", "Gemm"):
            del node.input[2:]
    report = validate(model.save(tmp_path), arithmetic=narrow)
    assert report.holds and sum(layer.overflows for layer in report.layers) > 0
    assert sum(layer.differing for layer in report.layers) > 1000 > sum(layer.differing for layer in report.reference)


def test_wrong_code_is_noticed(tmp_path, monkeypatch):
    """A planted bug: the reader's shift of one channel is off by one."""
    right = validation.load_model

    def wrong(*arguments, **options):
        graph = right(*arguments, **options)
        nodes = []
        for node in graph.nodes:
            if isinstance(node, Convolution) and node.name == "depthwise":
                shift = node.shift.copy()
                shift[3] += 1
                node = replace(node, shift=shift)
            nodes.append(node)
        return replace(graph, nodes=tuple(nodes))

    monkeypatch.setattr(validation, "load_model", wrong)
    report = validate(small_network().save(tmp_path))
    assert not report.holds
    assert [layer.name for layer in report.reference if not layer.explained] == ["depthwise"]


def test_own_inputs_unsigned_codes_and_fixed_batch(tmp_path):
    model = Model()
    x = model.qdq(model.input((2, 4, 4), batch=3), 0.1, 128, "uint8")
    x = model.node("Flatten", [x], "flat")
    x = model.qdq(x, 0.07, 100, "uint8")
    model.output(model.qdq(model.node("MatMul", [x, model.weight(np.eye(32, 5, dtype=int) * 9, 0.05)], "fc"), 0.1))
    path = model.save(tmp_path)
    x = np.random.default_rng(0).normal(0, 5, (6, 2, 4, 4)).astype(np.float32)
    report = validate(path, {"input": x})
    layers = [layer for layer in report.layers if layer.counterpart is not None]
    assert report.holds and [layer.name for layer in layers][0::2] == ["input", "fc"]
    assert layers[1].operator == "Rescale" and layers[1].compared == 6 * 32
    assert validate(path, images=4).layers[0].compared == 6 * 32
    with pytest.raises(ValueError, match="input 'input' must be whole batches of 3, not 5 images"):
        validate(path, {"input": x[:5]})


def test_float_bias_is_told_from_a_bug(tmp_path):
    """ONNX Runtime adds the float, the contract its integer: differences up to that rounding are explained."""
    model = Model()
    x = model.qdq(model.input((4,)), 0.1)
    codes = np.arange(12).reshape(4, 3) - 6
    y = model.node("Gemm", [x, model.weight(codes, 0.3), model.constant([0.014, 0.014, 0.014])], "fc")
    model.output(model.qdq(y, 0.0371))
    layer = validate(model.save(tmp_path), images=4000).layers[1]
    assert layer.bias_error == pytest.approx(0.014 / 0.0371) and layer.differing > 0 and layer.explained


def test_fused_kernels_are_told_from_a_bug(tmp_path):
    """ONNX Runtime's fused Softmax of codes differs from its own unfused one, which along the batch is the host's."""
    model = Model()
    x = model.qdq(model.node("Relu", [model.qdq(model.input((4,)), 0.05)]), 0.05)
    model.output(model.qdq(model.node("Softmax", [x], axis=0), 1 / 255, -128))
    path = model.save(tmp_path)
    x = np.random.default_rng(1).normal(0, 2, (64, 4)).astype(np.float32)
    plain, fused = (session(path, level).run(None, {"input": x})[0] for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"))
    assert (plain != fused).any()
    report = validate(path, {"input": x})
    (output,) = report.outputs
    assert output.differing == (plain != fused).sum() and report.plain[0].differing == 0
    assert report.holds and report.reason(output) == "optimizations across layers"
    assert not replace(report, plain=report.outputs).holds


def session(path, level: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
