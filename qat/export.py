"""A prepared model as an ONNX file with QuantizeLinear/DequantizeLinear pairs (QDQ)."""

from __future__ import annotations

import json
import os
from os import PathLike
from pathlib import Path

import torch

from .layer import INPUT, Step, named
from .model import PreparedModel, check_prepared, evaluating
from .onnx_writer import OnnxWriter
from .tensor import QuantizedTensor

METADATA_KEY = "lockstep.arithmetic"


def export_onnx(model: PreparedModel, path: str | PathLike[str]) -> None:
    """Write the quantized network as ONNX, operator set 21, for any batch size.

    The input is called ``input``, the dequantized result ``output``. Every layer's compute node bears the layer's
    name; the metadata entry ``lockstep.arithmetic`` is the JSON of the arithmetic. ONNX Runtime runs the file; for
    another arithmetic than the default one its results differ as the arithmetic does.

    The file appears under its name only when it is complete. Raises ``ValueError`` naming the layer that does not fit
    ONNX, ``OSError`` where the file cannot be written.
    """
    check_prepared(model)
    quantizers, writer = model.quantizers, OnnxWriter()
    with torch.no_grad(), evaluating(model):
        # Scales, zero points and shapes do not depend on the data: one image of zeros shows them all.
        x = torch.zeros(1, *quantizers.input_shape, device=quantizers.input.low.device)
        tensors: dict[str, QuantizedTensor] = quantizers(x, Step(model))
        writer.quantized(INPUT, writer.activation(INPUT, INPUT, tensors[INPUT]), tensors[INPUT])
        for layer in quantizers:
            with named(layer.name):
                layer.write(writer, tensors[layer.source], tensors[layer.name], model)
    shape = tuple(tensors[quantizers.output].centered.shape[1:])
    metadata = {METADATA_KEY: json.dumps(quantizers.arithmetic.as_dict())}
    proto = writer.model(writer.reals[quantizers.output], quantizers.input_shape, shape, metadata)
    file = Path(path)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(proto.SerializeToString())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
