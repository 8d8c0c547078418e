"""Fusing: what one requantization can do becomes one layer with one rounding."""

from __future__ import annotations

import math
from dataclasses import replace

from ..integers.geometry import Geometry
from ..layers.activation import Activation, Dropout
from ..layers.choice import Condition, Gate
from ..layers.computed import Computed, ones
from ..layers.elementwise import Add, Product
from ..layers.expression import Expression, X
from ..layers.layer import Layer, Requantized
from ..layers.matrix_product import MatrixProduct
from ..layers.moves import Pad, Reshape, Slice, Transpose
from ..layers.orders import Gather, PixelShuffle
from ..layers.parameters import BatchNorm
from ..layers.pools import MaxPool
from ..layers.tables.table import Table
from ..layers.tables.tflm_tables import FIXED, FixedTable, tflm_operator
from ..layers.weighted import Weighted
from ..scales.quantizers import NO_CLAMP
from .context import Lowering
from .factors import take_from_operands, taken_behind
from .pseudo import Binary, Function, Normalization

MOVES = (Gather, MaxPool, PixelShuffle, Reshape, Slice, Transpose)


def fuse(lowering: Lowering) -> None:
    """Fold BatchNorm, clamps and chains of functions, drop what nobody reads, and share the weights of shared modules.

    Raises ``ValueError`` naming the node that cannot be folded.
    """
    fusion = Fusion(lowering)
    fusion.prune()
    for name in list(fusion.layers):
        fusion.visit(name)
    fusion.prune()
    fusion.finish()


