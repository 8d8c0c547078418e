"""A prepared model as an int8 TensorFlow Lite file."""

from __future__ import annotations

from os import PathLike

import torch

from .files import replacing
from .model import PreparedModel, check_prepared, evaluating


def export_tflite(model: PreparedModel, path: str | PathLike[str]) -> None:
    """Write the network as a .tflite file that TensorFlow Lite for Microcontrollers computes with the same integers.

    model : prepared with `Arithmetic.tflm()`, and trained in it: what TFLM's int8 kernels make of the file is what the
    model's forward is, in every code. A batch is one sample. Inputs and outputs are int8 codes under the names that
    `export_onnx` gives them, maps (1, height, width, channels), sequences (1, 1, length, channels), vectors
    (1, length); `emulator.quantize` makes an input's codes of real numbers, and ``(code − zero_point) · scale`` is an
    output's real value. What embeddings look up is an input (`host_inputs`), and a softmax stays with the host.

    The file appears under its name only when it is complete. Raises ``ValueError`` for another arithmetic, and naming
    the layer that TFLM cannot compute, ``ModuleNotFoundError`` without the extra `tflite`, ``OSError`` where the file
    cannot be written.
    """
    check_prepared(model)
    arithmetic = model.quantizers.arithmetic
    if not arithmetic.is_tflm:
        raise ValueError(
            f"model must be prepared with Arithmetic.tflm(), which is what TFLM computes, not with {arithmetic}"
        )
    try:
        from .tflite.network import network_file
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"export_tflite needs the package {error.name}: pip install 'lockstep[tflite]'", name=error.name
        ) from None
    with torch.no_grad(), evaluating(model):
        data = network_file(model)
    with replacing(path) as file:
        file.write_bytes(data)
