"""A prepared model as an ONNX file with QuantizeLinear/DequantizeLinear pairs (QDQ)."""

from __future__ import annotations

from os import PathLike

import torch

from .facts import metadata
from .files import replacing
from .integers.tensor import QuantizedTensor
from .layers.layer import Step, named
from .layers.onnx_writer import OnnxWriter
from .model import PreparedModel, check_prepared, evaluating


def export_onnx(model: PreparedModel, path: str | PathLike[str]) -> None:
    """Write the quantized network as ONNX, operator set 21, for any batch size.

    The input of a model with one argument is called ``input``, those of one with several bear the arguments' names;
    what embeddings look up on the host is an input too (`host_inputs`). The dequantized result is ``output``;
    several bear their keys in a dictionary, or are ``output_0``, ``output_1``, …. Every layer's compute node bears the
    layer's name. Weights of at most 4 bits are INT4, two to a byte, other codes INT8. The metadata hold the arithmetic,
    the settings and what was found for each layer (`qat.facts`), and the lookup tables, so that the file alone gives
    the same integers on every machine. ONNX Runtime runs the file; for another arithmetic than the default one its
    results differ as the arithmetic does.

    The file appears under its name only when it is complete. Raises ``ValueError`` naming the layer that does not fit
    ONNX, ``OSError`` where the file cannot be written.
    """
    check_prepared(model)
    quantizers, writer = model.quantizers, OnnxWriter()
    with torch.no_grad(), evaluating(model):
        # Scales, zero points and shapes do not depend on the data: one sample of zeros shows them all.
        shapes = dict(zip(quantizers.host.names, quantizers.host.shapes, strict=True))
        zeros = {name: torch.zeros(1, *shape, device=quantizers.device) for name, shape in shapes.items()}
        tensors: dict[str, QuantizedTensor] = quantizers(zeros, Step(model))
        for name in shapes:
            writer.quantized(name, writer.activation(name, name, tensors[name]), tensors[name])
        for layer in quantizers:
            with named(layer.name):
                layer.write(writer, [tensors[source] for source in layer.sources], tensors[layer.name], model)
    results = {
        name: (writer.reals[layer], tensors[layer].centered.shape[1:])
        for name, layer in quantizers.results.layers.items()
    }
    proto = writer.model(shapes, results, metadata(quantizers, writer.tables))
    with replacing(path) as file:
        file.write_bytes(proto.SerializeToString())
