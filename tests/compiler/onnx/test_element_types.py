"""Element types of what the host gives: the file's, as ONNX Runtime has them. All scales are powers of two."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper

from compiler import load_onnx
from emulator import run_graph
from tests.compiler.models import Model, runtime

RNG = np.random.default_rng(5)
WEIGHTS = RNG.integers(-3, 4, (6, 5))


def same(model: Model, folder, kind: type, x: np.ndarray) -> None:
    """Model outputs are ONNX Runtime's, values and types."""
    ours = run_graph(load_onnx(model.save(folder)), {"input": x})
    theirs = runtime(model, model.outputs, {"input": x})
    assert [array.dtype for array in ours.values()] == [kind] * len(theirs)
    for array, wanted in zip(ours.values(), theirs, strict=True):
        assert len(np.unique(wanted)) > 3
        assert_array_equal(array, wanted, strict=True)


@pytest.mark.parametrize("rounded", [False, True], ids=["sums", "codes"])
@pytest.mark.parametrize("behind", [False, True], ids=["bare", "tail"])
def test_a_float16_model(rounded: bool, behind: bool, tmp_path) -> None:
    """Constants of the tail are float16 too, and operators take operands of one type."""
    model = Model()
    model.inputs.append(helper.make_tensor_value_info("input", TensorProto.FLOAT16, ["batch", 6]))

    def qdq(x: str, scale: float) -> str:
        parameters = model.constant(scale, "float16"), model.constant(3, "int8")
        return model.node("DequantizeLinear", [model.node("QuantizeLinear", [x, *parameters]), *parameters])

    weight = model.node("DequantizeLinear", [model.constant(WEIGHTS, "int8"), model.constant(1 / 4, "float16")])
    y = model.node("Gemm", [qdq("input", 1 / 16), weight], "fc")
    y = qdq(y, 1 / 8) if rounded else y
    model.outputs = [model.node("Mul", [model.node("Abs", [y]), model.constant(0.5, "float16")])] if behind else [y]
    if rounded and not behind:
        model.outputs.append(model.node("Neg", [y]))  # without a tail, outputs are codes
    same(model, tmp_path, np.float16, RNG.normal(size=(20, 6)).astype(np.float16))


@pytest.mark.parametrize("kind", ["float64", "int32", "added"])
def test_sums_of_other_types(kind: str, tmp_path) -> None:
    model = Model()
    x = model.quantize(model.input((6,)), 1 / 16, 3)
    if kind == "float64":
        y = model.node("Gemm", [model.dequantize(x, 1 / 16, 3), model.weight(WEIGHTS, 1 / 4)], "fc")
        y = model.node("Cast", [y], to=TensorProto.DOUBLE)
    else:
        y = model.node("MatMulInteger", [x, model.constant(WEIGHTS, "int8"), model.constant(3, "int8")], "fc")
    model.outputs = [model.node("Add", [y, model.constant(np.arange(5), "int32")])] if kind == "added" else [y]
    same(model, tmp_path, np.float64 if kind == "float64" else np.int32, RNG.normal(size=(20, 6)).astype(np.float32))
