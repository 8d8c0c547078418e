"""Reading an ONNX graph operator by operator: what each one makes, or why it makes nothing."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import replace

from onnx import GraphProto

from ..reading.constants import Constant, QuantizedConstant
from ..reading.errors import located
from ..reading.values import Codes, Dequantized, Real, Target
from .constants.fold import MOVES, Known, fold
from .environment import Environment
from .formats import FormatError
from .host.submodel import KNOWN_DOMAINS
from .operator import Operator, operator
from .operators.constant import lower_constant
from .operators.quantization.qoperator import LOWERINGS as QOPERATORS
from .operators.quantization.quantize import is_by_channel, quantizer_target
from .operators.rows.mask import is_choice
from .operators.rows.steps import NormSteps
from .operators.table import HOSTED_TOO, LOWERINGS, REASONS
from .order import needed_in_order
from .revisions import check_revision
from .schema import check_schema
from .shapes import fold_shape, shape_of
from .values import AnyValue, BatchConstant, Hosted, Refused

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear", "com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear")

MAX_FOLDED = 1 << 27  # bytes more than those of the constants that they are made of


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
    try:
        if "." not in op.type and not isinstance(op, NormSteps):
            with located(str(op)):
                since = check_schema(op, env.opset)
                if op.type in LOWERINGS:
                    check_revision(op.type, since)
        elif op.type not in LOWERINGS and op.node.domain not in KNOWN_DOMAINS:
            raise ValueError(f"{op} (the operators of {op.node.domain!r} are not known) is not supported")
    except ValueError as error:
        return [Refused(op, str(error), foreign=False, hostable=False)] * len(op.outputs)
    if op.type in QUANTIZERS:
        return _quantizer(env, op)
    condition = env.values.get(op.input(0)) if op.type == "If" else None
    if isinstance(condition, Constant) and condition.values.size == 1:
        return _branch(env, op, op.attributes["then_branch" if condition.scalar else "else_branch"].g)
    if any(isinstance(value, Hosted) for value in read) and not any(_is_layered(env, value) for value in read):
        if op.type not in QOPERATORS:
            return _hosted(env, op, read)
    elif not any(isinstance(value, Codes | Real | Hosted) for value in read):
        return _constant(env, op)
    elif op.type in ("Shape", "Size"):
        return _shape(env, op, read)
    elif op.type not in LOWERINGS or (op.type == "Where" and not is_choice(env, op)):
        reason = f"{op} ({REASONS.get(op.type, 'no such operator in the integer graph')})"
        return _left(env, Refused(op, reason, foreign=True, hostable=True), read)
    return _lowered(env, op, read)


def _branch(env: Environment, op: Operator, graph: GraphProto) -> Sequence[AnyValue]:
    """What an If makes whose condition is constant: what the chosen branch does."""
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    inside = replace(
        env, values=ChainMap({}, env.values), initializers=ChainMap(initializers, dict(env.initializers)), readers={}
    )
    outputs = [value.name for value in graph.output]
    try:
        with located(str(op)):
            if len(outputs) != len(op.outputs):
                raise ValueError(f"its branches must have {len(op.outputs)} outputs, as the node has")
            operators = [operator(node) for node in graph.node]
            read_operators(inside, needed_in_order(operators, [*inside.values, *inside.initializers], outputs))
            return [inside.any_value(name) for name in outputs]
    except FormatError:
        raise
    except ValueError as error:
        return [Refused(op, str(error), foreign=False, hostable=False)] * len(op.outputs)


def _hosted(env: Environment, op: Operator, read: Sequence[AnyValue]) -> Sequence[AnyValue]:
    """Behind what the host makes: a layer where that is rounded, otherwise the host's too."""
    rounded = {name: value for name in op.inputs if isinstance(value := env.values.get(name), Hosted) and value.target}
    first = env.values.get(op.input(0))
    if op.type in MOVES and len(rounded) == 1 and isinstance(first, Hosted):
        return [Hosted(name, target=first.target, selected=first.selected) for name in op.outputs]
    if op.type == "Gather" and isinstance(first, QuantizedConstant) and not first.scale.ndim:
        codes = first.codes.min(initial=0), first.codes.max(initial=0)
        target = Target(float(first.scale), int(first.zero_point), int(codes[0]), int(codes[1]))
        return [Hosted(name, target=target, selected=True) for name in op.outputs]
    hosted = [Hosted(name) for name in op.outputs]
    if op.type not in LOWERINGS or all(value.selected for value in rounded.values()):
        return hosted
    try:
        with env.builder.attempt():
            inputs: dict[str, AnyValue] = {
                name: env.rounded_by_host(name, value.target) for name, value in rounded.items() if value.target
            }
            # The host dequantizes, and the graph's door finds the same codes again.
            made = _layer(replace(env, values=ChainMap(inputs, env.values)), op)
            if isinstance(made, Refused):
                raise ValueError(made.reason)
    except ValueError:
        return hosted
    env.values.update(inputs)
    return made


