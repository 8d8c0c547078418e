"""Add, Sub and Mul of two quantized tensors; and the Add that is a bias."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.graph import Add, Product, Tensor, logical_shape
from emulator.multiplier import quantize_adder, quantize_multiplier

from .graph_builder import GraphBuilder
from .lower_convolution import ConvolutionSource
from .lower_function import combined
from .lower_linear import LinearSource
from .onnx_tensor import Constant
from .operator_node import Operator
from .rearrange import in_logical_order
from .values import Dequantized, Environment, QuantizedConstant, Real, Source, Target, Value


@dataclass(frozen=True, eq=False)
class AddSource(Source):
    """a + b, or a − b."""

    operator: Operator
    a: Tensor
    b: Tensor

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Append the `Add`: two multipliers, one shared shift, one rounding."""
        multipliers = quantize_adder(self.a.scale, self.b.scale, target.scale, builder.arithmetic)
        node = Add(
            name=name,
            shape=np.broadcast_shapes(self.a.shape, self.b.shape),
            **vars(target),
            inputs=(self.a.name, self.b.name),
            a_multiplier=multipliers[0],
            b_multiplier=multipliers[1],
            shift=multipliers[2],
            subtract=self.operator.type == "Sub",
        )
        return builder.ordered_as(builder.add(node), self.a)


@dataclass(frozen=True, eq=False)
class ProductSource(Source):
    """a · b, element by element."""

    operator: Operator
    a: Tensor
    b: Tensor

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Append the `Product`."""
        multiplier, shift = quantize_multiplier(self.a.scale * self.b.scale / target.scale, builder.arithmetic)
        node = Product(
            name=name,
            shape=np.broadcast_shapes(self.a.shape, self.b.shape),
            **vars(target),
            inputs=(self.a.name, self.b.name),
            multiplier=multiplier,
            shift=shift,
        )
        return builder.ordered_as(builder.add(node), self.a)


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
    return Real(ProductSource(op, x, y) if op.type == "Mul" else AddSource(op, x, y))


def _with_bias(layer: Value, constant: Value) -> Real | None:
    if not isinstance(layer, Real) or not layer.bare or not isinstance(constant, Constant | QuantizedConstant):
        return None
    source = layer.source
    if isinstance(source, Dequantized) or not isinstance(source, ConvolutionSource | LinearSource):
        return None
    if source.bias is not None:
        raise ValueError(f"adds a constant to {source.operator}, which has a bias already")
    return replace(layer, source=source.with_bias(constant))
