"""`MatrixProductSource`: the product of two activations, head by head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from emulator.arithmetic import Arithmetic
from emulator.graph import MatrixProduct, Tensor, logical_shape, stored_shape
from emulator.operators.matrix_product import product_shape
from emulator.operators.requantization.multiplier import quantize_multiplier

from ..graph_builder import GraphBuilder
from ..moves.composed import Axis, arranged, origin
from ..moves.rearrange import in_steps
from ..origin import Origin
from ..values import Source, Target

AnyAxis = TypeVar("AnyAxis")


@dataclass(frozen=True, eq=False)
class MatrixProductSource(Source):
    """Of the codes (…, M, K) and (…, K, N), both in the file's (logical) order, times a positive `factor`."""

    operator: Origin
    a: Tensor
    b: Tensor
    factor: float = 1.0

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the product, called NAME/codes, whose stored order is the logical one, and a `Transpose` behind it."""
        shape = product_shape(logical_shape(self.a.shape), logical_shape(self.b.shape))
        grouped = logical_shape(self.a.shape)[:-2] == shape[:-2]
        a, a_transposed = matrices(builder, self.a, builder.unique(f"{name}/a"), False)
        b, b_transposed = matrices(builder, self.b, builder.unique(f"{name}/b"), grouped)
        moves = stored_shape(shape) != shape or (shape[0] > 1 and any(size > 1 for size in shape[1:]))
        made = matrix_product(
            builder,
            builder.unique(f"{name}/codes") if moves else name,
            (a, a_transposed),
            (b, b_transposed),
            target,
            self.factor,
        )
        return in_steps(builder, made, [("axes", (0, *range(2, len(made.shape) + 1), 1))], name)


def matrix_product(
    builder: GraphBuilder,
    name: str,
    a: tuple[Tensor, bool],
    b: tuple[Tensor, bool],
    target: Target,
    factor: float = 1.0,
) -> Tensor:
    """Add the layer; a, b : stored (…, M, K) and (…, K, N), and whether their last two axes are exchanged."""
    (left, a_transposed), (right, b_transposed) = a, b
    shapes = [_exchanged(each.shape) if turn else each.shape for each, turn in (a, b)]
    scale = left.scale * right.scale / target.scale
    multiplier, shift = quantize_multiplier(scale if factor == 1 else scale * factor, builder.arithmetic)
    fields: dict[str, Any] = {"inputs": (left.name, right.name), "depth": shapes[0][-1]}
    return builder.add(
        MatrixProduct(
            name=name,
            shape=product_shape(*shapes),
            **vars(target),
            **fields,
            multiplier=multiplier,
            shift=shift,
            a_transposed=a_transposed,
            b_transposed=b_transposed,
        )
    )


def check_operands(a: tuple[int, ...], b: Tensor, shape: tuple[int, ...], arithmetic: Arithmetic) -> None:
    """Raise ``ValueError`` unless a (…, M, K) and b, of `shape` (…, K, N), match and the codes of b can be weights."""
    product_shape(a, shape)
    low, high = arithmetic.weight_range
    if b.y_min < low or b.y_max > high or not low <= b.zero_point <= high:
        raise ValueError(
            f"the codes of its second operand are weights, which must be from {low} to {high} (weight_bits = "
            f"{arithmetic.weight_bits}), not from {b.y_min} to {b.y_max} with the zero point {b.zero_point}"
        )


def matrices(builder: GraphBuilder, x: Tensor, name: str, grouped: bool) -> tuple[Tensor, bool]:
    """(`x` stored in its logical order, whether with its last two axes exchanged).

    They are where its codes lie side by side along the last axis but one. With `grouped`, heads that follow themselves
    some times are there once.
    """
    last = len(x.shape) - 1
    logical = (last, *range(last))
    source, shown = origin(builder, x, repeats=grouped)
    axes = [shown[axis] for axis in logical]
    heads = [_without_repeats(axis) for axis in axes[:-2]]
    axes = [*heads, *axes[-2:]]
    if any(step == 0 for axis in axes for _, step in axis):
        source, shown = origin(builder, x)
        axes = [shown[axis] for axis in logical]
    turn = _beside(axes[-2]) and not _beside(axes[-1])
    return arranged(builder, source, _exchanged(axes) if turn else axes, name), turn


def _without_repeats(axis: Axis) -> Axis:
    """Heads, each of them once, that follow themselves some times."""
    return axis[:-1] if axis and axis[-1][1] == 0 else axis


def _beside(axis: Axis) -> bool:
    """Whether codes along it lie side by side."""
    return not axis or (len(axis) == 1 and axis[0][1] == 1)


def _exchanged(axes: Sequence[AnyAxis]) -> tuple[AnyAxis, ...]:
    return (*axes[:-2], axes[-1], axes[-2])
