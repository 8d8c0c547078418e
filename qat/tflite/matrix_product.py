"""Products of two activations."""

from __future__ import annotations

import numpy as np
from torch import nn

from ..integers.activation_product import largest_sum
from ..integers.tensor import QuantizedTensor
from ..layers.matrix_product import MatrixProduct
from .weighted import check_reach
from .writer import TfliteWriter, file_shape

LOGICAL = {2: (0, 1, 3, 2), 3: (0, 3, 1, 2)}
"""{axes behind the batch: the file's axes in the order (1, heads, rows, columns)}."""
STORED = {2: (0, 1, 3, 2), 3: (0, 2, 3, 1)}
"""Back again."""


def write_matrix_product(
    writer: TfliteWriter, layer: MatrixProduct, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """BATCH_MATMUL, which has its matrices in the last axes, between TRANSPOSEs."""
    if layer.factor != 1:
        raise ValueError(
            f"TFLM's product of two activations has no factor, which is {layer.factor:g} here: multiply the weights "
            "with it of a layer in front of the product or behind it"
        )
    a, b = inputs
    file_shape(a), file_shape(b)
    rank = y.centered.ndim - 1
    check_reach(np.array([float(largest_sum(a, b))]), np.array([a.scale.item() * b.scale.item() / y.scale.item()]))
    operands = [
        writer.transposed(f"{layer.name}/{which}", writer.codes[source], LOGICAL[rank])
        for which, source in zip("ab", layer.sources, strict=True)
    ]
    shape = tuple(file_shape(y)[axis] for axis in LOGICAL[rank])
    product = writer.tensor(f"{layer.name}/product", shape, y)
    writer.operator("BATCH_MATMUL", operands, product, AdjX=False, AdjY=False)
    name = layer.name if (y.y_min, y.y_max) == (-128, 127) else f"{layer.name}/unclamped"
    writer.put_clamp(layer.name, writer.transposed(name, product, STORED[rank]), y)
