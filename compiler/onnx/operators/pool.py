"""MaxPool, GlobalMaxPool, AveragePool and GlobalAveragePool."""

from __future__ import annotations

from emulator.graph import Tensor

from ...reading.graph_builder import GraphBuilder
from ...reading.pool import average_pool, max_pool, whole_window
from ...reading.values import Value
from ..environment import Environment
from ..operator import Operator
from ..windows import node_geometry


def lower_max_pool(env: Environment, op: Operator) -> Value:
    """MaxPool without its second output, the indices."""
    op.only("storage_order", 0, "only row major is supported")
    if len(op.outputs) > 1 and op.outputs[1]:
        raise ValueError(f"the output of indices, {op.outputs[1]!r}, is not supported")

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return max_pool(builder, x, name, node_geometry(op, x, op.integers("kernel_shape") or ()))

    return env.moved(op, apply)


def lower_global_max_pool(env: Environment, op: Operator) -> Value:
    """GlobalMaxPool: the window is the whole map."""

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return max_pool(builder, x, name, whole_window(x, range(2, len(x.shape) + 1)))

    return env.moved(op, apply)


def lower_average_pool(env: Environment, op: Operator) -> Value:
    """AveragePool; where padding is not counted, each position divides by its own number of positions on the map."""
    x = env.operand(op, 0)
    geometry = node_geometry(op, x, op.integers("kernel_shape") or ())
    geometry.check_covered()
    return average_pool(env.builder, op, x, geometry, bool(op.integer("count_include_pad", 0)))


def lower_global_average_pool(env: Environment, op: Operator) -> Value:
    """GlobalAveragePool: the window is the whole map."""
    x = env.operand(op, 0)
    return average_pool(env.builder, op, x, whole_window(x, range(2, len(x.shape) + 1)))
