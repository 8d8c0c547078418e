"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from emulator.graph import AveragePool, MaxPool, Tensor
from emulator.raw_average_pool import raw_average_multipliers

from ...reading.pool import AveragePoolSource, average_pool, pooled_shape
from ...reading.windows import WindowGeometry
from ..environment import Environment
from ..moves import clamped, labelled
from ..operator import Operator
from .windows import geometry, pair

OPTIONS = "Pool2DOptions"


def lower_average_pool(env: Environment, op: Operator) -> None:
    """The mean of the raw codes, where a multiplier of the arithmetic divides exactly; otherwise the contract's."""
    x, window = _window(env, op)
    target = env.target(op, op.activation(OPTIONS))
    if (target.scale, target.zero_point) != (x.scale, x.zero_point):
        raise ValueError(
            f"the result must have the input's scale {x.scale} and zero point {x.zero_point}, "
            f"not {target.scale} and {target.zero_point}; put a QUANTIZE behind it"
        )
    arithmetic, pool = env.builder.arithmetic, average_pool(env.builder, op, x, window)
    try:
        multiplier, shift = raw_average_multipliers(
            window.size, window.kernel, window.strides, window.padding, window.dilations, arithmetic=arithmetic
        )
    except ValueError:
        assert isinstance(pool.source, AveragePoolSource)
        env.put(op, pool.source.emit(env.builder, env.label(op), target))
        return
    env.add(
        op,
        AveragePool(
            name=env.label(op),
            shape=pooled_shape(x, window),
            **vars(target),
            inputs=(x.name,),
            kernel=window.kernel,
            strides=window.strides,
            padding=window.padding,
            multiplier=multiplier,
            shift=shift,
            raw=True,
        ),
    )


def lower_max_pool(env: Environment, op: Operator) -> None:
    """The largest code, also where the result's scale is another one."""
    x, window = _window(env, op)
    target = env.target(op, op.activation(OPTIONS))
    bare = target.y_min <= x.y_min and x.y_max <= target.y_max
    made: Tensor = env.builder.add(
        MaxPool(
            name=env.label(op, "" if bare else "codes"),
            shape=pooled_shape(x, window),
            **labelled(x, target),
            kernel=window.kernel,
            strides=window.strides,
            padding=window.padding,
        )
    )
    env.put(op, made if bare else clamped(env.builder, made, target.y_min, target.y_max, env.label(op)))


def _window(env: Environment, op: Operator) -> tuple[Tensor, WindowGeometry]:
    x = env.map_operand(op, 0)
    window = geometry(op, OPTIONS, x, pair(op, OPTIONS, "FilterHeight", "FilterWidth"))
    window.check_covered()
    return x, window
