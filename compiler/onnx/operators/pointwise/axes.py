"""How many axes constants beside an activation may have."""

from __future__ import annotations

from ....reading.constants import Constant, QuantizedConstant
from ....reading.products.weighted import WeightedSource
from ....reading.values import Dequantized, Real
from ...environment import Environment
from ...operator import Operator
from ...shapes import shape_of

FEWEST = 2
"""Axes of every activation: the batch, and one more."""


def check_axes(env: Environment, op: Operator) -> None:
    """Raise ``ValueError`` for a constant with more axes than an activation beside it, which would get them too."""
    values = {name: env.value(name) for name in op.inputs if name}
    constants = [(name, v) for name, v in values.items() if isinstance(v, Constant | QuantizedConstant)]
    axes = {name: (v.values if isinstance(v, Constant) else v.codes).ndim for name, v in constants}
    if max(axes.values(), default=0) <= FEWEST:
        return
    ranks = [_rank(env, value) for value in values.values() if isinstance(value, Real)]
    for name, count in axes.items():
        if ranks and count > max(ranks):
            raise ValueError(
                f"constant {name!r} has {count} axes, which the result would have, too, and the activation has "
                f"{max(ranks)} with the batch; take axes of size 1 away in front"
            )


def _rank(env: Environment, value: Real) -> int:
    source = value.source
    if not value.moves and isinstance(source, WeightedSource):
        return len(source.x.shape) + 1
    if not value.moves and isinstance(source, Dequantized):
        return len(source.tensor.shape) + 1
    return len(shape_of(env.builder, value)) + 1
