"""Unary functions as tables: TFLM's own integers in its arithmetic, the contract's in any other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emulator import functions, tflm
from emulator.arithmetic import Arithmetic
from emulator.graph import LookupTable, Tensor
from emulator.operators.lookup import make_table

from ...reading.stored.tables import chosen_table
from ...reading.values import Target
from ..environment import Environment
from ..operator import Operator
from ..ranges import activation_range

_EIGHT_BITS = Arithmetic.tflm()
Function = Callable[[float], float]


def lower_function(env: Environment, op: Operator) -> None:
    """A table of 2^activation_bits codes."""
    x, target = env.operand(op, 0), env.target(op)
    name = env.label(op)
    table = _tflm_table(op, x, target) if env.tflm else _table(env, op, x, target)
    stored = env.builder.tables.get(env.output(op).name)
    table = chosen_table(stored, table, target.y_min, target.y_max)
    env.add(op, LookupTable(name=name, shape=x.shape, **vars(target), inputs=(x.name,), table=table))


def _table(env: Environment, op: Operator, x: Tensor, target: Target) -> NDArray[np.int8]:
    fields = (target.scale, target.zero_point, target.y_min, target.y_max)
    return make_table(_function(op), x.scale, x.zero_point, *fields, env.builder.arithmetic)


def _function(op: Operator) -> Function:
    simple: dict[str, Function] = {
        "LOGISTIC": functions.sigmoid,
        "TANH": functions.tanh,
        "HARD_SWISH": functions.hard_swish,
        "RELU": functions.relu,
        "RELU6": lambda value: min(max(value, 0.0), 6.0),
        "RELU_N1_TO_1": lambda value: min(max(value, -1.0), 1.0),
    }
    if op.type in simple:
        return simple[op.type]
    alpha = _alpha(op)
    return lambda value: value if value >= 0 else alpha * value


def _alpha(op: Operator) -> float:
    alpha = float(op.option("LeakyReluOptions", "Alpha"))
    if not math.isfinite(alpha):
        raise ValueError(f"option Alpha must be finite, not {alpha}")
    return alpha


def _tflm_table(op: Operator, x: Tensor, target: Target) -> NDArray[np.int8]:
    source, made = (x.scale, x.zero_point), (target.scale, target.zero_point)
    match op.type:
        case "LOGISTIC":
            _check_output(made, 1 / 256, -128)
            return tflm.logistic_table(*source)
        case "TANH":
            _check_output(made, 1 / 128, 0)
            return tflm.tanh_table(*source)
        case "HARD_SWISH":
            return tflm.hard_swish_table(*source, *made)
        case "RELU":
            return tflm.relu_table(*source, *made)
        case "RELU6":
            low, high = activation_range("RELU6", *source, _EIGHT_BITS)
            return tflm.clamp_table(low, high)
        case "LEAKY_RELU":
            return tflm.leaky_relu_table(*source, *made, _alpha(op))
    raise ValueError("TFLM has no kernel of it for int8; Arithmetic() reads it")


def _check_output(made: tuple[float, int], scale: float, zero_point: int) -> None:
    if made != (scale, zero_point):
        raise ValueError(f"the result must have scale {scale} and zero point {zero_point} in TFLM, not {made}")
