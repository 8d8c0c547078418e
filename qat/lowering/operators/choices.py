"""What operators become that choose: the larger or smaller of two, one by a condition, a slope by the sign.

A maximum brings both tensors to one scale and zero point, one rounding each, and takes the larger code: a maximum pool
over the two side by side. A minimum is that of the negated codes. A condition is a table of zeros and ones, with which
a product rounds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import fx

from ...integers.geometry import Geometry, Window
from ...layers.activation import Activation
from ...layers.choice import Joined, Negation
from ...layers.concat import Concat
from ...layers.expression import Expression, X
from ...layers.layer import Layer
from ...layers.pools import MaxPool
from ...layers.shaped import beside_one
from ...layers.weighted import Weighted
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..made import Condition
from ..pseudo import Binary, Function
from ..registry import handles, register
from .activations import above, add_clamp, unary
from .affine import add_affine
from .elementwise import scalar
from .gathers import add_expanded
from .moves import add_reshape, add_slice, batch_free

Shape = tuple[int, ...]


@handles("glu.default")
def glu(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """The first half along an axis times the sigmoid of the second."""
    shape, source = shape_of(a.self), lowering.source(a.self)
    axis = batch_free(a.dim, shape)
    half = shape[axis - 1] // 2
    first, second = (
        add_slice(lowering, node, source, shape, axis, places) for places in (range(half), range(half, 2 * half))
    )
    gate = lowering.add(node, Function(lowering.unique(node), second, unary("Sigmoid")))
    lowering.add(node, Binary(lowering.unique(node), first, gate, "Mul"))


@handles("prelu.default")
def prelu(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """One slope makes a table; one for each channel a depthwise convolution over both signs, one below the other."""
    slope = scalar(lowering, a.weight)
    source, shape = lowering.source(a.self), shape_of(a.self)
    if slope is not None:
        expression = Expression("LeakyRelu", (X,), (("alpha", slope),))
        lowering.add(node, Function(lowering.unique(node), source, expression))
        return
    if a.weight not in lowering.constants:
        raise ValueError("its slopes must be parameters of the model: write it as relu(x) - slope * relu(-x) otherwise")
    signs = [
        lowering.add(node, Activation(lowering.unique(node), source, clamp))
        for clamp in ((0.0, math.inf), (-math.inf, 0.0))
    ]

    def pair(sources: Sequence[str], height: int, channels: int) -> Layer:
        whole = lowering.add(node, Joined(lowering.unique(node), *sources, axis=2))
        return Weighted(
            lowering.unique(node),
            whole,
            arithmetic=lowering.arithmetic,
            settings=lowering.settings,
            weight=lowering.constants.computed(a.weight, (beside_one, ())),
            bias=None,
            channels=channels,
            geometry=Geometry(groups=channels, dilations=(height, 1)),
        )

    add_pair(lowering, node, signs, shape, pair)


def add_pair(
    lowering: Lowering,
    node: fx.Node,
    sources: Sequence[str],
    shape: Shape,
    make: Callable[[Sequence[str], int, int], Layer],
) -> str:
    """A layer over tensors of one shape as maps; make : (their names, height, channels) → the layer."""
    as_map = shape if len(shape) == 3 else (shape[0], 1, math.prod(shape[1:]))
    maps = [add_reshape(lowering, node, source, shape, as_map) for source in sources]
    made = lowering.add(node, make(maps, as_map[1], as_map[0]))
    return add_reshape(lowering, node, made, as_map, shape)


def add_maximum(lowering: Lowering, node: fx.Node, sources: Sequence[str], shape: Shape) -> str:
    """The larger of two tensors, element by element."""

    def pair(maps: Sequence[str], height: int, channels: int) -> Layer:
        name, settings = lowering.unique(node), lowering.settings
        lowering.add(node, Concat(name, *maps, arithmetic=lowering.arithmetic, settings=settings, axis=2))
        return MaxPool(lowering.unique(node), name, Window(kernel=(2, 1), strides=(1, 1), dilations=(height, 1)))

    return add_pair(lowering, node, sources, shape, pair)


@handles("maximum.default", "max.other", "fmax.default")
def maximum(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    extreme(lowering, node, a, largest=True)


@handles("minimum.default", "min.other", "fmin.default")
def minimum(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    extreme(lowering, node, a, largest=False)


def extreme(lowering: Lowering, node: fx.Node, a: Arguments, *, largest: bool) -> None:
    """Of two activations, or of one and a number or a constant: then a clamp."""
    x, y = (a.other, a.self) if a.self in lowering.constants else (a.self, a.other)
    if y in lowering.constants:
        number = lowering.number(y)
        if number is not None:
            add_clamp(lowering, node, x, *((number, None) if largest else (None, number)))
            return
        shape = shape_of(node)
        name = add_affine(lowering, node, lowering.source(x), shape_of(x), y, "Sub", False)
        clamp = (0.0, math.inf) if largest else (-math.inf, 0.0)
        name = lowering.add(node, Activation(lowering.unique(node), name, clamp))
        add_affine(lowering, node, name, shape, y, "Add", False)
        return
    shape = shape_of(node)
    sources = [add_expanded(lowering, node, lowering.source(v), shape_of(v), shape) for v in (x, y)]
    if largest:
        add_maximum(lowering, node, sources, shape)
        return
    negated = [lowering.add(node, Negation(lowering.unique(node), source)) for source in sources]
    made = add_maximum(lowering, node, negated, shape)
    lowering.add(node, Negation(lowering.unique(node), made))


KINDS = {
    "gt": {"below": False, "also_equal": False},
    "lt": {"below": True, "also_equal": False},
    "ge": {"below": False, "also_equal": True},
    "le": {"below": True, "also_equal": True},
}


def compare(kind: str) -> Callable[[Lowering, fx.Node, Arguments], None]:
    """The handler of a comparison with a number, a constant or another tensor, whose difference it looks at."""

    def handler(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
        number = lowering.number(a.other)
        options = KINDS[kind]
        if number is not None:
            source, against = lowering.source(a.self), number
        elif a.self in lowering.constants or a.other in lowering.constants:
            turned = a.self in lowering.constants
            x, constant = (a.other, a.self) if turned else (a.self, a.other)
            source = add_affine(lowering, node, lowering.source(x), shape_of(x), constant, "Sub", turned)
            against = 0.0
        else:
            name = lowering.unique(node)
            source = lowering.add(node, Binary(name, lowering.source(a.self), lowering.source(a.other), "Sub"))
            against = 0.0
        yes = above(X, against, **options)
        lowering.alias(node, Condition(source, yes, Expression("Sub", (1.0, yes))))

    return handler


for _kind in KINDS:
    register(f"{_kind}.Scalar", f"{_kind}.Tensor", handler=compare(_kind))


@handles("logical_not.default", "bitwise_not.default")
def logical_not(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    condition = lowering.made(a.self)
    if not isinstance(condition, Condition):
        raise ValueError("only a comparison can be negated")
    lowering.alias(node, Condition(condition.source, condition.no, condition.yes))


@handles("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    choose(lowering, node, a.condition, a.self, a.other)


@handles("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    choose(lowering, node, a.mask, a.value, a.self)


def choose(lowering: Lowering, node: fx.Node, condition: fx.Node, x: object, y: object) -> None:
    """x where the condition holds, y elsewhere: each times a mask, and the sum."""
    after = shape_of(node)
    if condition in lowering.constants:
        parts = [masked(lowering, node, condition, value, negated) for value, negated in ((x, False), (y, True))]
    else:
        made = lowering.made(condition)
        if not isinstance(made, Condition):
            raise ValueError(
                "its condition must be a comparison (>, >=, <, <=) of tensors that layers make, or a constant: write "
                "others as products and sums of such conditions"
            )
        parts = [
            chosen(lowering, node, made.source, mask, shape_of(condition), value, after)
            for value, mask in ((x, made.yes), (y, made.no))
        ]
    names = [part for part in parts if part is not None]
    if not names:
        raise ValueError("it must choose between two different values")
    if len(names) == 1:
        lowering.alias(node, names[0])
    else:
        lowering.add(node, Binary(lowering.unique(node), names[0], names[1], "Add"))


def chosen(
    lowering: Lowering, node: fx.Node, source: str, mask: Expression, before: Shape, value: object, after: Shape
) -> str | None:
    """`value` where the mask of `source` is 1, and 0 elsewhere; None for the number 0."""
    number = scalar(lowering, value)
    if number == 0:
        return None
    expression = mask if number is None else Expression("Mul", (mask, number))
    gate = lowering.add(node, Function(lowering.unique(node), source, expression, gates=number is None))
    gate = add_expanded(lowering, node, gate, before, after)
    if number is not None:
        return gate
    if isinstance(value, fx.Node) and value in lowering.constants:
        return add_affine(lowering, node, gate, after, value, "Mul", False)
    operand = add_expanded(lowering, node, lowering.source(value), shape_of(value), after)
    return lowering.add(node, Binary(lowering.unique(node), operand, gate, "Mul"))


def masked(lowering: Lowering, node: fx.Node, condition: fx.Node, value: object, negated: bool) -> str | None:
    """`value` where the constant condition holds, or does not, and 0 elsewhere; None for the number 0."""
    number = scalar(lowering, value)
    if number == 0:
        return None
    if number is not None or value in lowering.constants:
        raise ValueError(
            "with a condition that is a constant, what it chooses must be activations or 0: multiply by masks and add "
            "constants otherwise"
        )
    assert isinstance(value, fx.Node)
    source = add_expanded(lowering, node, lowering.source(value), shape_of(value), shape_of(node))
    return add_affine(lowering, node, source, shape_of(node), condition, "Not" if negated else "Mul", False)
