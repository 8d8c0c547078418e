"""Brevitas: its graph quantization of a float network, calibrated, exported as QCDQ (quantize, clip, dequantize)."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from brevitas.export import export_onnx_qcdq
from brevitas.graph import calibrate
from brevitas.graph import quantize as graph
from brevitas.quant import Int4WeightPerTensorFloatDecoupled, Int8WeightPerChannelFloat

from ..families import Family
from ..float_models import CALIBRATION_BATCHES, OPSET, outputs_of

WEIGHTS: dict[str, Any] = {
    "brevitas_w8a8": Int8WeightPerChannelFloat,
    "brevitas_w4a8": Int4WeightPerTensorFloatDecoupled,
}


def _prepared(family: Family) -> Any:
    return graph.preprocess_for_quantize(family.network(), trace_model=True)


def _layerwise(name: str) -> Any:
    layers = deepcopy(graph.LAYERWISE_COMPUTE_LAYER_MAP)
    for kind in layers.values():
        if kind is not None and "weight_quant" in kind[1]:
            kind[1]["weight_quant"] = WEIGHTS[name]
    return layers


def _calibrated(model: Any, family: Family) -> Any:
    model.eval()
    with torch.no_grad(), calibrate.calibration_mode(model):
        for seed in range(CALIBRATION_BATCHES):
            model(*family.inputs(200 + seed))
    return model


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` with int8 activations and weights of 8 bits per channel, or of 4 bits.

    What the graph quantization cannot follow is quantized layer by layer, as a user would do.
    """
    layers = deepcopy(graph.COMPUTE_LAYER_MAP)
    for kind in layers.values():
        if kind is not None and "weight_quant" in kind[1]:
            kind[1]["weight_quant"] = WEIGHTS[name]
    outputs = outputs_of(family.network(), family)
    try:
        model = _calibrated(graph.quantize(_prepared(family), compute_layer_map=layers), family)
    except (AttributeError, KeyError, TypeError):
        model = _calibrated(graph.layerwise_quantize(_prepared(family), _layerwise(name)), family)
    batch = {0: "n"}
    axes = {tensor: batch for tensor in (*family.names, *outputs)} if family.dynamic else None
    export_onnx_qcdq(
        model, args=family.inputs(0, 1), export_path=str(path), opset_version=OPSET, dynamo=False,
        input_names=list(family.names), output_names=outputs, dynamic_axes=axes,
    )  # fmt: skip
