"""Constant masks in front of a Softmax: an Add of 0 and very negative numbers, or a Where that puts such in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor

from ....reading.constants import Constant, QuantizedConstant
from ....reading.graph_builder import GraphBuilder
from ....reading.origin import Origin
from ....reading.rows.mask import Mask
from ....reading.values import Real, Source, Target, Value
from ...environment import Environment
from ...operator import Operator


@dataclass(frozen=True, eq=False)
class MaskedSource(Source):
    """Scores with a mask, which only the Softmax behind it reads."""

    operator: Origin
    scores: Real
    mask: Mask

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Not a layer of its own."""
        raise ValueError("a mask must stand right in front of its Softmax, with nothing between")


def reads_mask(env: Environment, op: Operator) -> bool:
    """Whether an operator puts a constant mask in front of Softmaxes, and of nothing else."""
    readers = env.readers.get(op.output, ())
    if not readers or any(reader.type != "Softmax" for reader in readers):
        return False
    scores = [name for name in op.inputs if _is_real(env, name)]
    constants = [name for name in op.inputs if name not in scores]
    condition = op.type != "Where" or op.input(0) in constants
    values = [_numbers(env, name) for name in constants]
    if len(scores) != 1 or not condition or any(array is None for array in values):
        return False
    return op.type == "Where" or all(array is not None and bool((array <= 0).all()) for array in values)


def lower_mask(env: Environment, op: Operator) -> Value:
    """The Add or Where of which `reads_mask` holds; ``ValueError`` for any other."""
    if not reads_mask(env, op):
        raise ValueError("only one that puts a constant mask in front of a Softmax is supported")
    place = next(index for index in range(len(op.inputs) - 2, len(op.inputs)) if _is_real(env, op.input(index)))
    scores, other = env.real(op, place), _numbers(env, op.input(2 * len(op.inputs) - 3 - place))
    assert other is not None
    if op.type == "Add":
        return Real(MaskedSource(op, scores, Mask(other != 0, other, added=True)))
    condition = _numbers(env, op.input(0))
    assert condition is not None
    hidden, values = np.broadcast_arrays((condition == 0) if place == 1 else (condition != 0), other)
    return Real(MaskedSource(op, scores, Mask(hidden, values, added=False)))


def _is_real(env: Environment, name: str) -> bool:
    return isinstance(env.values.get(name), Real)


def _numbers(env: Environment, name: str) -> NDArray[np.float64] | None:
    """A constant's, which may be −∞; None where it is none."""
    value = env.values.get(name)
    if value is None and name in env.initializers:
        value = env.any_value(name)
    if isinstance(value, QuantizedConstant):
        return np.asarray(value.real, np.float64)
    return np.asarray(value.values, np.float64) if isinstance(value, Constant) else None
