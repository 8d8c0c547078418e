#!/usr/bin/env bash
# ONNX Runtime 1.31.1 on CPU, default options: a MatMul of float activations with int8 weights behind a DequantizeLinear
# rounds the activations to 8 bits, though no QuantizeLinear stands in front. The optimizer (extended) makes it a
# MatMulNBits, whose kernel quantizes them; without optimization the product is the float one.
# Prints the largest difference of each; exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.0 onnxruntime==1.31.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
codes, step = rng.integers(-9, 9, (4, 5)).astype(np.int8), np.float32(1 / 64)
graph = helper.make_graph(
    [
        helper.make_node("DequantizeLinear", ["codes", "step"], ["weight"]),
        helper.make_node("MatMul", ["x", "weight"], ["y"]),
    ],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    [numpy_helper.from_array(codes, "codes"), numpy_helper.from_array(step, "step")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
x = (rng.integers(-100, 100, (50, 4)) / 4).astype(np.float32)  # with these, float32 is exact in any order
found = {}
for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    found[level] = float(np.abs(y - x @ (codes.astype(np.float32) * step)).max())
    print(f"onnxruntime {onnxruntime.__version__}, {level}: off by up to {found[level]:.6f}")
exact = [level for level, error in found.items() if error == 0]
raise SystemExit(0 if exact == ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC"] else 1)
PYTHON