class Fusion:
    """The layers while they are fused, each with all of its readers known."""

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering
        self.layers = lowering.layers

    def visit(self, name: str) -> None:
        """Fuse a layer into those before it, which are fused already."""
        match self.layers.get(name):
            case Normalization() as layer:
                self.normalization(layer)
            case Activation() as layer:
                self.clamp(layer)
            case Binary() as layer:
                self.binary(layer)
            case Function() as layer:
                self.function(layer)
            case Weighted() as layer:
                self.padding(layer)
            case MatrixProduct() as layer:
                take_from_operands(self, layer)

    def padding(self, layer: Weighted) -> None:
        """Zeros around a convolution's input into the convolution's own padding."""
        before = self.layers.get(layer.sources[0])
        if isinstance(before, Pad) and layer.geometry is not None:
            sums = (a + b for a, b in zip(layer.geometry.padding, before.padding, strict=True))
            top, left, bottom, right = sums
            layer.geometry = replace(layer.geometry, padding=(top, left, bottom, right))
            layer.sources = before.sources

    def normalization(self, layer: Normalization) -> None:
        """BatchNorm into the weights before it."""
        before = self.layers.get(layer.sources[0])
        if (
            not isinstance(before, Weighted)
            or before.batch_norm
            or before.clamp != NO_CLAMP
            or not self.alone(before.name)
            or (before.geometry is None and self.lowering.rank(before.name) > 1)
        ):
            self.layers[layer.name] = self.depthwise(layer)
            return
        before.batch_norm = layer.norm
        self.remove(layer)

    def depthwise(self, layer: Normalization) -> Layer:
        """A BatchNorm that no weights before it can take: a depthwise 1×1 convolution, of a vector as one position."""
        channels, *sizes = layer.shape
        made = Weighted(
            layer.name,
            *layer.sources,
            arithmetic=self.lowering.arithmetic,
            settings=self.lowering.settings,
            weight=ones(channels, max(len(sizes), 1)),
            bias=None,
            channels=channels,
            geometry=Geometry(groups=channels),
        )
        made.batch_norm = layer.norm
        if sizes:
            return made
        made.name = self.lowering.free(f"{layer.name}.norm")
        column = Reshape(self.lowering.free(f"{layer.name}.column"), layer.sources[0], (channels, 1))
        made.sources = (column.name,)
        self.lowering.insert(layer.name, column)
        self.lowering.insert(layer.name, made)
        return Reshape(layer.name, made.name, (channels,))

    def clamp(self, layer: Activation) -> None:
        """An activation function into the layer whose requantization makes its input.

        A clamp commutes with everything that only moves or selects codes, so it may stand behind a pool or a reshape.
        """
        least, most = layer.clamp
        # The zeros of a pad must stay 0; a dropout, which scales what it keeps in training, needs bounds that scale.
        passed = (*MOVES, Pad) if least <= 0 <= most else MOVES
        if {least, most} <= {-math.inf, 0.0, math.inf}:
            passed = (*passed, Dropout)
        name = layer.sources[0]
        alone = self.alone(name)
        while isinstance(self.layers.get(name), passed):
            name = self.layers[name].sources[0]
            alone &= self.alone(name)
        before = self.layers.get(name)
        if alone and isinstance(before, (Requantized, Function, Binary)):
            before.clamp = (min(max(before.clamp[0], least), most), min(max(before.clamp[1], least), most))
            self.remove(layer)

    def function(self, layer: Function) -> None:
        """A function of a function into one."""
        if taken_behind(self, layer):
            return
        before = self.layers.get(layer.sources[0])
        if isinstance(before, Function) and self.alone(before.name) and not self.native(layer, before):
            layer.expression = layer.expression.of(before.whole)
            layer.sources = before.sources
            del self.layers[before.name]

    def binary(self, layer: Binary) -> None:
        """Two functions of one tensor, such as x · sigmoid(x), into one; a quotient must be one."""
        folded = [self.operand(name) for name in layer.sources]
        if layer.operator != "Div" and any(self.native(self.layers.get(name)) for name in layer.sources):
            return
        if folded[0][0] == folded[1][0] and any(not part.is_x for _, part in folded):
            for name in set(layer.sources):
                if name != folded[0][0]:
                    del self.layers[name]
            expression = Expression(layer.operator, tuple(part for _, part in folded))
            function = Function(layer.name, folded[0][0], expression, layer.clamp)
            self.layers[layer.name] = function
            self.function(function)
        elif layer.operator == "Div":
            raise self.lowering.error(
                layer.name,
                "a quotient must be of one tensor and a number or a function of it: multiply by its reciprocal()",
            )

    def operand(self, name: str) -> tuple[str, Expression]:
        """The tensor that a binary operator's operand is a function of, and that function."""
        layer = self.layers.get(name)
        if isinstance(layer, Function) and self.alone(name):
            return layer.sources[0], layer.whole
        return name, X

    def native(self, *layers: Layer | None) -> bool:
        """Whether one of `layers` is a function that stays a layer of its own: TFLM has a kernel for it."""
        arithmetic = self.lowering.arithmetic
        return any(
            isinstance(one, Function) and tflm_operator(one.expression, arithmetic) is not None for one in layers
        )

    def gates(self, layer: Binary) -> list[Gate]:
        """The product without rounding that a layer may be: with a condition as one of its factors."""
        found = []
        for gate, other in (layer.sources[::-1], layer.sources):
            behind = self.layers.get(gate)
            while isinstance(behind, (Gather, Reshape, Transpose, Slice)):
                behind = self.layers.get(behind.sources[0])
            if isinstance(behind, Function) and behind.gates and layer.clamp == behind.clamp == NO_CLAMP:
                found.append(Gate(layer.name, other, gate))
        return found

    def alone(self, name: str) -> bool:
        """Whether exactly one layer reads the tensor, and it is not one of the model's results."""
        return len(self.readers(name)) == 1 and name not in self.lowering.outputs.values()

    def readers(self, name: str) -> list[Layer]:
        """The layers that read the tensor."""
        return [layer for layer in self.layers.values() if name in layer.sources]

    def remove(self, layer: Layer) -> None:
        """Let what the layer reads take its place."""
        (source,) = layer.sources
        for reader in self.readers(layer.name):
            reader.sources = tuple(source if name == layer.name else name for name in reader.sources)
        for output, shown in self.lowering.outputs.items():
            if shown == layer.name:
                self.lowering.outputs[output] = source
        del self.layers[layer.name]

    def prune(self) -> None:
        """Drop layers that do not reach a result."""
        needed = set(self.lowering.outputs.values())
        for name, layer in reversed(list(self.layers.items())):
            if name in needed:
                needed.update(layer.sources)
            else:
                del self.layers[name]

    def finish(self) -> None:
        """Make real layers of all, and share weights."""
        arithmetic, settings = self.lowering.arithmetic, self.lowering.settings
        gated = {name: self.gates(layer) for name, layer in self.layers.items() if isinstance(layer, Binary)}
        shared: dict[tuple[str | Computed, BatchNorm | None], Weighted] = {}
        for name, layer in self.layers.items():
            match layer:
                case Binary(operator="Mul") if gated[name]:
                    self.layers[name] = gated[name][0]
                    continue
                case Function() if tflm_operator(layer.expression, arithmetic) in FIXED:
                    (source,) = layer.sources
                    made: Requantized | FixedTable = FixedTable(name, source, layer.expression)
                case Function():
                    (source,) = layer.sources
                    kind = Condition if layer.gates and layer.clamp == NO_CLAMP else Table
                    made = kind(name, source, arithmetic=arithmetic, settings=settings, expression=layer.expression)
                case Binary(operator="Mul"):
                    made = Product(name, *layer.sources, arithmetic=arithmetic, settings=settings)
                case Binary():
                    a, b = layer.sources
                    made = Add(name, a, b, arithmetic=arithmetic, settings=settings, subtract=layer.operator == "Sub")
                case Weighted():
                    first = shared.setdefault((layer.weight_tensor, layer.batch_norm), layer)
                    layer.weight = first.weight
                    continue
                case _:
                    continue
            made.clamp = layer.clamp
            self.layers[name] = made
