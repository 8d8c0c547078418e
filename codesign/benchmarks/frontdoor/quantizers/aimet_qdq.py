"""Qualcomm's AIMET: simulated quantization of an ONNX file, exported as QDQ."""

from __future__ import annotations

from pathlib import Path

import aimet_onnx
import onnx
from aimet_onnx import batch_norm_fold

from ..families import Family
from ..float_models import calibration, float_file


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` in int8 with AIMET's defaults, BatchNorms folded beforehand as it advises."""
    with float_file(family, path) as plain:
        model = onnx.load(plain)
    batch_norm_fold.fold_all_batch_norms_to_weight(model)
    simulation = aimet_onnx.QuantizationSimModel(model, param_type=aimet_onnx.int8, activation_type=aimet_onnx.int8)
    simulation.compute_encodings(list(calibration(family)))
    onnx.save(simulation.to_onnx_qdq(), path)
