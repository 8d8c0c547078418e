"""Tables of the sigmoid and the hyperbolic tangent, nearly all entries at once: recurrent networks have many tables.

`emulator.make_table` calls Python's `math` for each code. NumPy's functions may differ from that in the last bits,
which matter where a quotient lies next to a tie: those entries are computed as there, and the others cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator import Arithmetic

from ..expression import Expression

# Both functions are within ±1 and 2^-48 of their values, so quotients by scales from here on are within 2^-28.
LEAST_SCALE = 2.0**-20
NEAR = 2.0**-20  # of a tie


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    # No power overflows.
    power = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, power) / (1.0 + power)


FUNCTIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {"Sigmoid": _sigmoid, "Tanh": np.tanh}


def smooth(expression: Expression, y_scale: float) -> bool:
    """Whether `smooth_table` and `smooth_slope` know the function, and the scale of its result is large enough."""
    return (
        expression.operator in FUNCTIONS
        and len(expression.operands) == 1
        and isinstance(expression.operands[0], Expression)
        and expression.operands[0].is_x
        and y_scale >= LEAST_SCALE
    )


def smooth_table(
    expression: Expression,
    x_scale: float,
    x_zero_point: int,
    y_scale: float,
    y_zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> NDArray[np.int8]:
    """`emulator.make_table` of a `smooth` function."""
    low, high = arithmetic.activation_range
    x: NDArray[np.float64] = x_scale * (np.arange(low, high + 1, dtype=np.float64) - x_zero_point)
    quotient = FUNCTIONS[expression.operator](x) / y_scale
    rounded = np.rint(quotient)
    exactly = expression.function()
    for index in np.flatnonzero(np.abs(quotient - np.floor(quotient) - 0.5) < NEAR):
        rounded[index] = round(exactly(float(x[index])) / y_scale)
    table: NDArray[np.int8] = np.clip(y_zero_point + rounded, y_min, y_max).astype(np.int8)
    return table


def smooth_slope(expression: Expression, y: Tensor) -> Tensor:
    """The slope of a `smooth` function where it is `y`."""
    return y * (1 - y) if expression.operator == "Sigmoid" else 1 - torch.square(y)
