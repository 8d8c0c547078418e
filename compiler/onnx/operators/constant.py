"""Constant nodes."""

from __future__ import annotations

import numpy as np

from ...reading.constants import Constant
from ...reading.values import Value
from ..environment import Environment
from ..operator import Operator
from ..tensor import decode


def lower_constant(env: Environment, op: Operator) -> Value:
    """Constant, in any of its dense forms."""
    tensor = op.tensor("value")
    if tensor is not None:
        return Constant(decode(tensor, env.folder))
    if "value_float" in op.attributes:
        return Constant(np.array(op.real("value_float", 0.0), np.float32))
    if "value_floats" in op.attributes:
        return Constant(np.array(op.attributes["value_floats"].floats, np.float32))
    if "value_int" in op.attributes:
        return Constant(np.array(op.integer("value_int", 0), np.int64))
    if "value_ints" in op.attributes:
        return Constant(np.array(op.integers("value_ints"), np.int64))
    raise ValueError("only dense numbers are supported")
