"""The functions of ONNX's unary and binary operators for lookup tables: Python floats, ±inf and NaN as in IEEE 754."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from .functions import FUNCTIONS

Function = Callable[[float], float]


def unary_function(operator: str, attributes: Mapping[str, float | str]) -> Function:
    """The function of a unary ONNX operator (one of `UNARY_OPERATORS`).

    attributes : those that the node gives, float attributes with their float32 values
    """

    def number(name: str, default: float) -> float:
        return float(attributes.get(name, default))

    match operator:
        case "Gelu":
            approximate = attributes.get("approximate", "none")
            if approximate not in ("none", "tanh"):
                raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
            return FUNCTIONS["gelu_tanh" if approximate == "tanh" else "gelu"]
        case "Elu":
            alpha = number("alpha", 1.0)
            return lambda x: x if x > 0 else alpha * math.expm1(x)
        case "Celu":
            alpha = number("alpha", 1.0)
            return lambda x: x if x > 0 else alpha * math.expm1(x / alpha)
        case "Selu":
            alpha, gamma = number("alpha", 1.6732632423543772), number("gamma", 1.0507009873554805)
            return lambda x: gamma * (x if x > 0 else alpha * math.expm1(x))
        case "LeakyRelu":
            alpha = number("alpha", 0.01)
            return lambda x: x if x >= 0 else alpha * x
        case "HardSigmoid":
            alpha, beta = number("alpha", 0.2), number("beta", 0.5)
            # An attribute is float32; the nearest one to 1/6 stands for 1/6, which torch divides by.
            if alpha == float(np.float32(1 / 6)) and beta == 0.5:
                return FUNCTIONS["hard_sigmoid"]
            return lambda x: max(0.0, min(1.0, alpha * x + beta))
        case _:
            return UNARY[operator]


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return math.copysign(math.inf, a) if b % 2 == 1 else math.inf
    except ValueError:  # a negative number to a fraction, or 0 to a negative number
        return math.inf if a == 0 else math.nan


UNARY: dict[str, Function] = {
    "Abs": abs,
    "Atan": math.atan,
    "Ceil": lambda x: float(math.ceil(x)) if math.isfinite(x) else x,
    "Cos": lambda x: math.cos(x) if math.isfinite(x) else math.nan,
    "Erf": math.erf,
    "Exp": _exp,
    "Floor": lambda x: float(math.floor(x)) if math.isfinite(x) else x,
    "HardSwish": FUNCTIONS["hard_swish"],
    "Log": _log,
    "Mish": FUNCTIONS["mish"],
    "Neg": lambda x: -x,
    "Reciprocal": lambda x: _divide(1.0, x),
    "Sigmoid": FUNCTIONS["sigmoid"],
    "Sin": lambda x: math.sin(x) if math.isfinite(x) else math.nan,
    "Softplus": FUNCTIONS["softplus"],
    "Softsign": lambda x: x / (1 + abs(x)),
    "Sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "Tanh": math.tanh,
}
UNARY_OPERATORS = (*UNARY, "Celu", "Elu", "Gelu", "HardSigmoid", "LeakyRelu", "Selu")

BINARY: dict[str, Callable[[float, float], float]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _divide,
    "Pow": _power,
}