def _left(env: Environment, refused: Refused, read: Sequence[AnyValue]) -> Sequence[AnyValue]:
    """What is no layer is the host's where no quantizer stands before it, or only such as it can do, too."""
    quantized = any(isinstance(value, Codes) or (isinstance(value, Real) and not _is_float(value)) for value in read)
    wide = env.wide_head and refused.hostable
    if any(_is_layered(env, value) for value in read) or (quantized and not wide):
        return [refused] * len(refused.root.outputs)
    return [Hosted(name, instead=refused) for name in refused.root.outputs]


def _is_float(value: Real) -> bool:
    """Whether a value is an input of the model that nothing has rounded."""
    return not isinstance(value.source, Dequantized) and value.source.is_input


def _is_layered(env: Environment, value: AnyValue) -> bool:
    """Whether a layer made a value, and not the host, quantizers and moves alone."""
    if isinstance(value, Codes):
        return value.tensor.name not in env.builder.inputs
    if not isinstance(value, Real) or _is_float(value):
        return False
    return not isinstance(value.source, Dequantized) or value.source.tensor.name not in env.builder.inputs


def _quantizer(env: Environment, op: Operator) -> Sequence[AnyValue]:
    """QuantizeLinear and DequantizeLinear."""
    first = env.values.get(op.input(0))
    if isinstance(first, Hosted) and first.quantized:
        return [Hosted(name, target=first.target) for name in op.outputs]
    if (isinstance(first, Hosted) or (isinstance(first, Real) and _is_float(first))) and is_by_channel(env, op):
        return [Hosted(name) for name in op.outputs]  # an input of the accelerator has one scale
    made = _layer(env, op)
    if not isinstance(made, Refused):
        return made
    moved = isinstance(first, Hosted) or (isinstance(first, Real) and first.moves and not _is_layered(env, first))
    if env.wide_head and moved:
        # A shape or a move that the accelerator lacks is left to the host, and the quantizer behind it, too.
        return [Hosted(name, quantized=True, target=_target(env, op), instead=made) for name in op.outputs]
    return [made] * len(op.outputs)


def _target(env: Environment, op: Operator) -> Target | None:
    try:
        return quantizer_target(env, op)
    except ValueError:
        return None


def _shape(env: Environment, op: Operator, read: Sequence[AnyValue]) -> Sequence[AnyValue]:
    (value,) = (value for value in read if isinstance(value, Codes | Real))
    try:
        return [fold_shape(op, shape_of(env.builder, value), env.batch, env.opset)]
    except ValueError as error:
        return _left(env, Refused(op, str(error), foreign=False, hostable=True), read)


def _lowered(env: Environment, op: Operator, read: Sequence[AnyValue]) -> Sequence[AnyValue]:
    made = _layer(env, op)
    return _left(env, made, read) if isinstance(made, Refused) else made


def _layer(env: Environment, op: Operator) -> Sequence[AnyValue] | Refused:
    """As a layer, or a part of one."""
    try:
        with located(str(op)), env.builder.attempt():
            made = LOWERINGS[op.type](env, op)
    except FormatError:
        raise
    except ValueError as error:
        if op.type in HOSTED_TOO:
            root = op.last if isinstance(op, NormSteps) else op
            return Refused(root, f"{op} ({str(error).removeprefix(f'{op}: ')})", foreign=True, hostable=True)
        return Refused(op, str(error), foreign=False, hostable=_is_hostable(env, op))
    return made if isinstance(made, tuple) else (made,)


def _is_hostable(env: Environment, op: Operator) -> bool:
    """Whether the host may compute what is no layer: not what works on codes, or has quantized weights."""
    quantized = any(isinstance(env.values.get(name), QuantizedConstant) for name in op.inputs[1:2])
    codes = any(isinstance(env.values.get(name), Codes) for name in op.inputs)
    return not quantized and not codes and op.type not in QUANTIZERS and op.type not in QOPERATORS


def _known(value: AnyValue) -> Known:
    assert isinstance(value, Known)
    return value


def _bytes(values: Sequence[AnyValue | None]) -> int:
    plain = sum(value.values.nbytes for value in values if isinstance(value, Constant))
    return plain + sum(a.nbytes for value in values if isinstance(value, BatchConstant) for a in value.arrays.values())


def _constant(env: Environment, op: Operator) -> Sequence[AnyValue]:
    """What an operator makes of constants; where they depend on the batch, the host may make it for each."""
    read: list[Known | None] = []
    try:
        with located(str(op)):
            if op.type == "Constant":
                return [lower_constant(env, op)]
            read += [_known(env.any_value(name)) if name else None for name in op.inputs]
            made = fold(op, read, env.opset)
            env.folded[0] += max(_bytes(made) - _bytes(read), 0)
            if env.folded[0] > MAX_FOLDED:
                raise ValueError("what operators make of constants must have at most 2^27 bytes; store it in the file")
            return made
    except ValueError as error:
        refused = Refused(op, str(error), foreign=False, hostable=False)
    if any(isinstance(value, BatchConstant) for value in read):
        return [Hosted(name, instead=refused) for name in op.outputs]
    return [refused] * len(op.outputs)
