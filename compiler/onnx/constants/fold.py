"""`fold`: an operator whose inputs are all constant is a constant; codes that it only moves stay codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...reading.constants import Constant, QuantizedConstant
from ..operator import Operator
from ..values import BatchConstant
from .evaluate import evaluate

# Operators that select, repeat or regroup the elements of their first input, and change none of them.
MOVES = frozenset(
    [
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
# Operators that make something of a batch size that is the same kind of thing for every batch size.
OF_SIZES = frozenset(
    [
        "Add",
        "Cast",
        "Concat",
        "ConstantOfShape",
        "Div",
        "Equal",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Range",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "ScatterND",
        "Shape",
        "Size",
        "Slice",
        "Split",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)

Known = Constant | QuantizedConstant | BatchConstant


def fold(op: Operator, operands: Sequence[Known | None], opset: int) -> tuple[Known, ...]:
    """The values of the outputs of a node whose inputs are constants; None: an input that is left out.

    Dequantized codes stay codes with scale and zero point where the operator only moves them; they count as the real
    numbers that they stand for where it computes. Where inputs depend on the batch, so do the outputs, as far as they
    differ. Raises ``ValueError`` as `evaluate` does, and for what computes with the batch's size otherwise than shapes
    do.
    """
    first = operands[0] if operands else None
    sizes = [tuple(operand.arrays) for operand in operands if isinstance(operand, BatchConstant)]
    if not sizes and op.type in MOVES and isinstance(first, QuantizedConstant):
        return _moved(op, first, [_array(operand, 0) for operand in operands[1:]], opset)
    if not sizes:
        return tuple(Constant(array) for array in evaluate(op, [_array(operand, 0) for operand in operands], opset))
    if op.type not in OF_SIZES:
        raise ValueError("computes with the size of the batch; export the model with a fixed batch size")
    results = [evaluate(op, [_array(operand, size) for operand in operands], opset) for size in sizes[0]]
    return tuple(batch_constant(dict(zip(sizes[0], made, strict=True))) for made in zip(*results, strict=True))


def batch_constant(arrays: dict[int, NDArray[Any]]) -> Constant | BatchConstant:
    """A plain constant where every batch size gives the same."""
    first, *others = arrays.values()
    if all(first.dtype == a.dtype and first.shape == a.shape and bool((first == a).all()) for a in others):
        return Constant(first)
    return BatchConstant(arrays)


def _array(operand: Known | None, batch: int) -> NDArray[Any] | None:
    match operand:
        case None:
            return None
        case QuantizedConstant():
            return operand.real
        case BatchConstant():
            return operand.arrays[batch]
    return operand.values


def _moved(
    op: Operator, value: QuantizedConstant, others: list[NDArray[Any] | None], opset: int
) -> tuple[QuantizedConstant, ...]:
    codes = evaluate(op, [value.codes, *others], opset)
    if not value.scale.ndim:
        return tuple(QuantizedConstant(made, value.scale, value.zero_point, 0) for made in codes)
    # Where each element's scale goes tells along which axis the scales lie behind the move.
    shape = [-1 if axis == value.axis else 1 for axis in range(value.codes.ndim)]
    channels = np.broadcast_to(np.arange(value.scale.size).reshape(shape), value.codes.shape)
    places = evaluate(op, [np.ascontiguousarray(channels), *others], opset)
    return tuple(_per_channel(value, made, place) for made, place in zip(codes, places, strict=True))


def _per_channel(value: QuantizedConstant, codes: NDArray[Any], channels: NDArray[Any]) -> QuantizedConstant:
    for axis in range(channels.ndim):
        lines = np.moveaxis(channels, axis, 0).reshape(channels.shape[axis], -1)
        if lines.size and (lines == lines[:, :1]).all():
            order = lines[:, 0]
            return QuantizedConstant(codes, value.scale[order], value.zero_point[order], axis)
    raise ValueError("mixes channels of different scales; quantize the constant behind it, or with one scale")
