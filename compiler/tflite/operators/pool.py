"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emulator.graph import AveragePool, MaxPool, Tensor
from emulator.operators.raw_average_pool import raw_average_multiplier

from ...reading.moves.rearrange import kept
from ...reading.pools.pool import AveragePoolSource, average_pool, pooled_shape
from ...reading.values import Target
from ...reading.windows import WindowGeometry
from ..environment import Environment
from ..moves import clamped, relabelled
from ..operator import Operator
from .windows import geometry, pair

OPTIONS = "Pool2DOptions"
# TFLite lets the scale of the result differ from the input's by so much, and copies codes all the same.
MAX_SCALE_DIFFERENCE = 1e-6


# A large window at a map's border has thousands of numbers of positions, and pools have them in common.
average_multiplier = lru_cache(maxsize=1 << 16)(raw_average_multiplier)


def lower_average_pool(env: Environment, op: Operator) -> None:
    """The mean of the file's own codes, half away from zero, where a multiplier of the arithmetic divides exactly.

    Otherwise it is the contract's (section 4), but not in `Arithmetic.tflm`, whose bits are TFLM's or none: there it is
    a ``ValueError``. Codes of uint8 are no less than 0, so their ties go up.
    """
    x, window, target = _window(env, op)
    unsigned = env.file_tensor(op, 0).type == "uint8"
    own = Target(x.scale, x.zero_point, target.y_min, target.y_max)
    arithmetic, pool = env.builder.arithmetic, average_pool(env.builder, op, x, window)
    env.take("positions of average pools", window.output[0] * window.output[1])
    divisors, position = np.unique(window.counts(False), return_inverse=True)
    try:
        pairs = [average_multiplier(int(n), arithmetic, arithmetic.activation_bits + unsigned) for n in divisors]
    except ValueError:
        if arithmetic.is_tflm:
            raise
        assert isinstance(pool.source, AveragePoolSource)
        name = env.label(op, "" if own == target else "codes")
        _put(env, op, pool.source.emit(env.builder, name, own), target)
        return
    if unsigned:
        low = arithmetic.activation_range[0]
        x = relabelled(env.builder, x, env.label(op, "unsigned"), x.shape, x.scale, low)
        own = Target(x.scale, low, target.y_min, target.y_max)
    multiplier, shift = (np.array(part, np.int64)[position] for part in zip(*pairs, strict=True))
    made = env.builder.add(
        AveragePool(
            name=env.label(op, "" if own == target else "codes"),
            shape=pooled_shape(x, window),
            **vars(own),
            inputs=(x.name,),
            kernel=window.kernel,
            strides=window.strides,
            padding=window.padding,
            multiplier=multiplier,
            shift=shift,
            raw=not unsigned,
        )
    )
    _put(env, op, made, target)


def lower_max_pool(env: Environment, op: Operator) -> None:
    """The largest code."""
    x, window, target = _window(env, op)
    bare = target.y_min <= x.y_min and x.y_max <= target.y_max
    own = (x.scale, x.zero_point) == (target.scale, target.zero_point)
    made: Tensor = env.builder.add(
        MaxPool(
            name=env.label(op, "" if bare and own else "codes"),
            shape=pooled_shape(x, window),
            **kept(x),
            kernel=window.kernel,
            strides=window.strides,
            padding=window.padding,
        )
    )
    made = clamped(env.builder, made, target.y_min, target.y_max, env.label(op, "" if own else "clamped"))
    _put(env, op, made, target)


def _put(env: Environment, op: Operator, made: Tensor, target: Target) -> None:
    """The codes stay as they are where the file gives the result a slightly different scale."""
    if (made.scale, made.zero_point) != (target.scale, target.zero_point):
        made = relabelled(env.builder, made, env.label(op), made.shape, target.scale, target.zero_point)
    env.put(op, made)


def _window(env: Environment, op: Operator) -> tuple[Tensor, WindowGeometry, Target]:
    x = env.map_operand(op, 0)
    target = env.target(op, op.activation(OPTIONS))
    if abs(target.scale - x.scale) > MAX_SCALE_DIFFERENCE or target.zero_point != x.zero_point:
        raise ValueError(
            f"the result must have the input's scale {x.scale} and zero point {x.zero_point}, "
            f"not {target.scale} and {target.zero_point}; put a QUANTIZE behind it"
        )
    window = geometry(op, OPTIONS, x, pair(op, OPTIONS, "FilterHeight", "FilterWidth"))
    window.check_covered()
    return x, window, target
