"""torchao's PT2E quantization of an exported program, written by torch's exporter of programs."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import torch
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from ..families import Family
from ..float_models import CALIBRATION_BATCHES, outputs_of

OPSET = 21


def quantizer(name: str) -> Any:
    """The backend's quantizer with its int8 defaults."""
    if name == "torchao_x86":
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        return x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack

    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True)
    return xnnpack.XNNPACKQuantizer().set_global(config)


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family`, the batch open where the family says so."""
    model = family.network()
    example = family.inputs(0, 2)
    shapes = tuple({0: torch.export.Dim("n", min=1, max=1024)} for _ in example) if family.dynamic else None
    if not family.dynamic:
        example = family.inputs(0, 1)
    program = torch.export.export(model, example, dynamic_shapes=shapes).module()
    prepared = prepare_pt2e(program, quantizer(name))
    for seed in range(CALIBRATION_BATCHES):
        prepared(*family.inputs(200 + seed, 8 if family.dynamic else 1))
    converted = convert_pt2e(prepared)
    with contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(
            converted, example, str(path), input_names=list(family.names), output_names=outputs_of(model, family),
            dynamic_shapes=shapes, opset_version=OPSET, dynamo=True, external_data=False,
        )  # fmt: skip
