"""Moves behind one another as one: a tensor's axes in another order, by as few layers as can be.

Heads of attention are reshaped out of the channels and transposed, and the way back is another two moves, each of them
between the file's layout and the stored one. All of them together are a regrouping, an order of axes and a regrouping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from emulator.graph import Concat, Reshape, Tensor, Transpose

from ..graph_builder import GraphBuilder
from .rearrange import in_steps

Axis: TypeAlias = tuple[tuple[int, int], ...]
"""Of a tensor that shows another one's codes: (size, distance between codes there), slowest first, none of size 1.

The distance is 0 where codes are repeated.
"""


def origin(builder: GraphBuilder, x: Tensor, repeats: bool = False) -> tuple[Tensor, tuple[Axis, ...]]:
    """The tensor of which `x` shows the codes, behind reshapes and transposes; and the stored axes of `x`.

    repeats : also behind tensors joined with themselves

    Distances are those in the stored order of where the codes come from, in which they lie side by side.
    """
    nodes = {node.name: node for node in builder.nodes}
    chain: list[Tensor] = [x]
    while isinstance(node := nodes.get(chain[-1].name), Reshape | Transpose | Concat):
        if isinstance(node, Concat) and not (repeats and len(set(node.inputs)) == 1):
            break
        chain.append(nodes.get(node.inputs[0]) or builder.inputs[node.inputs[0]])
    while True:
        try:
            return chain[-1], _shown(chain)
        except ValueError:
            chain.pop()


def in_order(builder: GraphBuilder, x: Tensor, order: Sequence[int], name: str) -> Tensor:
    """`x` with stored axis i being its stored axis ``order[i]``, without the batch, out of where its codes come from.

    Itself, or what it comes from, where nothing is left to do.
    """
    source, axes = origin(builder, x)
    return arranged(builder, source, tuple(axes[axis] for axis in order), name)


def arranged(builder: GraphBuilder, source: Tensor, axes: Sequence[Axis], name: str) -> Tensor:
    """The codes of `source`, each of them once, with these axes."""
    if all(len(axis) <= 1 for axis in axes):
        # Axes of size 1 have a place anywhere; the last one stays last, as an order that keeps it there moves no code.
        parts = [axis[0] if axis else (1, math.inf if place < len(axes) - 1 else 0) for place, axis in enumerate(axes)]
    else:
        parts = [part for axis in axes for part in axis]
    places = sorted(range(len(parts)), key=lambda place: -parts[place][1])
    split = tuple(parts[place][0] for place in places)
    shape = tuple(math.prod(size for size, _ in axis) for axis in axes)
    steps = [("shape", split), ("axes", (0, *(places.index(place) + 1 for place in range(len(parts)))))]
    return in_steps(builder, source, [*(steps if parts else []), ("shape", shape)], name)


def turned(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
    """A sequence with length and channels exchanged; a pair of such tensors is made once."""
    if x.name not in builder.turned:
        result = in_order(builder, x, (1, 0), name)
        builder.turned[x.name] = result
        builder.turned.setdefault(result.name, x)
    return builder.turned[x.name]


def _shown(chain: Sequence[Tensor]) -> tuple[Axis, ...]:
    """The axes of the first tensor of `chain`, which comes from the last one; ``ValueError`` if one is uneven."""
    axes = _regrouped((), chain[-1].shape)
    for node in reversed(chain[:-1]):
        if isinstance(node, Transpose):
            axes = tuple(axes[axis - 1] for axis in node.axes[1:])
        elif isinstance(node, Concat):
            place = node.axis % (len(node.shape) + 1) - 1
            axes = (*axes[:place], ((len(node.inputs), 0), *axes[place]), *axes[place + 1 :])
        else:
            axes = _regrouped([part for axis in axes for part in axis], node.shape)
    return axes


def _regrouped(parts: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Axes of these sizes out of parts of axes, fastest last; without parts those of codes side by side."""
    left = list(parts) if parts else [(math.prod(shape), 1)]
    axes: list[Axis] = []
    for size in reversed(shape):
        axis: list[tuple[int, int]] = []
        while size > 1:
            count, step = left.pop()
            taken = math.gcd(count, size)
            if taken < min(count, size):
                raise ValueError("the new axes cut an old one unevenly")
            if count > taken:
                left.append((count // taken, step * taken))
            size //= taken
            if axis and step == axis[0][0] * axis[0][1] and (step or not axis[0][1]):
                axis[0] = (axis[0][0] * taken, axis[0][1])
            else:
                axis.insert(0, (taken, step))
        axes.insert(0, tuple(axis))
    return tuple(axes)
