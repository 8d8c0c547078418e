"""`network_file`: a prepared model as the bytes of a .tflite file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..integers.tensor import QuantizedTensor
from ..layers.activation import Activation, Dropout
from ..layers.choice import Joined, Negation
from ..layers.concat import Concat
from ..layers.elementwise import Add, Product
from ..layers.layer import Layer, Step, named
from ..layers.matrix_product import MatrixProduct
from ..layers.moves import Pad, Reshape, Slice, Transpose
from ..layers.orders import Gather, PixelShuffle, PixelUnshuffle
from ..layers.pools import MaxPool
from ..layers.raw_pool import RawAveragePool
from ..layers.tables.table import Table
from ..layers.tables.tflm_tables import FixedTable
from ..layers.transposed import TransposedConvolution
from ..layers.weighted import Weighted
from ..model import PreparedModel
from .elementwise import (
    write_activation,
    write_add,
    write_concat,
    write_joined,
    write_negation,
    write_product,
    write_table,
)
from .matrix_product import write_matrix_product
from .moves import write_gather, write_pad, write_pixel_shuffle, write_reshape, write_slice, write_transpose
from .pools import write_average_pool, write_max_pool
from .weighted import write_transposed, write_weighted
from .writer import TfliteWriter, file_shape

WRITERS: dict[type[Layer], Callable[..., None]] = {
    Activation: write_activation,
    Add: write_add,
    Concat: write_concat,
    FixedTable: write_table,
    Gather: write_gather,
    Joined: write_joined,
    MatrixProduct: write_matrix_product,
    MaxPool: write_max_pool,
    Negation: write_negation,
    Pad: write_pad,
    PixelShuffle: write_pixel_shuffle,
    PixelUnshuffle: write_pixel_shuffle,
    Product: write_product,
    RawAveragePool: write_average_pool,
    Reshape: write_reshape,
    Slice: write_slice,
    Table: write_table,
    Transpose: write_transpose,
    TransposedConvolution: write_transposed,
    Weighted: write_weighted,
}


def network_file(model: PreparedModel) -> bytes:
    """The file of a model in eval mode; ``ValueError`` naming the layer that TFLM cannot compute."""
    quantizers, writer = model.quantizers, TfliteWriter()
    # Scales, zero points and shapes do not depend on the data: one sample of zeros shows them all.
    shapes = dict(zip(quantizers.host.names, quantizers.host.shapes, strict=True))
    zeros = {name: torch.zeros(1, *shape, device=quantizers.device) for name, shape in shapes.items()}
    tensors: dict[str, QuantizedTensor] = quantizers(zeros, Step(model))
    for name in shapes:
        with named(name):
            writer.codes[name] = writer.tensor(name, file_shape(tensors[name]), tensors[name])
    for layer in quantizers:
        with named(layer.name):
            _write(writer, layer, tensors, model)
    outputs = {}
    for name, source in quantizers.results.layers.items():
        with named(source):
            outputs[name] = writer.logical(source, tensors[source], name)
    return writer.file([*shapes], outputs)


def _write(writer: TfliteWriter, layer: Layer, tensors: dict[str, QuantizedTensor], model: PreparedModel) -> None:
    inputs: Any = [tensors[source] for source in layer.sources]
    y = tensors[layer.name]
    if isinstance(layer, Dropout) or not layer.makes_codes(inputs, y):
        writer.codes[layer.name] = writer.codes[layer.sources[0]]
        return
    write = WRITERS.get(type(layer))
    if write is None:
        raise ValueError(
            f"TFLM must have an operator for it, and has none for {type(layer).__name__}: compute it in front of the "
            "model, or behind it"
        )
    file_shape(y)
    write(writer, layer, inputs, y, model)
