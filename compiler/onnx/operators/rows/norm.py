"""LayerNormalization and RMSNormalization over the last axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor, logical_shape

from ....reading.moves.rearrange import checked_axis
from ....reading.rows.norm import NormSource
from ....reading.values import Real, Value
from ...environment import Environment
from ...operator import Operator

EPSILON = float(np.float32(1e-5))


def lower_norm(env: Environment, op: Operator) -> Value:
    """Either, with a constant scale and with a constant bias or without; what is read is the first output."""
    x = env.operand(op, 0)
    rank = len(x.shape) + 1
    axis = checked_axis(op.integer("axis", -1), rank)
    if any(size > 1 for size in logical_shape(x.shape)[axis - 1 : -1]):
        raise ValueError(f"axis must be the last one, {rank - 1}, not {axis}; a norm is one of rows")
    epsilon = op.real("epsilon", EPSILON)
    gamma, beta = (_of_rows(env, op, index, what, x) for index, what in ((1, "scale"), (2, "bias")))
    centered = not op.type.endswith("RMSNormalization")
    return Real(NormSource(op, x, len(x.shape), gamma, beta, epsilon, centered))


def _of_rows(env: Environment, op: Operator, index: int, what: str, x: Tensor) -> NDArray[np.float64] | None:
    """Constants, one for each element of a row; None where they are left out."""
    if not op.input(index):
        return None
    values, length = env.reals(op, index, what), x.shape[-2 if len(x.shape) > 1 else -1]
    if values.size != 1 and (values.shape[-1:] != (length,) or values.size != length):
        raise ValueError(f"{what} must have the shape ({length},), as the rows, not {values.shape}")
    if values.ndim > len(x.shape) + 1:
        raise ValueError(f"{what} must not have more axes than its input, {len(x.shape) + 1}, not {values.ndim}")
    return np.broadcast_to(values.reshape(-1), (length,))
