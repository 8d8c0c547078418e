"""Gemm and MatMul: linear layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.graph import Linear, Tensor

from .graph_builder import GraphBuilder
from .onnx_tensor import Constant
from .operator_node import Operator
from .values import Environment, QuantizedConstant, Real, Source, Target, Value
from .weights import Weights, bias_error, layer_multiplier, read_bias, read_weights


@dataclass(frozen=True, eq=False)
class LinearSource(Source):
    """A matrix product of codes; weights' codes are (K, N), rows in the file's order."""

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
        """Add the `Linear`; behind the flattening of a feature map its rows follow the map's stored order (NHWC)."""
        weight, channels = self.weights.codes, self.weights.channels
        if self.x.name in builder.orders:
            height, width, depth = builder.orders[self.x.name]
            weight = weight.reshape(depth, height, width, channels).transpose(1, 2, 0, 3).reshape(-1, channels)
        bias = read_bias(self.bias, self.x, self.weights, builder.arithmetic)
        builder.bias_errors[name] = bias_error(self.bias, bias, self.x, self.weights, target)
        multiplier, shift = layer_multiplier(self.x, self.weights, target, builder.arithmetic)
        return builder.add(
            Linear(
                name=name,
                shape=(channels,),
                **vars(target),
                inputs=(self.x.name,),
                weight=np.ascontiguousarray(weight),
                bias=bias,
                multiplier=multiplier,
                shift=shift,
            )
        )


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
    source = LinearSource(op, _vector(env, op, weights), weights, None)
    return Real(source if bias is None else source.with_bias(bias))


def lower_matmul(env: Environment, op: Operator) -> Value:
    """MatMul of an activation (batch, K) with constant weights (K, N)."""
    weights = read_weights(env, op, 1, axis=1, rank=2)
    return Real(LinearSource(op, _vector(env, op, weights), weights, None))


def _vector(env: Environment, op: Operator, weights: Weights) -> Tensor:
    x = env.operand(op, 0)
    if x.shape != (weights.codes.shape[0],):
        raise ValueError(
            f"the input must have the shape (batch, {weights.codes.shape[0]}) to match the weight, "
            f"not (batch, {', '.join(str(size) for size in x.shape)}) (channels last)"
        )
    return x
