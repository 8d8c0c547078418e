"""ADD, SUB and MUL of two tensors, or of a tensor and a constant; axes of size 1 broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from emulator.graph import Add, Node, Product, RescaledAdd, Tensor
from emulator.operators.requantization.multiplier import quantize_adder, quantize_multiplier, quantize_rescaled_adder

from ...reading.values import Target
from ..environment import Environment
from ..moves import reshaped
from ..operator import Operator

OPTIONS = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}


def lower_elementwise(env: Environment, op: Operator) -> None:
    """The codes of both, aligned at their last axes."""
    a, b = _aligned(env, op)
    target = env.target(op, op.activation(OPTIONS[op.type]))
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(f"the inputs must have shapes that broadcast, not {a.shape} and {b.shape}") from None
    env.add(op, _product(env, op, a, b, shape, target) if op.type == "MUL" else _sum(env, op, a, b, shape, target))


def _aligned(env: Environment, op: Operator) -> tuple[Tensor, Tensor]:
    operands = {index: env.operand(op, index) for index in range(2)}
    rank = max(len(x.shape) for x in operands.values())
    a, b = (
        reshaped(env.builder, x, (1,) * (rank - len(x.shape)) + x.shape, env.label(op, f"operand{index}"))
        for index, x in operands.items()
    )
    return a, b


def _product(env: Environment, op: Operator, a: Tensor, b: Tensor, shape: tuple[int, ...], target: Target) -> Node:
    multiplier, shift = quantize_multiplier(a.scale * b.scale / target.scale, env.builder.arithmetic)
    return Product(
        name=env.label(op),
        shape=shape,
        **vars(target),
        inputs=(a.name, b.name),
        multiplier=multiplier,
        shift=shift,
    )


def _sum(env: Environment, op: Operator, a: Tensor, b: Tensor, shape: tuple[int, ...], target: Target) -> Node:
    arithmetic = env.builder.arithmetic
    fields: dict[str, Any] = {
        "name": env.label(op),
        "shape": shape,
        **vars(target),
        "inputs": (a.name, b.name),
        "subtract": op.type == "SUB",
    }
    if arithmetic.adder == "rescaled":
        found = quantize_rescaled_adder(a.scale, b.scale, target.scale, arithmetic)
        names = ("a_multiplier", "a_shift", "b_multiplier", "b_shift", "multiplier", "shift")
        return RescaledAdd(**fields | dict(zip(names, found, strict=True)))
    a_multiplier, b_multiplier, shift = quantize_adder(a.scale, b.scale, target.scale, arithmetic)
    return Add(**fields, a_multiplier=a_multiplier, b_multiplier=b_multiplier, shift=shift)
