"""PPQ, in its maintained fork for ESP32: quantized for ONNX Runtime, exported as QDQ."""

from __future__ import annotations

from pathlib import Path

import torch
from esp_ppq import TargetPlatform
from esp_ppq.api import export_ppq_graph, quantize_onnx_model

from ..families import Family
from ..float_models import float_file

STEPS = 16


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` with PPQ's defaults; the file's batch becomes that of the calibration, 1."""
    batches = [dict(zip(family.names, family.inputs(200 + seed, 1), strict=True)) for seed in range(STEPS)]
    with float_file(family, path) as plain:
        graph = quantize_onnx_model(
            onnx_import_file=str(plain), calib_dataloader=batches, calib_steps=STEPS,
            input_shape=None, inputs=batches[0], collate_fn=lambda given: given, device="cpu",
            platform=TargetPlatform.ONNXRUNTIME, verbose=0,
        )  # fmt: skip
    with torch.no_grad():
        export_ppq_graph(graph, TargetPlatform.ONNXRUNTIME, str(path), config_save_to=str(path.with_suffix(".json")))
    path.with_suffix(".json").unlink(missing_ok=True)
