"""PPQ, in its maintained fork for ESP32: quantized for ONNX Runtime, exported as QDQ."""

from __future__ import annotations

from pathlib import Path

import torch
from esp_ppq import TargetPlatform
from esp_ppq.api import export_ppq_graph, quantize_onnx_model

from ..families import Family
from ..float_models import CALIBRATION_BATCHES, float_file


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` with PPQ's defaults."""
    batch = 8 if family.dynamic else 1
    batches = [dict(zip(family.names, family.inputs(200 + seed, batch), strict=True)) for seed in range(8)]
    with float_file(family, path) as plain:
        graph = quantize_onnx_model(
            onnx_import_file=str(plain), calib_dataloader=batches, calib_steps=max(8, CALIBRATION_BATCHES),
            input_shape=None, inputs=batches[0], collate_fn=lambda given: given, device="cpu",
            platform=TargetPlatform.ONNXRUNTIME, verbose=0,
        )  # fmt: skip
    with torch.no_grad():
        export_ppq_graph(graph, TargetPlatform.ONNXRUNTIME, str(path), config_save_to=str(path.with_suffix(".json")))
    path.with_suffix(".json").unlink(missing_ok=True)
