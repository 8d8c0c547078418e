"""CONV_2D and DEPTHWISE_CONV_2D."""

from __future__ import annotations

import numpy as np

from emulator.graph import Convolution

from ..environment import Environment
from ..operator import Operator
from ..weights import read_bias, read_weights, requantization
from .windows import geometry, pair


def lower_conv(env: Environment, op: Operator) -> None:
    """Weights (outputs, height, width, inputs / groups)."""
    x = env.map_operand(op, 0)
    weights = read_weights(env, op, 1, axis=0, rank=4)
    outputs, *kernel, depth = weights.codes.shape
    groups = x.shape[-1] // depth
    if groups < 1 or groups * depth != x.shape[-1] or outputs % groups:
        raise ValueError(f"weights of shape {weights.codes.shape} do not match an input of {x.shape[-1]} channels")
    options = "Conv2DOptions"
    window = geometry(op, options, x, (kernel[0], kernel[1]), pair(op, options, "DilationHFactor", "DilationWFactor"))
    target = env.target(op, op.activation(options))
    env.add(
        op,
        Convolution(
            name=env.label(op),
            shape=(*window.output, outputs),
            **requantization(env, x, weights, read_bias(env, op, 2, outputs), target),
            weight=weights.codes,
            strides=window.strides,
            padding=window.padding,
            dilations=window.dilations,
            groups=groups,
        ),
    )


def lower_depthwise(env: Environment, op: Operator) -> None:
    """Weights (1, height, width, outputs); output c · multiplier + m sums input channel c."""
    x = env.map_operand(op, 0)
    weights = read_weights(env, op, 1, axis=3, rank=4)
    one, *kernel, outputs = weights.codes.shape
    if one != 1 or outputs % x.shape[-1]:
        raise ValueError(f"weights of shape {weights.codes.shape} do not match an input of {x.shape[-1]} channels")
    options = "DepthwiseConv2DOptions"
    # Newer TFLite takes the multiplier from the shapes, TFLM from here.
    multiplier = op.integer(options, "DepthMultiplier")
    if env.tflm and multiplier * x.shape[-1] != outputs:
        raise ValueError(f"option DepthMultiplier must be {outputs // x.shape[-1]}, not {multiplier}")
    window = geometry(op, options, x, (kernel[0], kernel[1]), pair(op, options, "DilationHFactor", "DilationWFactor"))
    target = env.target(op, op.activation(options))
    env.add(
        op,
        Convolution(
            name=env.label(op),
            shape=(*window.output, outputs),
            **requantization(env, x, weights, read_bias(env, op, 2, outputs), target),
            weight=env.arranged(
                op.inputs[1], "depthwise", lambda: np.ascontiguousarray(weights.codes.transpose(3, 1, 2, 0))
            ),
            strides=window.strides,
            padding=window.padding,
            dilations=window.dilations,
            groups=x.shape[-1],
        ),
    )
