"""ONNX Runtime's static quantizer with the options that people use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ..families import Family
from ..float_models import calibration, float_file

OPTIONS: dict[str, dict[str, Any]] = {
    "ort_qdq_s8s8": {"per_channel": True},
    "ort_qdq_u8s8": {"activation_type": QuantType.QUInt8},
    "ort_qdq_u8u8": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
    "ort_qdq_symmetric": {
        "reduce_range": True,
        "extra_options": {"ActivationSymmetric": True, "QuantizeBias": False},
    },
    "ort_qdq_pairs": {
        "per_channel": True,
        "activation_type": QuantType.QUInt8,
        "extra_options": {"AddQDQPairToWeight": True, "DedicatedQDQPair": True, "ForceQuantizeNoInputCheck": True},
    },
    "ort_qoperator_s8s8": {"quant_format": QuantFormat.QOperator, "per_channel": True},
    "ort_qoperator_u8u8": {
        "quant_format": QuantFormat.QOperator,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QUInt8,
    },
}
"""Name of the quantizer → what ``quantize_static`` gets beside its defaults: QDQ, int8 activations and weights."""


class Reader(CalibrationDataReader):
    """The family's calibration batches, once."""

    def __init__(self, family: Family) -> None:
        self.batches = calibration(family)

    def get_next(self) -> dict[str, Any] | None:
        """One batch, or None at the end."""
        return next(self.batches, None)


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` as the quantizer `name` does, BatchNorms folded and shapes inferred beforehand as it advises."""
    prepared = path.with_suffix(".prepared.onnx")
    with float_file(family, path) as plain:
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(str(prepared), str(path), Reader(family), **OPTIONS[name])
        prepared.unlink(missing_ok=True)
