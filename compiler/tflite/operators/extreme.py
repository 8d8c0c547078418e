"""MAXIMUM and MINIMUM: the larger or smaller of two codes; with one constant code, a clamp."""

from __future__ import annotations

from emulator.graph import Tensor

from ...reading.pointwise.extremes import ExtremeSource
from ...reading.values import Dequantized, Real
from ..environment import Environment
from ..moves import clamped
from ..operator import Operator
from .move import check_same_scale


def lower_extreme(env: Environment, op: Operator) -> None:
    """Codes of one scale and zero point, which TFLite's kernels compare as they are."""
    largest = op.type == "MAXIMUM"
    for index in range(2):
        limit = _constant_code(env, op, index)
        if limit is not None:
            x = _operand(env, op, 1 - index)
            low, high = (limit, 127) if largest else (-128, limit)
            env.put(op, clamped(env.builder, x, low, high, env.label(op)))
            return
    a, b = (_operand(env, op, index) for index in range(2))
    if a.shape != b.shape:
        raise ValueError(f"the inputs must have one shape, or one must be a constant code, not {a.shape} and {b.shape}")
    source = ExtremeSource(op, Real(Dequantized(a)), Real(Dequantized(b)), smallest=not largest)
    env.put(op, source.emit(env.builder, env.label(op), env.target(op)))


def _operand(env: Environment, op: Operator, index: int) -> Tensor:
    x = env.operand(op, index)
    check_same_scale(env, op, x)
    return x


def _constant_code(env: Environment, op: Operator, index: int) -> int | None:
    """The only code of a constant input; None for any other input."""
    found, target = env.file_tensor(op, index), env.target(op)
    if found.index in env.made or found.data is None or found.values.size != 1:
        return None
    if env.quantization(found) != (target.scale, target.zero_point):
        raise ValueError(f"{found} must have the result's scale and zero point; put a QUANTIZE between")
    return int(env.codes(found).reshape(-1)[0])
