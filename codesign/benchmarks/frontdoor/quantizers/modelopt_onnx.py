"""NVIDIA's Model Optimizer: QDQ for TensorRT, no zero points, biases left in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from modelopt.onnx.quantization import quantize as quantize_file

from ..families import Family
from ..float_models import calibration, float_file


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` in int8; what is not quantized stays in float32."""
    batches = list(calibration(family))
    samples = {key: np.concatenate([batch[key] for batch in batches]) for key in family.names}
    with float_file(family, path) as plain:
        quantize_file(
            str(plain), "int8", calibration_data=samples, calibration_eps=["cpu"],
            output_path=str(path), high_precision_dtype="fp32", log_level="ERROR",
        )  # fmt: skip
