"""Add, Sub and Mul of two quantized tensors; and the Add that is a bias."""

from __future__ import annotations

from dataclasses import replace

from emulator.graph import logical_shape

from ...reading.constants import Constant, QuantizedConstant
from ...reading.convolution import ConvolutionSource
from ...reading.elementwise import AddSource, ProductSource
from ...reading.linear import LinearSource
from ...reading.rearrange import in_logical_order
from ...reading.values import Dequantized, Real, Value
from ..environment import Environment
from ..operator import Operator
from .function import combined


def lower_elementwise(env: Environment, op: Operator) -> Value:
    """Add, Sub or Mul: a bias, a step of a unary function, or a layer of two tensors; axes of size 1 broadcast."""
    a, b = env.value(op.input(0)), env.value(op.input(1))
    if op.type == "Add":
        for layer, constant in ((a, b), (b, a)):
            biased = _with_bias(layer, constant)
            if biased is not None:
                return biased
    function = combined(env, op)
    if function is not None:
        return function
    for index, value in enumerate((a, b)):
        if isinstance(value, Constant | QuantizedConstant):
            raise ValueError(
                f"input {op.input(index)!r} is a constant; only a bias behind Conv, Gemm or MatMul, or one number"
                " beside a quantized tensor, is supported"
            )
    x, y = env.operand(op, 0), env.operand(op, 1)
    if len(x.shape) != len(y.shape) or any(m != n and 1 not in (m, n) for m, n in zip(x.shape, y.shape, strict=True)):
        raise ValueError(
            f"the inputs must have one shape, or size 1 along an axis where they differ, "
            f"not {logical_shape(x.shape)} and {logical_shape(y.shape)} (without the batch)"
        )
    if env.builder.orders.get(x.name) != env.builder.orders.get(y.name):
        x, y = in_logical_order(env.builder, x), in_logical_order(env.builder, y)
    return Real(ProductSource(op, x, y) if op.type == "Mul" else AddSource(op, x, y, op.type == "Sub"))


def _with_bias(layer: Value, constant: Value) -> Real | None:
    if not isinstance(layer, Real) or not layer.bare or not isinstance(constant, Constant | QuantizedConstant):
        return None
    source = layer.source
    if isinstance(source, Dequantized) or not isinstance(source, ConvolutionSource | LinearSource):
        return None
    return replace(layer, source=source.with_bias(constant))
