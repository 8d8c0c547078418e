"""Gemm and MatMul: linear layers of vectors, and of every position of a sequence; products of two activations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from emulator.graph import Tensor, logical_shape

from ....reading.constants import Constant
from ....reading.graph_builder import GraphBuilder
from ....reading.moves.rearrange import reshaped
from ....reading.products.linear import LinearSource
from ....reading.products.matrix_product import MatrixProductSource, check_operands
from ....reading.products.weights import Weights
from ....reading.values import Move, Real, Value
from ...environment import Environment
from ...operator import Operator
from ...weights import read_weights

MOST_AXES = 7
"""Behind the batch, of the left operand of a MatMul."""


def lower_gemm(env: Environment, op: Operator) -> Value:
    """Gemm of an activation (batch, K) with constant weights, stored either way round.

    alpha is a part of the multipliers; a bias of int32 counts in steps of the sums, before alpha and without beta.
    """
    op.only("transA", 0, "the batch must be the first axis")
    transposed = op.integer("transB", 0)
    weights = read_weights(env, op, 1, axis=0 if transposed else 1, rank=2)
    if transposed:
        weights = replace(weights, codes=weights.codes.T)
    bias, alpha, beta = env.bias(op, 2), op.real("alpha", 1.0), op.real("beta", 1.0)
    source = LinearSource(op, _rows(env, op, weights), weights, None)
    if isinstance(bias, Constant) and bias.values.dtype == np.int32:
        source, bias = source.with_bias(bias), None
    if alpha != 1:
        source = source.with_affine(alpha, 0.0)
    if bias is not None and beta != 1:
        real = bias.values if isinstance(bias, Constant) else bias.real
        bias = Constant(real.astype(np.float32) * np.float32(beta))
    return Real(source if bias is None else source.with_bias(bias))


def lower_matmul(env: Environment, op: Operator) -> Value:
    """MatMul of an activation (batch, K), (batch, T, K) or with more axes, with constant weights (K, N); or of two
    activations (batch, …, M, K) and (batch, …, K, N).
    """
    if all(isinstance(env.value(op.input(index)), Real) for index in (0, 1)):
        return _of_two(env, op)
    weights = read_weights(env, op, 1, axis=1, rank=2)
    x = _rows(env, op, weights, MOST_AXES)
    shape = logical_shape(x.shape)
    if len(shape) <= 2:
        return Real(LinearSource(op, x, weights, None))
    rows = reshaped(env.builder, x, (math.prod(shape[:-1]), shape[-1]), env.builder.unique(f"{op.label}/rows"))
    result = (*shape[:-1], weights.channels)

    def back(builder: GraphBuilder, made: Tensor, name: str) -> Tensor:
        return reshaped(builder, made, result, name)

    return Real(LinearSource(op, rows, weights, None)).moved(Move(op, back, rows=True))


def _of_two(env: Environment, op: Operator) -> Value:
    """The product of two activations, for each sample; their leading axes are heads, which broadcast."""
    a, b = env.operand(op, 0), env.operand(op, 1)
    shapes = [logical_shape(x.shape) for x in (a, b)]
    if any(not 2 <= len(shape) <= MOST_AXES for shape in shapes) or len(shapes[0]) != len(shapes[1]):
        raise ValueError(
            f"two activations must have equally many axes, 2 to {MOST_AXES} behind the batch, "
            f"not {shapes[0]} and {shapes[1]} (without the batch)"
        )
    for own, other in zip(shapes[0][:-2], shapes[1][:-2], strict=True):
        if own != other and 1 not in (own, other):
            raise ValueError(
                f"the heads of two activations must be equally many, or one, not {shapes[0][:-2]} and {shapes[1][:-2]}"
            )
    check_operands(shapes[0], b, shapes[1], env.builder.arithmetic)
    return Real(MatrixProductSource(op, a, b))


def _rows(env: Environment, op: Operator, weights: Weights, most: int = 1) -> Tensor:
    """The left operand, with at most `most` axes behind the batch."""
    x, depth = env.operand(op, 0), weights.codes.shape[0]
    if len(x.shape) > most or logical_shape(x.shape)[-1] != depth:
        raise ValueError(
            f"the input must have the shape (batch, {depth}){f' or (batch, length, {depth})' if most > 1 else ''} "
            f"to match the weight, not (batch, {', '.join(map(str, logical_shape(x.shape)))})"
        )
    return x
