#!/usr/bin/env bash
# ONNX Runtime interpolates int8 and uint8 codes without a DequantizeLinear in front of Resize (as its own QOperator
# quantizer writes them) in float32, and then drops the fraction toward the code 0 of the type: it neither rounds to the
# nearest, as QuantizeLinear behind a float Resize does, nor rounds int8 down. Half of the interpolated codes differ by 1
# from the QDQ form of the same network, and int8 and uint8 forms of one network differ from each other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 onnx==1.18.0 onnxruntime==1.22.0
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", onnxruntime.__version__)


def resize(kind: int, x: np.ndarray) -> np.ndarray:
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel")
    scales = numpy_helper.from_array(np.array([1, 1, 1, 2], np.float32), "s")
    values = [helper.make_tensor_value_info(name, kind, None) for name in "xy"]
    values[0] = helper.make_tensor_value_info("x", kind, list(x.shape))
    graph = helper.make_graph([node], "g", values[:1], values[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


codes = np.array([-7, -4, 3, 8], np.int8).reshape(1, 1, 1, 4)
signed = resize(TensorProto.INT8, codes).reshape(-1)
unsigned = resize(TensorProto.UINT8, (codes.astype(np.int16) + 128).astype(np.uint8)).reshape(-1).astype(int) - 128
exact = resize(TensorProto.FLOAT, codes.astype(np.float32)).reshape(-1)
print("exact   ", exact.tolist())
print("int8    ", signed.tolist())
print("uint8   ", unsigned.tolist(), "(less 128)")
assert signed.tolist() == np.trunc(exact).astype(int).tolist() != np.rint(exact).astype(int).tolist()
assert unsigned.tolist() == np.floor(exact).astype(int).tolist() != signed.tolist()
PYTHON
