"""Constant masks in front of a Softmax: an Add of 0 and very negative numbers, or a Where that puts such in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor

from ....reading.constants import Constant, QuantizedConstant
from ....reading.graph_builder import GraphBuilder
from ....reading.origin import Origin
from ....reading.pointwise.function import FunctionSource
from ....reading.rows.mask import Mask
from ....reading.rows.masked import MaskedScores
from ....reading.values import Real, Source, Target, Value
from ...environment import Environment
from ...operator import Operator
from .scaled import scaled


@dataclass(frozen=True, eq=False)
class MaskedSource(Source):
    """Scores with a mask, which only the Softmax behind it reads."""

    operator: Origin
    scores: Real
    mask: Mask

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Not a layer of its own."""
        raise ValueError("a mask must stand right in front of its Softmax, with nothing between")


def is_choice(env: Environment, op: Operator) -> bool:
    """Whether a Where has a constant condition, and takes numbers from one activation and from constants."""
    return op.input(0) not in _scores(env, op) and _one_of_constants(env, op)


def reads_mask(env: Environment, op: Operator) -> bool:
    """Whether an Add or Where puts a constant mask in front of Softmaxes, and of nothing else."""
    readers = env.readers.get(op.output, ())
    if not readers or any(reader.type != "Softmax" for reader in readers):
        return False
    if op.type == "Where":
        return is_choice(env, op)
    values = [_numbers(env, name) for name in op.inputs if name not in _scores(env, op)]
    return _one_of_constants(env, op) and all(array is not None and bool((array <= 0).all()) for array in values)


def adds_to_scaled(env: Environment, op: Operator) -> bool:
    """Whether an Add has an activation that a number was multiplied with, and a constant of several elements."""
    if not _one_of_constants(env, op):
        return False
    (name,) = _scores(env, op)
    real, other = env.real(op, op.inputs.index(name)), _numbers(env, op.input(1 - op.inputs.index(name)))
    source = real.source
    of_codes = real.bare and isinstance(source, FunctionSource) and isinstance(source.x, Tensor)
    return of_codes and other is not None and other.size > 1


def lower_mask(env: Environment, op: Operator) -> Value:
    """An Add or a Where of one activation and constants."""
    if not _one_of_constants(env, op):
        raise ValueError("only a constant mask beside one activation is supported")
    place = op.inputs.index(_scores(env, op)[0])
    scores, other = env.real(op, place), _numbers(env, op.input(2 * len(op.inputs) - 3 - place))
    assert other is not None
    if op.type == "Add":
        mask = Mask(other != 0, other, added=True)
    else:
        condition = _numbers(env, op.input(0))
        if condition is None or place == 0:
            raise ValueError("its condition must be constant")
        hidden, values = np.broadcast_arrays((condition == 0) if place == 1 else (condition != 0), other)
        mask = Mask(hidden, values, added=False)
    if reads_mask(env, op):
        return Real(MaskedSource(op, scores, mask))
    return Real(MaskedScores(op, *scaled(env.builder, scores), mask))


def _scores(env: Environment, op: Operator) -> list[str]:
    return [name for name in op.inputs if _is_real(env, name)]


def _one_of_constants(env: Environment, op: Operator) -> bool:
    """Whether one input is an activation, and all others constants."""
    scores = _scores(env, op)
    return len(scores) == 1 and all(name in scores or _numbers(env, name) is not None for name in op.inputs)


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
