"""Gemm and MatMul: linear layers of vectors, and of every position of a sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.graph import Convolution, Linear, Tensor, logical_shape

from .graph_builder import GraphBuilder
from .onnx_tensor import Constant
from .operator_node import Operator
from .rearrange import turned
from .values import Environment, QuantizedConstant, Real, Source, Target, Value
from .weights import Weights, bias_error, layer_multiplier, read_bias, read_weights


@dataclass(frozen=True, eq=False)
class LinearSource(Source):
    """A matrix product of codes (batch, K) or (batch, T, K); weights' codes are (K, N), rows in the file's order."""

    operator: Operator
    x: Tensor
    weights: Weights
    bias: Constant | QuantizedConstant | None

    def with_bias(self, bias: Constant | QuantizedConstant) -> LinearSource:
        """This, with the bias of an Add behind it: one element, or (N,) with any leading axes of size 1."""
        values = bias.values if isinstance(bias, Constant) else bias.codes
        if values.size != 1 and values.shape[-1:] != (self.weights.channels,):
            raise ValueError(f"a bias must have the shape ({self.weights.channels},), not {values.shape}")
        return replace(self, bias=bias)

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Linear`; behind the flattening of a feature map its rows follow the map's stored order (NHWC).

        (batch, T, K) is stored (K, T): a 1×1 convolution over K channels, called NAME/codes, between two `Transpose`s.
        """
        weight, channels = self.weights.codes, self.weights.channels
        if self.x.name in builder.orders:
            shape = logical_shape(builder.orders[self.x.name])
            weight = np.moveaxis(weight.reshape(*shape, channels), 0, -2).reshape(-1, channels)
        bias = read_bias(self.bias, self.x, self.weights, builder.arithmetic)
        builder.bias_errors[name] = bias_error(self.bias, bias, self.x, self.weights, target)
        multiplier, shift = layer_multiplier(self.x, self.weights, target, builder.arithmetic)
        requantization = {**vars(target), "bias": bias, "multiplier": multiplier, "shift": shift}
        if len(self.x.shape) == 1:
            weight = np.ascontiguousarray(weight)
            return builder.add(
                Linear(name=name, shape=(channels,), inputs=(self.x.name,), weight=weight, **requantization)
            )
        x = turned(builder, self.x, builder.unique(f"{name}/turned"))
        length = x.shape[0]
        made = builder.add(
            Convolution(
                name=name if length == channels == 1 else builder.unique(f"{name}/codes"),
                shape=(length, channels),
                inputs=(x.name,),
                weight=np.ascontiguousarray(weight.T)[:, None, None, :],
                **requantization,
            )
        )
        return turned(builder, made, name)


def lower_gemm(env: Environment, op: Operator) -> Value:
    """Gemm with alpha = beta = 1 of an activation (batch, K) with constant weights, stored either way round."""
    op.only("alpha", 1.0, "fold it into the weights' scale")
    op.only("transA", 0, "the batch must be the first axis")
    if op.input(2):
        op.only("beta", 1.0, "fold it into the bias")
    transposed = op.integer("transB", 0)
    weights = read_weights(env, op, 1, axis=0 if transposed else 1, rank=2)
    if transposed:
        weights = replace(weights, codes=weights.codes.T)
    bias = env.bias(op, 2)
    source = LinearSource(op, _rows(env, op, weights), weights, None)
    return Real(source if bias is None else source.with_bias(bias))


def lower_matmul(env: Environment, op: Operator) -> Value:
    """MatMul of an activation (batch, K) or (batch, T, K) with constant weights (K, N)."""
    weights = read_weights(env, op, 1, axis=1, rank=2)
    return Real(LinearSource(op, _rows(env, op, weights, 2), weights, None))


def _rows(env: Environment, op: Operator, weights: Weights, most: int = 1) -> Tensor:
    """The left operand, with at most `most` axes behind the batch."""
    x, depth = env.operand(op, 0), weights.codes.shape[0]
    if len(x.shape) > most or logical_shape(x.shape)[-1] != depth:
        raise ValueError(
            f"the input must have the shape (batch, {depth}){f' or (batch, length, {depth})' if most > 1 else ''} "
            f"to match the weight, not (batch, {', '.join(map(str, logical_shape(x.shape)))})"
        )
    return x
