"""MaxPool, GlobalMaxPool, AveragePool and GlobalAveragePool."""

from __future__ import annotations

from collections.abc import Callable

from emulator.graph import Tensor

from ....reading.graph_builder import GraphBuilder
from ....reading.pools.pool import average_pool, max_pool, whole_window
from ....reading.products.affine import mean_of_affine
from ....reading.products.convolution import ConvolutionSource
from ....reading.rounding import operand
from ....reading.values import Real, Value
from ....reading.windows import WindowGeometry
from ...environment import Environment
from ...operator import Operator
from ...windows import node_geometry
from ..distribute import distributed


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

    def geometry(x: Tensor) -> WindowGeometry:
        made = node_geometry(op, x, op.integers("kernel_shape") or ())
        made.check_covered()
        return made

    return _mean(env, op, geometry, bool(op.integer("count_include_pad", 0)))


def lower_global_average_pool(env: Environment, op: Operator) -> Value:
    """GlobalAveragePool: the window is the whole map."""
    return _mean(env, op, lambda x: whole_window(x, range(2, len(x.shape) + 1)))


def _mean(env: Environment, op: Operator, geometry: Callable[[Tensor], WindowGeometry], padded: bool = False) -> Real:
    """Of a quantized tensor; of tensors joined by channels; of an affine map of a quantized tensor."""

    def of(real: Real) -> Real:
        source = real.source
        if real.bare and isinstance(source, ConvolutionSource):
            made = mean_of_affine(env.builder.arithmetic, source, geometry(source.x))
            if made is not None:
                return made
        x = operand(env.builder, real)
        return average_pool(env.builder, op, x, geometry(x), padded)

    return distributed(env, op, 0, lambda part, _: of(part)) or of(env.real(op, 0))
