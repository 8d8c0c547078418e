"""Positive numbers that multiply a product of two activations, in front of it or behind: a part of its multiplier."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from ..layers.layer import Layer
from ..layers.matrix_product import MatrixProduct
from ..layers.moves import Reshape, Slice, Transpose
from ..scales.quantizers import NO_CLAMP
from .pseudo import Function


class Layers(Protocol):
    """What it takes of the layers while they are fused."""

    layers: dict[str, Layer]

    def alone(self, name: str) -> bool:
        """Whether one layer reads `name`, and no result shows it."""

    def remove(self, layer: Layer) -> None:
        """Let what the layer reads take its place."""


def take_from_operands(fusion: Layers, product: MatrixProduct) -> None:
    """Let `product` multiply with the numbers that its operands are multiplied with, where nothing else reads those."""
    for source in dict.fromkeys(product.sources):
        if product.sources.count(source) > 1:
            continue
        name, alone = source, fusion.alone(source)
        while alone and isinstance(fusion.layers.get(name), (Reshape, Slice, Transpose)):
            (name,) = fusion.layers[name].sources
            alone = fusion.alone(name)
        layer = fusion.layers.get(name)
        number = positive_factor(layer) if alone else None
        # A clamp behind the number has bounds of its own.
        if number is not None and isinstance(layer, Function) and layer.clamp == NO_CLAMP and times(product, number):
            fusion.remove(layer)


def taken_behind(fusion: Layers, layer: Function) -> bool:
    """Whether a product of two activations takes the number that `layer` multiplies it with, and `layer` is gone."""
    before, number = fusion.layers.get(layer.sources[0]), positive_factor(layer)
    if not isinstance(before, MatrixProduct) or number is None or before.clamp != NO_CLAMP:
        return False
    if not fusion.alone(before.name) or not times(before, number):
        return False
    before.clamp = layer.clamp
    fusion.remove(layer)
    return True


def times(product: MatrixProduct, number: float) -> bool:
    """Multiply the product's factor; False where the file's float32 does not hold the result as a normal number."""
    factor = float(np.float32(product.factor * number))
    if not float(np.finfo(np.float32).tiny) <= factor < math.inf:
        return False
    product.factor = factor
    return True


def positive_factor(layer: Layer | None) -> float | None:
    """What a function of one tensor multiplies it with, if it does no more than that; None otherwise."""
    if not isinstance(layer, Function) or layer.gates or len(layer.expression.operands) != 2:
        return None
    operator, operands = layer.expression.operator, layer.expression.operands
    numbers = [float(part) for part in operands if isinstance(part, (int, float))]
    by = isinstance(operands[1], (int, float))
    if len(numbers) != 1 or not (operator == "Mul" or (operator == "Div" and by)):
        return None
    x = operands[0 if by else 1]
    if getattr(x, "is_x", False) is not True or not 0 < numbers[0] < math.inf:
        return None
    return 1 / numbers[0] if operator == "Div" else numbers[0]
