#!/usr/bin/env bash
# ONNX Runtime 1.31.1 on x86: MatMulInteger, an int32 product by its definition, saturates in 16 bits for uint8 · int8 on
# processors with AVX2 and without VNNI (8 · 255 · 127 becomes 131068), though it is exact on older (SSE4) and on newer
# ones, and for uint8 · uint8 and int8 · int8 on all of them.
# Emulates a Haswell (AVX2) and a Nehalem (SSE4) with QEMU's user mode; needs Debian's or Ubuntu's apt-get, not root.
# Prints the sums of each; exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.0 onnxruntime==1.31.1 numpy==2.4.6
(cd "$folder" && apt-get download -qq qemu-user-static 2>/dev/null && dpkg -x qemu-user-static_*.deb qemu)
cat >"$folder/products.py" <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

processor, expected = sys.argv[1], sys.argv[2:]
types = {"uint8": (TensorProto.UINT8, np.uint8, 255), "int8": (TensorProto.INT8, np.int8, 127)}
found = []
for left, right in (("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")):
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["y"])],
        "graph",
        [
            helper.make_tensor_value_info("a", types[left][0], [1, 8]),
            helper.make_tensor_value_info("b", types[right][0], [8, 1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    a = np.full((1, 8), types[left][2], types[left][1])
    b = np.full((8, 1), types[right][2], types[right][1])
    y = int(session.run(None, {"a": a, "b": b})[0][0, 0])
    exact = 8 * types[left][2] * types[right][2]
    print(f"onnxruntime {onnxruntime.__version__}, {processor}, {left} · {right}: {y}, exactly {exact}")
    found.append(str(y - exact))
raise SystemExit(0 if found == expected else 1)
PYTHON
emulate() {
    "$folder/qemu/usr/bin/qemu-x86_64-static" -cpu "$1" "$folder/venv/bin/python" "$folder/products.py" "$@" \
        2> >(grep -v "TCG doesn't support requested feature" >&2)
}
emulate Haswell -128012 0 0
emulate Nehalem 0 0 0
