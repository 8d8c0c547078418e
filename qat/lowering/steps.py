"""`Steps`: a tensor of sequences as recurrent networks read and make it, a layer for each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import fx

from ..layers.concat import Concat
from ..layers.moves import Reshape, Slice, Transpose
from .arguments import Arguments
from .context import Lowering
from .made import Steps


def taken_apart(lowering: Lowering, node: fx.Node, source: str, shape: tuple[int, ...], part: str = "") -> Steps:
    """The steps of a layer (batch, steps, length); shape : (steps, length)."""
    parts = []
    for index in range(shape[0]):
        cut = source
        if shape[0] > 1:
            cut = lowering.add(node, Slice(lowering.unique(node, part), source, 1, range(index, index + 1)))
        parts.append(lowering.add(node, Reshape(lowering.unique(node, part), cut, shape[1:])))
    return Steps(tuple(parts), source)


def joined(lowering: Lowering, node: fx.Node, parts: Sequence[str], length: int, part: str = "") -> Steps:
    """Layers (batch, length), and one of them all."""
    name = lowering.unique(node, part)
    rows = [lowering.add(node, Reshape(lowering.unique(node, "row"), step, (1, length))) for step in parts]
    if len(rows) > 1:
        arithmetic, settings = lowering.arithmetic, lowering.settings
        lowering.add(node, Concat(name, *rows, arithmetic=arithmetic, settings=settings, axis=1))
    return Steps(tuple(parts), name if len(rows) > 1 else rows[0])


def handled(lowering: Lowering, node: fx.Node, kind: str, steps: Steps, a: Arguments) -> bool:
    """Lower an operator of that kind that picks some of the steps that it reads first; whether it is one."""
    return kind in HANDLERS and HANDLERS[kind](lowering, node, steps, a)


def select(lowering: Lowering, node: fx.Node, steps: Steps, a: Arguments) -> bool:
    if a.dim % 3 != steps.axis:
        return False
    lowering.alias(node, steps.parts[a.index])
    return True


def slice_(lowering: Lowering, node: fx.Node, steps: Steps, a: Arguments) -> bool:
    """Some steps, or the whole batch."""
    everything = range(len(steps.parts))
    places = everything[slice(a.start, a.end, a.step)] if a.dim % 3 == steps.axis else everything
    whole_batch = a.dim % 3 == 1 - steps.axis and not a.start and a.step == 1 and whole(a.end)
    if not places or not (whole_batch or a.dim % 3 == steps.axis):
        return False
    if places != everything:
        cut = lowering.add(node, Slice(lowering.unique(node), steps.whole, 1, places))
        steps = replace(steps, parts=tuple(steps.parts[place] for place in places), whole=cut)
    lowering.alias(node, steps)
    return True


def whole(end: Any) -> bool:
    """Whether a slice up to `end` reaches the end of the batch."""
    return end is None or not isinstance(end, int) or end >= 1 << 62


def unbind(lowering: Lowering, node: fx.Node, steps: Steps, a: Arguments) -> bool:
    if a.dim % 3 != steps.axis:
        return False
    lowering.alias(node, *steps.parts)
    return True


def squeeze(lowering: Lowering, node: fx.Node, steps: Steps, a: Arguments) -> bool:
    if a.dim % 3 != steps.axis or len(steps.parts) > 1:
        return False
    lowering.alias(node, steps.parts[0])
    return True


def transpose(lowering: Lowering, node: fx.Node, steps: Steps, a: Arguments) -> bool:
    axes = [0, 1, 2]
    first, second = (a.dim0, a.dim1) if hasattr(a, "dim0") else (a.axis0, a.axis1)
    axes[first], axes[second] = axes[second], axes[first]
    return permuted(lowering, node, steps, axes)


def permute(lowering: Lowering, node: fx.Node, steps: Steps, a: Arguments) -> bool:
    return permuted(lowering, node, steps, [axis % 3 for axis in a.dims])


def permuted(lowering: Lowering, node: fx.Node, steps: Steps, axes: Sequence[int]) -> bool:
    """Steps and batch exchanged, or the batch first and the steps last."""
    if axes == [1, 0, 2]:
        lowering.alias(node, steps.turned())
        return True
    if steps.batch_second and axes == [1, 2, 0]:
        lowering.add(node, Transpose(lowering.unique(node), steps.whole, (0, 2, 1)))
        return True
    return False


def identity(lowering: Lowering, node: fx.Node, steps: Steps, a: Arguments) -> bool:
    lowering.alias(node, steps)
    return True


HANDLERS: dict[str, Callable[[Lowering, fx.Node, Steps, Arguments], bool]] = {
    "aten.select.int": select,
    "aten.slice.Tensor": slice_,
    "aten.unbind.int": unbind,
    "aten.squeeze.dim": squeeze,
    "aten.transpose.int": transpose,
    "aten.swapaxes.default": transpose,
    "aten.permute.default": permute,
    "aten.clone.default": identity,
    "aten.contiguous.default": identity,
    "aten.alias.default": identity,
    "aten.detach.default": identity,
}
