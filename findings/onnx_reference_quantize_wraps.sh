#!/bin/sh
# ONNX's reference evaluator does not saturate QuantizeLinear: it casts the quotient to int32 before it clamps, so a finite input
# of 2^31 scales or more becomes the smallest code instead of the largest (x86). The standard says saturate, and ONNX Runtime
# does. Runs without Lockstep; exits non-zero if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cat > "$folder/run.py" <<'PYTHON'
import warnings
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")
node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
values = [helper.make_tensor_value_info(name, kind, [5]) for name, kind in (("x", TensorProto.FLOAT), ("y", TensorProto.INT8))]
constants = [helper.make_tensor("scale", TensorProto.FLOAT, [], [1.0]), helper.make_tensor("zero", TensorProto.INT8, [], [0])]
graph = helper.make_graph([node], "g", values[:1], values[1:], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnx.checker.check_model(model)
x = np.array([100, 1e3, 2.0**31, 1e20, -1e20], np.float32)
reference = ReferenceEvaluator(model).run(None, {"x": x})[0].tolist()
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
runtime = session.run(None, {"x": x})[0].tolist()
print(f"onnx {onnx.__version__}: {reference}; onnxruntime {onnxruntime.__version__}: {runtime}")
assert runtime == [100, 127, 127, 127, -128]
assert reference == [100, 127, -128, -128, -128]
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
