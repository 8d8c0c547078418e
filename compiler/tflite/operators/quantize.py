"""QUANTIZE and DEQUANTIZE: another scale inside the network, floats at its ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Rescale, Tensor
from emulator.multiplier import quantize_multiplier

from ..environment import CODE_TYPES, Environment
from ..operator import Operator
from ..tail import Step


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


def lower_dequantize(env: Environment, op: Operator) -> None:
    """float32(code − zero point) · scale, behind the graph."""
    x: Tensor = env.operand(op, 0)
    found = env.output(op)
    if found.type != "float32" or env.file_tensor(op, 0).type not in CODE_TYPES:
        raise ValueError(f"must make float32 of int8 or uint8, not {found.type} of {env.file_tensor(op, 0).type}")
    scale, zero_point = np.float32(x.scale), x.zero_point

    def compute(codes: NDArray[np.int8]) -> NDArray[np.float32]:
        return (codes.astype(np.int32) - zero_point).astype(np.float32) * scale

    env.tail.add(Step(str(op), (op.inputs[0],), found.index, compute))
