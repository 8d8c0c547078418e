"""How a handler of one operator reads a node of torch.export's graph."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx


class Arguments:
    """A node's arguments under the names of its operator's schema, defaults included."""

    def __init__(self, node: fx.Node) -> None:
        for index, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
            default = argument.default_value if argument.has_default_value() else None
            value = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name, default)
            setattr(self, argument.name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def pair(value: Any, axes: int = 2, unit: int = 1) -> tuple[int, int]:
    """Constant integers of a window on a map, or of one on a sequence (1 axis), whose other axis has `unit`."""
    values = [value] if isinstance(value, int) else list(value)
    if not values or not all(type(v) is int for v in values):
        raise ValueError(
            "sizes, strides and padding must be constant integers, not computed of the batch: write them as numbers"
        )
    return values[0] if axes > 1 else unit, values[-1]


def shape_of(node: object, index: int = 0) -> tuple[int, ...]:
    """The shape of a node's tensor, of several that with the given index, without the batch axis."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    value = value[index] if isinstance(value, (tuple, list)) else value
    if not isinstance(value, Tensor):
        raise ValueError(
            "its input must be a tensor that the model's layers make: compute others on the host, as arguments "
            "of the model"
        )
    shape = tuple(value.shape[1:])
    if not all(type(size) is int for size in shape):
        raise ValueError("all sizes but the batch's must be constant: leave the batch as axis 0")
    return shape
