"""What the operators become that only move codes: shapes, orders, parts, joins, frames; and dropout."""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx

from ...layers.activation import Dropout
from ...layers.concat import Concat
from ...layers.moves import Reshape, Slice, Transpose
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..made import Condition, Steps
from ..pseudo import Function
from ..registry import handles, register
from ..regroup import MOST_AXES, regrouped
from ..steps import taken_apart, whole
from ..trace import module_path


def reshape(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Any operator whose result has its input's elements in its input's order."""
    if len(shape_of(node)) > MOST_AXES:
        lowering.alias(node, regrouped(lowering.source(node.args[0]), shape_of(node.args[0]), shape_of(node)))
        return
    add_reshape(lowering, node, lowering.source(node.args[0]), shape_of(node.args[0]), shape_of(node))


def add_reshape(lowering: Lowering, node: fx.Node, source: str, before: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """A `Reshape` unless the shape stays; returns the name of what has it."""
    if not 1 <= len(shape) <= MOST_AXES:
        raise ValueError(
            f"its result must have 1 to {MOST_AXES} axes behind the batch's, not {shape}: flatten some of them together"
        )
    if before == shape:
        lowering.alias(node, source)
        return source
    return lowering.add(node, Reshape(lowering.unique(node), source, shape))


@handles("permute.default")
def permute(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    rank = len(shape_of(a.self)) + 1
    add_transpose(lowering, node, lowering.source(a.self), shape_of(a.self), [axis % rank for axis in a.dims])


@handles("transpose.int", "swapaxes.default")
def transpose(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    axes = list(range(len(shape_of(a.self)) + 1))
    first, second = (a.dim0, a.dim1) if hasattr(a, "dim0") else (a.axis0, a.axis1)
    axes[first], axes[second] = axes[second], axes[first]
    add_transpose(lowering, node, lowering.source(a.self), shape_of(a.self), axes)


@handles("mT.default", "adjoint.default", "mH.default")
def turn_matrices(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """The last two axes exchanged."""
    rank = len(shape_of(a.self)) + 1
    axes = (*range(rank - 2), rank - 1, rank - 2)
    add_transpose(lowering, node, lowering.source(a.self), shape_of(a.self), axes)


def add_transpose(lowering: Lowering, node: fx.Node, source: str, before: tuple[int, ...], axes: Sequence[int]) -> str:
    """A `Transpose` unless nothing moves; returns the name of the result."""
    if len(axes) == 3 and axes[1] == 0:
        swapped = add_transpose(lowering, node, source, before, (0, axes[0], axes[2]))
        lowering.alias(node, taken_apart(lowering, node, swapped, (before[axes[0] - 1], before[axes[2] - 1])).turned())
        return swapped
    if axes[0] != 0:
        raise ValueError("the batch must stay the first axis: use the axes behind it")
    moving = [axis for axis in axes[1:] if before[axis - 1] > 1]
    if moving == sorted(moving):
        return add_reshape(lowering, node, source, before, tuple(before[axis - 1] for axis in axes[1:]))
    return lowering.add(node, Transpose(lowering.unique(node), source, tuple(axes)))


@handles("slice.Tensor")
def slice_(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    rank = len(shape_of(a.self)) + 1
    if a.dim % rank == 0:
        if shape_of(node) != shape_of(a.self) or (a.start or 0) != 0 or a.step != 1 or not whole(a.end):
            raise ValueError("the batch must stay whole: cut the samples before they go into the model")
        lowering.alias(node, lowering.source(a.self))
        return
    axis = a.dim % rank
    places = range(shape_of(a.self)[axis - 1])[slice(a.start, a.end, a.step)]
    add_slice(lowering, node, lowering.source(a.self), shape_of(a.self), axis, places)


@handles("narrow.default")
def narrow(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    axis = batch_free(a.dim, shape_of(a.self))
    places = range(a.start, a.start + a.length)
    add_slice(lowering, node, lowering.source(a.self), shape_of(a.self), axis, places)


@handles("select.int")
def select(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    before = shape_of(a.self)
    axis = batch_free(a.dim, before)
    index = a.index % before[axis - 1]
    made = add_slice(lowering, node, lowering.source(a.self), before, axis, range(index, index + 1))
    add_reshape(lowering, node, made, (*before[: axis - 1], 1, *before[axis:]), shape_of(node))


@handles(
    "chunk.default",
    "split.Tensor",
    "split.sizes",
    "split_with_sizes.default",
    "tensor_split.sections",
    "tensor_split.indices",
    "unbind.int",
)
def split(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Into parts along an axis: chunk, split, tensor_split and unbind."""
    before, name = shape_of(a.self), lowering.source(a.self)
    axis = batch_free(a.dim, before)
    start, parts = 0, []
    for index in range(len(node.meta["val"])):
        shape = shape_of(node, index)
        kept = len(shape) == len(before)
        length = shape[axis - 1] if kept else 1
        part = add_slice(lowering, node, name, before, axis, range(start, start + length))
        parts.append(part if kept else add_reshape(lowering, node, part, (), shape))
        start += length
    lowering.alias(node, *parts)


def add_slice(lowering: Lowering, node: fx.Node, source: str, before: tuple[int, ...], axis: int, places: range) -> str:
    """A `Slice` unless it takes all; returns the name of the result."""
    if not places:
        raise ValueError("a part must have at least one element: leave it out")
    if places == range(before[axis - 1]):
        lowering.alias(node, source)
        return source
    return lowering.add(node, Slice(lowering.unique(node), source, axis, places))


@handles("cat.default", "concat.default")
def concat(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    shapes = [shape_of(tensor) for tensor in a.tensors]
    add_concat(lowering, node, [lowering.source(t) for t in a.tensors], batch_free(a.dim, shapes[0]))


@handles("stack.default")
def stack(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    after = shape_of(node)
    axis = batch_free(a.dim, after)
    single = (*after[: axis - 1], 1, *after[axis:])
    parts = [add_reshape(lowering, node, lowering.source(t), shape_of(t), single) for t in a.tensors]
    add_concat(lowering, node, parts, axis)


def add_concat(lowering: Lowering, node: fx.Node, sources: Sequence[str], axis: int) -> None:
    if len(sources) == 1:
        lowering.alias(node, sources[0])
        return
    layer = Concat(
        lowering.unique(node), *sources, arithmetic=lowering.arithmetic, settings=lowering.settings, axis=axis
    )
    lowering.add(node, layer)


def batch_free(axis: int, shape: tuple[int, ...]) -> int:
    """`axis` counted from the front, the batch being 0, which is an error."""
    place: int = axis % (len(shape) + 1)
    if place == 0:
        raise ValueError("the batch must stay the first axis: use the axes behind it")
    return place


@handles("dropout.default", "feature_dropout.default")
def dropout(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if a.train:
        raise ValueError("a dropout must be off in eval mode: give it training=self.training")
    if not 0 <= a.p < 1:
        raise ValueError(f"p must be at least 0 and below 1, not {a.p!r}: choose one there")
    whole_channels = "feature" in str(node.target)
    layer = Dropout(
        lowering.unique(node), lowering.source(a.input), p=a.p, whole_channels=whole_channels, module=module_path(node)
    )
    lowering.add(node, layer)


@handles("clone.default", "contiguous.default", "alias.default", "detach.default")
def identity(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    lowering.alias(node, lowering.source(node.args[0]))


@handles("to.dtype", "_to_copy.default")
def cast(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    made = lowering.made(a.self)
    if isinstance(made, Condition) and node.meta["val"].is_floating_point():
        lowering.add(node, Function(lowering.unique(node), made.source, made.yes, gates=True))
        return
    if node.meta["val"].dtype != a.self.meta["val"].dtype:
        raise ValueError("the type of its tensor must stay the same: leave the conversion out, codes have their own")
    lowering.alias(node, lowering.source(a.self))


RESHAPES = (
    "flatten.using_ints", "view.default", "reshape.default", "_unsafe_view.default", "squeeze.default", "squeeze.dim",
    "squeeze.dims", "unflatten.int", "view_as.default", "reshape_as.default",
)  # fmt: skip


@handles("unsqueeze.default")
def unsqueeze(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """In front of the batch too: a tensor (batch, length) as one step."""
    shape = shape_of(a.self)
    if len(shape) == 1 and a.dim % 3 == 0:
        source = lowering.source(a.self)
        whole = lowering.add(node, Reshape(lowering.unique(node), source, (1, *shape)))
        lowering.alias(node, Steps((source,), whole, batch_second=True))
        return
    reshape(lowering, node, a)


register(*RESHAPES, handler=reshape)
