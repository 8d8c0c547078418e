"""A family's float network as ONNX, written by torch's exporter, and what its inputs are for calibration."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .families import Family

OPSET = 17
CALIBRATION_BATCHES = 4


def export(model: torch.nn.Module, family: Family, path: Path, opset: int = OPSET) -> Path:
    """Write `model` with the exporter that traces; the batch is open where the family says so."""
    batch = {0: "n"}
    outputs = outputs_of(model, family)
    axes = {name: batch for name in (*family.names, *outputs)} if family.dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), family.inputs(0, 1), str(path), input_names=list(family.names), output_names=outputs,
            dynamic_axes=axes, opset_version=opset, dynamo=False,
        )  # fmt: skip
    return path


def outputs_of(model: torch.nn.Module, family: Family) -> list[str]:
    """The names of the outputs."""
    with torch.no_grad():
        result = model(*family.inputs(0, 1))
    return ["output"] if isinstance(result, torch.Tensor) else [f"output{index}" for index in range(len(result))]


def calibration(family: Family) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Batches by input's name, of one sample each where the batch is fixed."""
    for seed in range(CALIBRATION_BATCHES):
        tensors = family.inputs(200 + seed, 8 if family.dynamic else 1)
        yield {name: tensor.numpy() for name, tensor in zip(family.names, tensors, strict=True)}


@contextmanager
def float_file(family: Family, path: Path) -> Iterator[Path]:
    """The float network beside `path`, for as long as a quantizer reads it."""
    plain = path.with_suffix(".float.onnx")
    try:
        yield export(family.network(), family, plain)
    finally:
        plain.unlink(missing_ok=True)
