"""FULLY_CONNECTED: of vectors, and of every position of a sequence or a map."""

from __future__ import annotations

import math

import numpy as np

from emulator.graph import Convolution, Linear

from ..environment import Environment
from ..moves import reshaped
from ..operator import Operator
from ..weights import read_bias, read_weights, requantization

OPTIONS = "FullyConnectedOptions"
# TFLite refuses a bias whose scale is further off, in codes of the output per step.
MAX_BIAS_DIFFERENCE = 0.02


def lower_fully_connected(env: Environment, op: Operator) -> None:
    """Weights (outputs, inputs); the last axis of the input, or all of them together, are the inputs."""
    if op.integer(OPTIONS, "WeightsFormat"):
        raise ValueError("weights must have the format DEFAULT, not a shuffled one")
    x = env.operand(op, 0)
    weights = read_weights(env, op, 1, axis=0, rank=2)
    outputs, depth = weights.codes.shape
    target = env.target(op, op.activation(OPTIONS))
    bias = read_bias(env, op, 2, outputs)
    _check_bias_scale(env, op, x.scale, float(weights.scale[0]), target.scale)
    shape = env.sample_shape(env.output(op))
    rows = math.prod(x.shape) // depth
    if rows * depth != math.prod(x.shape) or rows * outputs != math.prod(shape):
        raise ValueError(f"weights of shape {weights.codes.shape} do not match an input of {x.shape} in each sample")
    fields = requantization(env, x, weights, bias, target)
    direct = shape == ((outputs,) if rows == 1 else (rows, outputs))
    name = env.label(op, "" if direct else "rows")
    if rows == 1:
        x = reshaped(env.builder, x, (depth,), env.label(op, "vector"))
        weight = env.arranged(op.inputs[1], "rows", lambda: np.ascontiguousarray(weights.codes.T))
        made: Linear | Convolution = Linear(
            name=name, shape=(outputs,), **(fields | {"inputs": (x.name,)}), weight=weight
        )
    else:
        x = reshaped(env.builder, x, (rows, depth), env.label(op, "vectors"))
        weight = weights.codes[:, None, None, :]
        made = Convolution(name=name, shape=(rows, outputs), **(fields | {"inputs": (x.name,)}), weight=weight)
    made = env.builder.add(made)
    env.put(op, made if direct else reshaped(env.builder, made, shape, env.label(op)))


def _check_bias_scale(env: Environment, op: Operator, x_scale: float, w_scale: float, y_scale: float) -> None:
    if not env.has(op, 2):
        return
    found = env.file_tensor(op, 2)
    if found.scale.size and abs(x_scale * w_scale - float(found.scale[0])) / y_scale > MAX_BIAS_DIFFERENCE:
        raise ValueError(
            f"{found}, its bias, must have the scale {x_scale * w_scale} of input times weight, not {found.scale[0]}"
        )
