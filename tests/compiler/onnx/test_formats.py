"""Files of other formats, each refused in one sentence; and other spellings of the same integers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper

from compiler import load_onnx
from emulator import run_graph
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

S, W = 1 / 16, 1 / 64


def codes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-127, 128, shape)


def same(model: Model, folder, shape: tuple[int, ...], kind: str = "float32"):
    x = {"input": np.random.default_rng(5).normal(scale=3, size=(3, *shape)).astype(kind)}
    graph = load_onnx(model.save(folder))
    last = next(node.output[0] for node in reversed(model.nodes) if node.op_type == "QuantizeLinear")
    (theirs,) = runtime(model, [last], x)
    shift = 128 if theirs.dtype == np.uint8 else 0
    assert_array_equal(next(iter(run_graph(graph, x).values())), theirs.astype(int) - shift)
    return graph


def test_dynamic_quantization(tmp_path) -> None:
    model = Model()
    model.node("DynamicQuantizeLinear", [model.input((16,))], "scales", outputs=3)
    x, scale, zero = model.nodes[-1].output
    y = model.node("MatMulInteger", [x, model.constant(codes(16, 5), "int8"), zero], "fc")
    model.output(model.node("Mul", [model.node("Cast", [y], to=TensorProto.FLOAT), scale]))
    refused(
        model, tmp_path, "is quantized dynamically (DynamicQuantizeLinear 'scales' works with scales that are made at"
    )
    refused(model, tmp_path, "(ONNX Runtime: quantize_static in place of quantize_dynamic)")


def test_weights_only(tmp_path) -> None:
    model = Model()
    y = model.node("Gemm", [model.input((6,)), model.weight(codes(4, 6), W)], "fc", transB=1)
    model.output(model.node("Relu", [y]))
    refused(
        model, tmp_path, "is quantized in its weights only: no QuantizeLinear rounds an activation; quantize activati"
    )
    model = Model()
    model.output(model.node("MatMul", [model.input((6,)), model.constant(np.ones((6, 2)))], "fc"))
    refused(
        model, tmp_path, "is a float model: no activation is quantized; quantize it first (ONNX Runtime: quantize_st"
    )
    model = Model()
    blocks = [model.constant(np.zeros((2, 1, 8)), "uint8"), model.constant([1.0, 1.0])]
    attributes = {"K": 16, "N": 2, "bits": 4, "block_size": 16}
    y = model.node("MatMulNBits", [model.qdq(model.input((16,)), S), *blocks], "fc", **attributes)
    model.nodes[-1].domain = "com.microsoft"
    model.output(model.qdq(y, S))
    refused(
        model, tmp_path, "is quantized in its weights only (com.microsoft.MatMulNBits 'fc'); quantize activations too"
    )


@pytest.mark.parametrize(("kind", "text"), [
    ("int16", "activations and weights must be of at most 8 bits, not INT16; quantize with 8-bit types (ONNX Ru"),
    ("uint16", "activations and weights must be of at most 8 bits, not UINT16"),
    ("float8", "codes must be integers, not FLOAT8E4M3FN; quantize with QuantType.QInt8"),
])  # fmt: skip
@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_codes_of_other_types(kind: str, text: str, domain: str, tmp_path) -> None:
    model = Model()
    x = model.input((6,))
    for name in ("first", "second"):
        if kind == "float8":
            model.initializers.append(helper.make_tensor(f"zero {name}", TensorProto.FLOAT8E4M3FN, [], [0.0]))
            zero = f"zero {name}"
        else:
            zero = model.constant(0, kind)
        scale = model.constant(S)
        x = model.node("QuantizeLinear", [x, scale, zero], name)
        model.nodes[-1].domain = domain
        x = model.node("DequantizeLinear", [x, scale, zero])
        model.nodes[-1].domain = domain
        x = model.node("MatMul", [x, model.weight(codes(6, 6), W)])
    model.output(model.qdq(x, S))
    refused(model, tmp_path, f"QuantizeLinear 'first': {text}")


def test_quantizers_of_domain_com_microsoft(tmp_path) -> None:
    model = Model(17)
    x = model.qdq(model.input((6,)), S, 3)
    weights = model.weight(codes(4, 6), np.array([1, 2, 1, 4]) * W)
    model.output(model.qdq(model.node("Gemm", [x, weights], "fc", transB=1), 1 / 4, 100, "uint8"))
    for node in model.nodes:
        if node.op_type.endswith("QuantizeLinear") or node.op_type.endswith("DequantizeLinear"):
            node.domain = "com.microsoft"
    same(model, tmp_path, (6,))


@pytest.mark.parametrize("element", ["number", "vector"])
def test_vectors_of_one_element_and_missing_zero_points(element: str, tmp_path) -> None:
    model = Model()
    shape = () if element == "number" else (1,)
    scale, weight_scale = model.constant(np.full(shape, S)), model.constant(np.full(shape, W))
    x = model.node("DequantizeLinear", [model.node("QuantizeLinear", [model.input((6,)), scale]), scale])
    weights = model.node("DequantizeLinear", [model.constant(codes(4, 6), "int8"), weight_scale])
    y = model.node("Gemm", [x, weights], "fc", transB=1)
    out = [model.constant(np.full(shape, 1 / 4)), model.constant(np.full(shape, 7), "int8")]
    model.output(model.node("DequantizeLinear", [model.node("QuantizeLinear", [y, *out]), *out]))
    graph = same(model, tmp_path, (6,))
    assert graph.inputs[0].zero_point == -128  # without a zero point the codes are uint8


def test_models_of_float16(tmp_path) -> None:
    """Powers of two and small sums, so that nothing is rounded in float16 either."""
    model = Model()
    model.inputs.append(helper.make_tensor_value_info("input", TensorProto.FLOAT16, ["batch", 6]))
    half = {name: model.constant(value, "float16") for name, value in (("s", S), ("w", W), ("y", 1 / 4))}
    zero = model.constant(0, "int8")
    x = model.node("QuantizeLinear", ["input", half["s"], zero])
    x = model.node("DequantizeLinear", [x, half["s"], zero])
    weights = np.clip(codes(6, 4), -8, 8)
    w = model.node("DequantizeLinear", [model.constant(weights, "int8"), half["w"], zero])
    y = model.node("Relu", [model.node("MatMul", [x, w], "fc")], "act")
    y = model.node("QuantizeLinear", [y, half["y"], zero])
    model.output(model.node("DequantizeLinear", [y, half["y"], zero]))
    graph = same(model, tmp_path, (6,), "float16")
    assert [node.name for node in graph.nodes] == ["fc"] and graph.nodes[0].scale == 1 / 4


def clipped(model: Model, x: str, low: int, high: int, kind: str) -> str:
    return model.node("Clip", [x, model.constant(low, kind), model.constant(high, kind)])


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_clip_of_codes(kind: str, tmp_path) -> None:
    """Brevitas' activations of few bits: inputs and layers are narrowed, and no layer is added."""
    shift = 128 if kind == "uint8" else 0
    model = Model()
    x = clipped(model, model.quantize(model.input((6,)), S, shift, kind), shift - 8, shift + 7, kind)
    y = model.node("Gemm", [model.dequantize(x, S, shift, kind), model.weight(codes(4, 6), W)], "fc", transB=1)
    y = clipped(model, model.quantize(y, 1 / 4, shift, kind), shift, shift + 15, kind)
    z = model.node("Gemm", [model.dequantize(y, 1 / 4, shift, kind), model.weight(codes(3, 4), W)], "last", transB=1)
    model.output(model.qdq(z, 1 / 4, shift, kind))
    graph = same(model, tmp_path, (6,))
    assert [node.name for node in graph.nodes] == ["fc", "last"]
    assert [(t.y_min, t.y_max) for t in (graph.inputs[0], graph.nodes[0])] == [(-8, 7), (0, 15)]


def test_clip_of_codes_that_others_read(tmp_path) -> None:
    model = Model()
    x = model.quantize(model.input((6,)), S)
    few = model.dequantize(clipped(model, x, -8, 7, "int8"), S)
    y = model.node("Add", [few, model.dequantize(x, S)], "add")
    model.output(model.qdq(y, S))
    graph = same(model, tmp_path, (6,))
    assert [type(node).__name__ for node in graph.nodes] == ["Rescale", "Add"]
