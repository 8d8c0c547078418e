"""Shape and Size of a tensor: constants but for the batch."""

from __future__ import annotations

import numpy as np

from emulator.graph import Tensor, logical_shape

from ..reading.errors import located
from ..reading.graph_builder import GraphBuilder
from ..reading.graph_input import InputSource
from ..reading.rows.source import RowSource
from ..reading.values import Codes, Dequantized, Real, Target
from .constants.evaluate import evaluate
from .constants.fold import Known, batch_constant
from .operator import Operator

BATCHES = (2, 3, 5, 64, 257)
"""The batch sizes for which shapes are computed where a file leaves the batch open."""

# At this scale no multiplier can be too large, whatever the layer.
ANY = Target(2.0**100, 0, 0, 0)


def shape_of(builder: GraphBuilder, value: Codes | Real) -> tuple[int, ...]:
    """Logical shape without the batch of a tensor that may not be rounded yet; ``ValueError`` as its layer's."""
    if isinstance(value, Codes):
        return logical_shape(value.tensor.shape)
    source = value.source
    with builder.trial():
        if isinstance(source, Dequantized):
            tensor = source.tensor
        elif isinstance(source, RowSource):
            tensor = source.x  # `ANY` is no scale of probabilities
        elif isinstance(source, InputSource):
            tensor = Tensor(name=source.operator.name, shape=source.shape, **vars(ANY))
        else:
            tensor = source.emit(builder, builder.unique(source.operator.label), ANY)
        for move in value.moves:
            with located(str(move.operator)):
                tensor = move.apply(builder, tensor, builder.unique(move.operator.label))
    return logical_shape(tensor.shape)


def fold_shape(op: Operator, shape: tuple[int, ...], batch: int | None, opset: int) -> Known:
    """What a Shape or Size node makes of a tensor of this shape behind the batch axis."""
    arrays = {}
    for size in BATCHES if batch is None else (batch,):
        # One element in memory, however large the shape.
        tensor = np.broadcast_to(np.zeros((), np.int8), (size, *shape))
        arrays[size] = evaluate(op, [tensor], opset)[0]
    return batch_constant(arrays)
