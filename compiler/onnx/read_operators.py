"""Reading an ONNX graph operator by operator: what each one makes, or why it makes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading.constants import QuantizedConstant
from ..reading.errors import located
from ..reading.values import Codes, Dequantized, Real
from .constants.fold import Known, fold
from .environment import Environment
from .formats import FormatError
from .host.submodel import KNOWN_DOMAINS
from .operator import Operator
from .operators.qoperator import LOWERINGS as QOPERATORS
from .operators.table import LOWERINGS, REASONS
from .schema import check_schema
from .shapes import fold_shape, shape_of
from .values import AnyValue, Hosted, Refused

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear", "com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear")


def read_operators(env: Environment, operators: Sequence[Operator]) -> dict[str, str]:
    """Fill `env.values` with what the operators make; {tensor of the graph: the ONNX tensor that holds its codes}.

    What is no layer is `Hosted` or `Refused`. Raises `FormatError` for a file of another format.
    """
    held: dict[str, str] = {}
    for op in operators:
        for name, made in zip(op.outputs, _read(env, op), strict=False):
            env.values[name] = made
            if isinstance(made, Codes):
                held.setdefault(made.tensor.name, name)
            elif isinstance(made, Real) and isinstance(made.source, Dequantized) and op.input(0) in env.builder.inputs:
                held.setdefault(op.input(0), op.input(0))
    return held


def _read(env: Environment, op: Operator) -> Sequence[AnyValue]:
    read = [env.values[name] for name in op.reads if name in env.values]
    for value in read:
        if isinstance(value, Refused):
            return [value] * len(op.outputs)
    live = any(_is_live(value) for value in read)
    hosted = [Hosted(name) for name in op.outputs]
    known = op.type in LOWERINGS
    try:
        if "." not in op.type:
            with located(str(op)):
                check_schema(op, env.opset)
        elif not known and op.node.domain not in KNOWN_DOMAINS:
            raise ValueError(f"{op} (the operators of {op.node.domain!r} are not known) is not supported")
    except ValueError as error:
        return [Refused(op, str(error), foreign=False, hostable=False)] * len(op.outputs)
    if op.type in QUANTIZERS or op.type in QOPERATORS:
        return _lowered(env, op, live=True)
    if any(isinstance(value, Hosted) for value in read) and not live:
        return hosted
    if not any(isinstance(value, Codes | Real | Hosted) for value in read):
        return _constant(env, op)
    if op.type in ("Shape", "Size"):
        value = env.any_value(op.input(0))
        assert isinstance(value, Codes | Real)
        try:
            return [fold_shape(op, shape_of(env.builder, value), env.batch, env.opset)]
        except ValueError:
            return [Refused(op, f"{op}: the shape of {op.input(0)!r} is not known", foreign=True, hostable=True)]
    if not known:
        reason = f"{op} ({REASONS.get(op.type, 'no such operator in the integer graph')})"
        return [Refused(op, reason, foreign=True, hostable=True)] * len(op.outputs) if live else hosted
    return _lowered(env, op, live)


def _is_live(value: AnyValue) -> bool:
    """Whether a value is made of codes, and not of the model's inputs alone."""
    if isinstance(value, Real):
        return isinstance(value.source, Dequantized) or not value.source.is_input
    return isinstance(value, Codes)


def _lowered(env: Environment, op: Operator, live: bool) -> Sequence[AnyValue]:
    """As a layer, or a part of one; what stands in front of any quantizer may be the host's instead."""
    try:
        with located(str(op)), env.builder.attempt():
            made = LOWERINGS[op.type](env, op)
    except FormatError:
        raise
    except ValueError as error:
        if not live:
            return [Hosted(name) for name in op.outputs]
        return [Refused(op, str(error), False, _is_hostable(env, op))] * len(op.outputs)
    return made if isinstance(made, tuple) else (made,)


def _is_hostable(env: Environment, op: Operator) -> bool:
    """Whether the host may compute what is no layer: not what works on codes, or has quantized weights."""
    quantized = any(isinstance(env.values.get(name), QuantizedConstant) for name in op.inputs[1:2])
    codes = any(isinstance(env.values.get(name), Codes) for name in op.inputs)
    return not quantized and not codes and op.type not in QUANTIZERS and op.type not in QOPERATORS


def _known(value: AnyValue) -> Known:
    assert isinstance(value, Known)
    return value


def _constant(env: Environment, op: Operator) -> Sequence[AnyValue]:
    """What an operator makes of constants."""
    try:
        with located(str(op)):
            if op.type == "Constant":
                return _lowered(env, op, live=True)
            return fold(op, [_known(env.any_value(name)) if name else None for name in op.inputs], env.opset)
    except ValueError as error:
        return [Refused(op, str(error), foreign=False, hostable=False)] * len(op.outputs)
