"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from emulator.graph import AveragePool, MaxPool, Tensor
from emulator.raw_average_pool import raw_average_multipliers

from ...reading.pool import AveragePoolSource, average_pool, pooled_shape
from ...reading.rearrange import kept
from ...reading.values import Target
from ...reading.windows import WindowGeometry
from ..environment import Environment
from ..moves import clamped, relabelled
from ..operator import Operator
from .windows import geometry, pair

OPTIONS = "Pool2DOptions"
# TFLite lets the scale of the result differ from the input's by so much, and copies codes all the same.
MAX_SCALE_DIFFERENCE = 1e-6


def lower_average_pool(env: Environment, op: Operator) -> None:
    """The mean of the raw codes, where a multiplier of the arithmetic divides exactly; otherwise the contract's."""
    x, window, target = _window(env, op)
    own = Target(x.scale, x.zero_point, target.y_min, target.y_max)
    arithmetic, pool = env.builder.arithmetic, average_pool(env.builder, op, x, window)
    name = env.label(op, "" if own == target else "codes")
    try:
        multiplier, shift = raw_average_multipliers(
            window.size, window.kernel, window.strides, window.padding, window.dilations, arithmetic=arithmetic
        )
    except ValueError:
        assert isinstance(pool.source, AveragePoolSource)
        made = pool.source.emit(env.builder, name, own)
    else:
        made = env.builder.add(
            AveragePool(
                name=name,
                shape=pooled_shape(x, window),
                **vars(own),
                inputs=(x.name,),
                kernel=window.kernel,
                strides=window.strides,
                padding=window.padding,
                multiplier=multiplier,
                shift=shift,
                raw=True,
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
