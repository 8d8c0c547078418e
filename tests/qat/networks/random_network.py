"""Random networks whose tensors branch and join: convolutions, linear layers, pools, tables, joins and moves of codes.

All choices go through `pick`, so that Hypothesis, or a seeded generator, can make them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pick = Callable[..., Any]  # one of its arguments
Shape = tuple[int, ...]  # of a tensor without its batch axis
Function = Callable[..., Tensor]

MOST_ELEMENTS = 400  # of a tensor, and of a linear layer's weight
FUNCTIONS: tuple[Function, ...] = (
    torch.sigmoid, torch.tanh, F.gelu, F.silu, F.hardswish, F.softplus, torch.abs, torch.neg,
    lambda x: F.leaky_relu(x, 0.1), lambda x: F.elu(x, 0.7), lambda x: 0.3 * x - 0.2, lambda x: x * torch.sigmoid(x),
)  # fmt: skip
CLAMPS: tuple[Function, ...] = (F.relu, F.relu6, lambda x: x.clamp(-0.4, 0.9), lambda x: x.clamp(max=0.5))


class Apply(nn.Module):
    """A function of tensors."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.function(*tensors)


class RandomNetwork(nn.Module):
    """Steps that read the input (tensor 0) or the results of earlier steps (1, 2, …); the last one's is the result."""

    def __init__(self, steps: Sequence[tuple[nn.Module, tuple[int, ...]]]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(step for step, _ in steps)
        self.sources = [sources for _, sources in steps]

    def forward(self, x: Tensor) -> Tensor:
        tensors = [x]
        for step, sources in zip(self.steps, self.sources, strict=True):
            tensors.append(step(*(tensors[source] for source in sources)))
        return tensors[-1]


def random_network(
    pick: Pick, most_steps: int = 8, more: Sequence[Function] = (), more_joins: Sequence[Function] = ()
) -> tuple[RandomNetwork, Shape]:
    """A network in eval mode, and the shape of its input: a map, a sequence or a vector.

    The first step is a weighted one, called ``steps.0``, and all others depend on it. Ends of branches are joined.
    more, more_joins : further kinds of steps, of one tensor and of two of one shape
    """
    shape = pick((3, 6, 5), (2, 5, 6), (4, 4, 4), (3, 12), (4, 9), (10,))
    steps: list[tuple[nn.Module, tuple[int, ...]]] = [(weighted(pick, shape), (0,))]
    shapes = [shape, result_shape(steps[0][0], shape)]
    for _ in range(pick(*range(2, most_steps))):
        source = pick(len(shapes) - 1, len(shapes) - 1, *range(1, len(shapes)))  # mostly a chain, which branches
        kinds = (weighted, weighted, pool, function, move, reduction, join, join, join, *more, *more_joins)
        kind = pick(*(kind for kind in kinds if kind is not pool or len(shapes[source]) > 1))
        sources = (source, partner(pick, kind, shapes, source)) if kind in (join, *more_joins) else (source,)
        again = [old for old, (index,) in weighted_steps(steps) if shapes[index] == shapes[source]]
        step = pick(*again) if kind is weighted and again and pick(False, False, True) else kind(pick, shapes[source])
        made = result_shape(step, *(shapes[index] for index in sources))
        if math.prod(made) <= MOST_ELEMENTS:
            steps.append((step, sources))
            shapes.append(made)
    unread = set(range(1, len(shapes))) - {source for _, sources in steps for source in sources}
    if len(unread) > 1:  # else branches would be pruned
        steps.append((Apply(lambda *ends: torch.cat([end.flatten(1) for end in ends], 1)), tuple(sorted(unread))))
    return RandomNetwork(steps).eval(), shape


def weighted_steps(steps: Sequence[tuple[nn.Module, tuple[int, ...]]]) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Those that `weighted` has made."""
    return [(step, sources) for step, sources in steps if isinstance(step, nn.Sequential)]


def result_shape(step: nn.Module, *shapes: Shape) -> Shape:
    """The shape that `step` makes of tensors of these `shapes`."""
    with torch.no_grad():
        result: Tensor = step.eval()(*(torch.zeros(2, *shape) for shape in shapes))
    return tuple(result.shape[1:])


def weighted(pick: Pick, shape: Shape) -> nn.Module:
    """A convolution of a map or a sequence, or a linear layer of the last axis, with BatchNorm and an activation."""
    linear = len(shape) == 1 or pick(False, False, False, shape[-1] <= 10)
    layer: nn.Module
    if linear:
        channels = pick(2, 3, 5, 8)
        layer = nn.Linear(shape[-1], channels, bias=pick(True, False))
    else:
        layer = convolution(pick, shape)
        channels = layer.out_channels
    norm: nn.Module = nn.Identity()
    if not linear or len(shape) == 1:
        norm = pick(nn.Identity, nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(channels)
    return nn.Sequential(layer, norm, Apply(pick(lambda x: x, *CLAMPS, *FUNCTIONS[:3])))


def convolution(pick: Pick, shape: Shape) -> nn.Conv1d | nn.Conv2d:
    """Plain, grouped or depthwise; with strides, dilations and padding that leave it a position."""
    inputs, *sizes = shape
    groups = pick(*(groups for groups in (1, 1, 2, inputs) if inputs % groups == 0))
    channels = groups * pick(*(count for count in (1, 2, 3, 6) if count == 1 or groups * count <= 12))
    kernel, dilation, padding = [], [], []
    for size in sizes:
        kernel.append(pick(*(k for k in (1, 2, 3) if k <= size)))
        dilation.append(pick(1, *(d for d in (2, 3) if d * (kernel[-1] - 1) < size)))
        padding.append(pick(0, 1, 2))
    strides = tuple(pick(1, 1, 2) for _ in sizes)
    same = strides == (1,) * len(sizes) and pick(True, False)
    return (nn.Conv2d if len(sizes) == 2 else nn.Conv1d)(
        inputs, channels, tuple(kernel), strides, "same" if same else tuple(padding), tuple(dilation), groups,
        bias=pick(True, False),
    )  # fmt: skip


def pool(pick: Pick, shape: Shape) -> nn.Module:
    """A maximum or an average, in windows or adaptive, of a map or a sequence."""
    sizes = shape[1:]
    number = len(sizes)
    if pick(True, False, False):
        results = tuple(pick(1, *(n for n in range(2, size) if size % n == 0), size) for size in sizes)
        kinds = [(nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d), (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)]
        return pick(*kinds[number - 1])(results)
    kernel = tuple(pick(*range(1, min(size, 3) + 1)) for size in sizes)
    padding = tuple(pick(*range(k // 2 + 1)) for k in kernel)
    strides = tuple(pick(1, 2) for _ in sizes)
    if pick(True, False):
        dilation = tuple(pick(1, 1 + (2 * (k - 1) < size)) for k, size in zip(kernel, sizes, strict=True))
        return (nn.MaxPool1d, nn.MaxPool2d)[number - 1](kernel, strides, padding, dilation)
    return (nn.AvgPool1d, nn.AvgPool2d)[number - 1](kernel, strides, padding, count_include_pad=pick(True, False))


def function(pick: Pick, shape: Shape) -> nn.Module:
    """A table, or a clamp."""
    return Apply(pick(*FUNCTIONS, *CLAMPS))


def move(pick: Pick, shape: Shape) -> nn.Module:
    """Codes in another shape or order, a part of them, or zeros around them."""
    size = math.prod(shape)
    axis = pick(*range(1, len(shape) + 1))
    start, step = pick(0, shape[axis - 1] // 2), pick(1, 2)
    part = (slice(None),) * axis + (slice(start, None, step),)
    moves: list[Function] = [lambda x: x[part], lambda x: x.flatten(1), lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)]
    if len(shape) > 1:
        order = pick(*([0, 1, 3, 2], [0, 2, 3, 1], [0, 3, 1, 2]) if len(shape) == 3 else ([0, 2, 1],))
        frame = tuple(pick(0, 1, 2) for _ in range(2 * len(shape) - 2))
        moves += [lambda x: x.permute(order), lambda x: F.pad(x, frame), lambda x: x.select(axis, -1)]
    if len(shape) == 3:
        first = pick(1, 2)
        moves.append(lambda x: x.flatten(first, first + 1))
    elif size % 2 == 0:
        moves += [lambda x: x.reshape(-1, 2, size // 2), lambda x: x.reshape(-1, size // 2, 1, 2)]
    return Apply(pick(*moves))


def reduction(pick: Pick, shape: Shape) -> nn.Module:
    """A mean, a maximum, or a scaling by the mean (squeeze and excitation); of a vector, its product with itself."""
    if len(shape) == 1:
        return Apply(torch.square)
    behind, keep = tuple(range(2, len(shape) + 1)), pick(True, False)
    return Apply(
        pick(
            lambda x: x.mean(behind, keepdim=keep),
            lambda x: x.mean(1),
            lambda x: x.amax(behind, keepdim=keep),
            lambda x: x * torch.sigmoid(x.mean(behind, keepdim=True)),
        )
    )


def partner(pick: Pick, kind: Function, shapes: Sequence[Shape], source: int) -> int:
    """A tensor of the shape of `source`, itself only where there is no other."""
    same = [index for index, shape in enumerate(shapes) if shape == shapes[source] and index != source]
    return pick(*same) if same else source


def join(pick: Pick, shape: Shape) -> nn.Module:
    """A sum, a difference, a product or a concatenation of two tensors of one shape."""
    axis = pick(*range(1, len(shape) + 1))
    return Apply(
        pick(
            lambda a, b: a + b,
            lambda a, b: F.relu(a + b),
            lambda a, b: a - b,
            lambda a, b: a * b,
            lambda a, b: torch.cat([a, b], axis),
        )
    )
