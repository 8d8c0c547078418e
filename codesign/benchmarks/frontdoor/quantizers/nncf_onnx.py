"""NNCF's quantizer of ONNX files."""

from __future__ import annotations

from pathlib import Path

import nncf
import onnx

from ..families import Family
from ..float_models import calibration, float_file


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` with NNCF's defaults: weights symmetric per channel, activations as it chooses."""
    with float_file(family, path) as plain:
        model = onnx.load(plain)
    batches = list(calibration(family))
    onnx.save(nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches)), path)
