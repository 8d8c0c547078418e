"""What `qat.export_tflite` writes, run by TFLM, and what torch gives for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.testing import assert_array_equal
from torch import Tensor

import qat
from codesign.peers.tflm import run_tflm
from emulator import quantize
from qat.integers.tensor import QuantizedTensor
from qat.layers.layer import Step
from qat.model import evaluating
from qat.quantized_layers import key

Codes = np.ndarray


def torch_codes(model: qat.PreparedModel, *inputs: Tensor) -> dict[str, QuantizedTensor]:
    """{layer or input: its codes} in eval mode."""
    layers = model.quantizers
    with torch.no_grad(), evaluating(model):
        found: dict[str, QuantizedTensor] = layers(layers.host(inputs, model), Step(model))
    return found


def channels_last(codes: Codes) -> Codes:
    """(batch, channels, …) in the file's layout, in which a sequence is a map of height 1."""
    if codes.ndim == 2:
        return codes
    moved = np.ascontiguousarray(np.moveaxis(codes, 1, -1))
    return moved[:, None] if codes.ndim == 3 else moved


def file_inputs(model: qat.PreparedModel, *inputs: Tensor) -> dict[str, Codes]:
    """{input of the file: codes}, quantized as the host does."""
    arrays = {}
    for name, real in qat.host_inputs(model, *inputs).items():
        quantizer = model.quantizers.inputs[key(name)]
        scale, zero_point = quantizer.scale().item(), int(quantizer.zero_point)
        arrays[name] = channels_last(quantize(real, scale, zero_point, *quantizer.code_range))
    return arrays


def assert_tflm_agrees(model: qat.PreparedModel, folder: Path, *inputs: Tensor) -> set[str]:
    """TFLM's codes of the exported file are torch's in every output and every layer; returns the layers compared."""
    file = folder / "model.tflite"
    qat.export_tflite(model, file)
    expected, arrays = torch_codes(model, *inputs), file_inputs(model, *inputs)
    outputs, every = run_tflm(file, arrays), run_tflm(file, arrays, every=True)
    results = model.quantizers.results.layers
    assert list(outputs) == list(results)
    for name, layer in results.items():
        assert_array_equal(outputs[name], channels_last(expected[layer].codes.numpy()), err_msg=name)
    compared = set(expected) & set(every) - set(results)
    for name in compared:
        assert_array_equal(every[name], channels_last(expected[name].stored_codes()), err_msg=name)
    return compared
