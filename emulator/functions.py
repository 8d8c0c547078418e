"""Unary functions for lookup tables, in Python's `math`, finite for every finite argument."""

from __future__ import annotations

import math
from collections.abc import Callable


def sigmoid(x: float) -> float:
    """1 / (1 + e^−x)."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def tanh(x: float) -> float:
    """Hyperbolic tangent."""
    return math.tanh(x)


def relu(x: float) -> float:
    """max(x, 0)."""
    return max(x, 0.0)


def gelu(x: float) -> float:
    """x · Φ(x), with the error function (ONNX Gelu, approximate "none")."""
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


def gelu_tanh(x: float) -> float:
    """The tanh approximation of `gelu` (ONNX Gelu, approximate "tanh")."""
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def silu(x: float) -> float:
    """x · sigmoid(x)."""
    return x * sigmoid(x)


def hard_sigmoid(x: float) -> float:
    """max(0, min(1, x / 6 + 1/2)), torch's and the one inside HardSwish."""
    return max(0.0, min(1.0, x / 6 + 0.5))


def hard_swish(x: float) -> float:
    """x · hard_sigmoid(x)."""
    return x * hard_sigmoid(x)


def softplus(x: float) -> float:
    """log(1 + e^x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def elu(x: float) -> float:
    """x for x > 0, e^x − 1 otherwise."""
    return x if x > 0 else math.expm1(x)


def mish(x: float) -> float:
    """x · tanh(softplus(x))."""
    return x * math.tanh(softplus(x))


FUNCTIONS: dict[str, Callable[[float], float]] = {
    f.__name__: f for f in (sigmoid, tanh, relu, gelu, gelu_tanh, silu, hard_sigmoid, hard_swish, softplus, elu, mish)
}
