"""BatchNormalization outside training: an affine map of each channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....reading.products.affine import affine
from ....reading.products.weighted import WeightedSource
from ....reading.rounding import operand
from ....reading.values import Real, Value
from ...environment import Environment
from ...operator import Operator
from ..distribute import distributed


def lower_batch_normalization(env: Environment, op: Operator) -> Value:
    """Behind a layer's sums a part of its multipliers and bias; of a quantized tensor a layer of its own."""
    op.only("training_mode", 0, "the statistics must be constants")
    if any(op.outputs[1:]):
        raise ValueError(f"the output {next(filter(None, op.outputs[1:]))!r} is for training only")
    factor, offset, mean, variance = (
        env.reals(op, index, what) for index, what in enumerate(("scale", "B", "input_mean", "input_var"), 1)
    )
    epsilon = op.real("epsilon", float(np.float32(1e-5)))
    if len({array.shape for array in (factor, offset, mean, variance)}) > 1 or factor.ndim != 1:
        raise ValueError("scale, B, input_mean and input_var must be vectors of one size")
    if not (variance + epsilon > 0).all():
        raise ValueError(f"input_var plus epsilon must be positive, not {(variance + epsilon).min()}")
    gain = factor / np.sqrt(variance + epsilon)
    offset = offset - mean * gain

    def of(value: Real, part: slice) -> Real:
        source = value.source
        if value.bare and isinstance(source, WeightedSource) and source.channels_first:
            _check(gain[part].size, source.weights.channels)
            return replace(value, source=source.with_affine(gain[part], offset[part]))
        x = operand(env.builder, value)
        _check(gain[part].size, x.shape[-1])
        shape = (-1,) + (1,) * (len(x.shape) - 1)
        return affine(env.builder, op, x, gain[part].reshape(shape), offset[part].reshape(shape))

    return distributed(env, op, 0, of) or of(env.real(op, 0), slice(None))


def _check(size: int, channels: int) -> None:
    if size != channels:
        raise ValueError(f"scale must have {channels} elements, one per channel, not {size}")
