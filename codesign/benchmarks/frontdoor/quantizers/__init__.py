"""Quantizers, one file each: ``quantize(name, family, path)`` writes a quantized file; `QUANTIZERS` has their names."""

from __future__ import annotations

QUANTIZERS: dict[str, str] = {
    "ort_qdq_s8s8": "onnx_runtime",
    "ort_qdq_u8s8": "onnx_runtime",
    "ort_qdq_u8u8": "onnx_runtime",
    "ort_qdq_symmetric": "onnx_runtime",
    "ort_qdq_pairs": "onnx_runtime",
    "ort_qoperator_s8s8": "onnx_runtime",
    "ort_qoperator_u8u8": "onnx_runtime",
    "brevitas_w8a8": "brevitas_fx",
    "brevitas_w4a8": "brevitas_fx",
    "nncf_onnx": "nncf_onnx",
    "torchao_x86": "torchao_pt2e",
    "quark_s8s8": "quark_onnx",
    "quark_xint8": "quark_onnx",
    "modelopt": "modelopt_onnx",
    "aimet": "aimet_qdq",
    "esp_ppq": "esp_ppq",
}
"""Name → module in this folder."""
