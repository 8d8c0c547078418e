"""Where real numbers become codes: one rounding at their source, then the moves."""

from __future__ import annotations

from emulator.graph import Rescale, Tensor
from emulator.operators.quantize import quantize
from emulator.operators.requantization.multiplier import quantize_multiplier

from .channel_scaled import WAY_OUT, ChannelScaled
from .errors import located
from .graph_builder import GraphBuilder
from .origin import Origin
from .values import Dequantized, Move, Real, Target


def operand(builder: GraphBuilder, real: Real) -> Tensor:
    """The codes that `real` stands for; ``ValueError`` if nothing rounded it."""
    source, exact = real.source, real.exact()
    if isinstance(source, ChannelScaled):
        raise ValueError(f"reads codes with one scale per channel, as only a depthwise Conv does; {WAY_OUT}")
    if exact is None:
        waiting = real.clamps[-1] if isinstance(source, Dequantized) else source.operator
        raise ValueError(
            f"reads the unrounded result of {waiting}; a QuantizeLinear must stand between, so have the quantizer "
            f"round what {waiting.type} makes"
        )
    key = (id(real), None)
    if key not in builder.rounded:
        if isinstance(source, Dequantized):
            tensor = source.tensor
        else:
            with located(str(source.operator)):
                tensor = source.emit(builder, builder.unique(source.operator.label), exact)
        for move in real.moves:
            tensor = _moved(builder, move, tensor, builder.unique(move.operator.label))
        builder.rounded[key] = real, tensor
    return builder.rounded[key][1]


def quantized(
    builder: GraphBuilder, real: Real, quantizer: Origin, scale: float, zero_point: int, low: int, high: int
) -> Tensor:
    """The tensor that `quantizer` makes of `real`: one rounding at the source, then the moves.

    low, high : the codes of the quantizer's type
    """
    last = real.last
    label = quantizer.label if last is None else last.name or quantizer.output
    return rounded(builder, real, label, quantizer, Target(scale, zero_point, low, high))


def rounded(builder: GraphBuilder, real: Real, name: str, place: Origin, target: Target) -> Tensor:
    """`real` in the codes of `target`, in a layer called `name`; `place` asks for it."""
    limits = target.y_min, target.y_max
    bounds = [int(quantize(bound, target.scale, target.zero_point, *limits)) for bound in (real.low, real.high)]
    target = Target(target.scale, target.zero_point, *bounds)
    key = (id(real), target)
    if key not in builder.rounded:
        builder.rounded[key] = real, _layers(builder, real, name, place, target)
    return builder.rounded[key][1]


def _layers(builder: GraphBuilder, real: Real, name: str, place: Origin, target: Target) -> Tensor:
    source = real.source
    rescales = isinstance(source, Dequantized) and not _keeps(source.tensor, target)
    wanted = [] if isinstance(source, Dequantized) or source.is_input else [source.operator.label]
    wanted += [move.operator.label for move in real.moves] + [name] * rescales
    final = [builder.unique(name)] if wanted else []
    names = iter([builder.unique(f"{label}/codes" if label == name else label) for label in wanted[:-1]] + final)
    if isinstance(source, Dequantized):
        tensor = source.tensor
    else:
        with located(str(source.operator)):
            tensor = source.emit(builder, source.operator.name if source.is_input else next(names), target)
    error = builder.bias_errors.get(tensor.name, 0.0)
    for move in real.moves:
        tensor = _moved(builder, move, tensor, next(names))
    if error:
        builder.bias_errors[tensor.name] = error
    if rescales:
        # Last, because behind a max pool there are fewer codes to rescale.
        with located(str(real.clamps[-1] if real.clamps else place)):
            tensor = _rescaled(builder, tensor, next(names), target)
    return tensor


def _keeps(tensor: Tensor, target: Target) -> bool:
    """Whether every legal code of `tensor` is its own result under `target`."""
    same = tensor.scale == target.scale and tensor.zero_point == target.zero_point
    return same and target.y_min <= tensor.y_min and tensor.y_max <= target.y_max


def _rescaled(builder: GraphBuilder, tensor: Tensor, name: str, target: Target) -> Tensor:
    if (tensor.scale, tensor.zero_point) == (target.scale, target.zero_point):
        # Only a clamp: what it leaves are its operand's codes, so a bound beyond those is none.
        bounds = (min(max(code, target.y_min), target.y_max) for code in (tensor.y_min, tensor.y_max))
        target = Target(target.scale, target.zero_point, *bounds)
    multiplier, shift = quantize_multiplier(tensor.scale / target.scale, builder.arithmetic)
    node = Rescale(
        name=name,
        shape=tensor.shape,
        **vars(target),
        inputs=(tensor.name,),
        multiplier=multiplier,
        shift=shift,
    )
    return builder.ordered_as(builder.add(node), tensor)


def _moved(builder: GraphBuilder, move: Move, tensor: Tensor, name: str) -> Tensor:
    with located(str(move.operator)):
        return move.apply(builder, tensor, name)
