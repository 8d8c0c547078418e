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


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` with int8 activations and weights of 8 bits per channel, or of 4 bits.

    What the graph quantization cannot follow is quantized layer by layer, as a user would do.
    """
    try:
        prepared = graph.preprocess_for_quantize(family.network(), trace_model=True)
        _write(graph.quantize(prepared, compute_layer_map=_layers(graph.COMPUTE_LAYER_MAP, name)), family, path)
    except (AttributeError, KeyError, TypeError):
        layers = _layers(graph.LAYERWISE_COMPUTE_LAYER_MAP, name)
        _write(graph.layerwise_quantize(family.network(), layers), family, path)


def _layers(defaults: Any, name: str) -> Any:
    """Brevitas' `defaults` for each kind of layer, with the weights of the quantizer `name`."""
    layers = deepcopy(defaults)
    for kind in layers.values():
        if kind is not None and "weight_quant" in kind[1]:
            kind[1]["weight_quant"] = WEIGHTS[name]
    return layers


def _write(model: Any, family: Family, path: Path) -> None:
    model.eval()
    with torch.no_grad(), calibrate.calibration_mode(model):
        for seed in range(CALIBRATION_BATCHES):
            model(*family.inputs(200 + seed))
    outputs = outputs_of(family.network(), family)
    axes = {tensor: {0: "n"} for tensor in (*family.names, *outputs)} if family.dynamic else None
    export_onnx_qcdq(
        model, args=family.inputs(0, 1), export_path=str(path), opset_version=OPSET, dynamo=False,
        input_names=list(family.names), output_names=outputs, dynamic_axes=axes,
    )  # fmt: skip
