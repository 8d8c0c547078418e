"""Constant nodes."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from .onnx_tensor import Constant, decode
from .operator_node import Operator
from .values import Environment, Value


def lower_constant(env: Environment, op: Operator) -> Value:
    """Constant, in any of its dense forms."""
    tensor = op.tensor("value")
    if tensor is not None:
        return decode(tensor, env.folder)
    if "value_float" in op.attributes:
        return Constant(np.array(op.real("value_float", 0.0), np.float32), TensorProto.FLOAT)
    if "value_floats" in op.attributes:
        return Constant(np.array(op.attributes["value_floats"].floats, np.float32), TensorProto.FLOAT)
    if "value_int" in op.attributes:
        return Constant(np.array(op.integer("value_int", 0), np.int64), TensorProto.INT64)
    if "value_ints" in op.attributes:
        return Constant(np.array(op.integers("value_ints"), np.int64), TensorProto.INT64)
    raise ValueError("only dense numbers are supported")
