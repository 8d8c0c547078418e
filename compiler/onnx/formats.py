"""Files of another format than static 8-bit quantization: each is one sentence, whatever it holds."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading.errors import ModelError
from .operator import Operator

DYNAMIC = frozenset(
    [
        "DynamicQuantizeLinear",
        "com.microsoft.DynamicQuantizeMatMul",
        "com.microsoft.DynamicQuantizeLSTM",
        "com.microsoft.DynamicQuantizeGRU",
    ]
)
WEIGHT_ONLY = frozenset(
    [
        "com.microsoft.MatMulNBits",
        "com.microsoft.MatMulBnb4",
        "com.microsoft.GatherBlockQuantized",
        "com.microsoft.MatMulFpQ4",
        "com.microsoft.QMoE",
        "com.microsoft.GemmFloat8",
    ]
)
WEIGHTS = (
    "quantize activations too, with calibration data (ONNX Runtime: quantize_static with "
    "activation_type=QuantType.QInt8 and weight_type=QuantType.QInt8)"
)


class FormatError(ModelError):
    """The file is quantized in another way than this project reads; nothing else about it matters."""


def check_format(operators: Sequence[Operator]) -> None:
    """Raise `FormatError` for a file that is quantized dynamically or in its weights only."""
    for op in operators:
        if op.type in DYNAMIC:
            raise FormatError(
                f"is quantized dynamically ({op} works with scales that are made at run time); quantize it statically, "
                "with calibration data (ONNX Runtime: quantize_static in place of quantize_dynamic)"
            )
        if op.type in WEIGHT_ONLY:
            raise FormatError(f"is quantized in its weights only ({op}); {WEIGHTS}")


def check_code_type(op: Operator, kind: str) -> None:
    """Raise `FormatError` for codes of 16 bits or floats as codes."""
    if kind in ("INT16", "UINT16"):
        raise FormatError(
            f"{op}: activations and weights must be of at most 8 bits, not {kind}; quantize with 8-bit types (ONNX "
            "Runtime: activation_type=QuantType.QInt8, weight_type=QuantType.QInt8)"
        )
    if kind.startswith("FLOAT") and kind[5:6] in ("4", "6", "8"):
        raise FormatError(f"{op}: codes must be integers, not {kind}; quantize with QuantType.QInt8")


def check_blocks(op: Operator) -> None:
    """Raise `FormatError` for scales that hold for blocks of a channel."""
    size = op.integer("block_size", 0)
    if size:
        raise FormatError(
            f"{op}: block_size must be 0, not {size} (blocked quantization is not supported); quantize weights per "
            "tensor or per channel (ONNX Runtime: quantize_static with per_channel=True)"
        )


def check_quantized(operators: Sequence[Operator], quantized: bool) -> None:
    """Raise `FormatError` unless `quantized`: some value is an activation's codes."""
    if quantized:
        return
    if any(op.type.endswith(("DequantizeLinear", "QuantizeLinear")) for op in operators):
        raise FormatError(f"is quantized in its weights only: no QuantizeLinear rounds an activation; {WEIGHTS}")
    raise FormatError(
        "is a float model: no activation is quantized; quantize it first (ONNX Runtime: quantize_static; or train it "
        "with qat.prepare)"
    )
