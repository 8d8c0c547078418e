"""QUANTIZE: another scale, uint8 and int8, or a float input that the host has quantized."""

from __future__ import annotations

from emulator.graph import Rescale
from emulator.operators.requantization.multiplier import quantize_multiplier

from ..environment import Environment
from ..operator import Operator


def lower_quantize(env: Environment, op: Operator) -> None:
    """Codes under another scale; codes of the same real numbers, of int8 and of uint8, are one tensor here."""
    x, target = env.operand(op, 0), env.target(op)
    if env.file_tensor(op, 0).type == "float32":  # the host has quantized this input
        env.put(op, x)
        return
    same = (x.scale, x.zero_point) == (target.scale, target.zero_point)
    if same and target.y_min <= x.y_min and x.y_max <= target.y_max:
        env.put(op, x)
        return
    multiplier, shift = quantize_multiplier(x.scale / target.scale, env.builder.arithmetic)
    env.add(
        op,
        Rescale(
            name=env.label(op),
            shape=x.shape,
            **vars(target),
            inputs=(x.name,),
            multiplier=multiplier,
            shift=shift,
        ),
    )
