"""At which widths training earns its price: 5 000 of MNIST's digits, quantized in five ways, by validation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from emulator import Arithmetic

from ..datasets import Dataset, load_builtin
from ..datasets.networks import network
from ..table import Table, percent
from ..training import TrainingRecipe
from ..training.point import train_float, train_point

DATA = "digits28"
WIDTHS = ((4, 4, 8), (3, 3, 10), (3, 3, 8), (2, 4, 8), (2, 3, 8), (2, 2, 8))
"""Bits of (weights, activations, the accumulator)."""
RECIPE = TrainingRecipe(float_epochs=8, epochs=5, calibration=3500)
SQUARED = {"*": {"weight_observer": "mse"}}
WAYS = {
    "PTQ": ("ptq", None),
    "fitted": ("fitted", None),
    "fitted, squared error": ("fitted", SQUARED),
    "PTQ+": ("adaround", None),
    "QAT": ("qat", None),
}
"""{column: (kind of recipe, settings)}; squared error: weight scales that make the least of it."""


def table(
    data: Dataset,
    recipe: TrainingRecipe = RECIPE,
    widths: Sequence[tuple[int, int, int]] = WIDTHS,
    ways: Sequence[str] = tuple(WAYS),
    name: str = DATA,
) -> Table:
    """Validation accuracy of the network of the built-in data set `name`, a row for each of `widths`."""
    state = train_float(lambda: network(name), data, recipe)
    found = Table(f"{name}: validation accuracy", ("weights, activations, accumulator", "float", *ways))
    for weights, activations, accumulator in widths:
        arithmetic = Arithmetic(weight_bits=weights, activation_bits=activations, accumulator_bits=accumulator)
        points = [
            train_point(
                lambda: network(name), data, arithmetic, replace(recipe, kind=kind), settings=rules, float_state=state
            )
            for kind, rules in (WAYS[way] for way in ways)
        ]
        accuracies = (points[0].float_accuracy, *(point.validation_accuracy for point in points))
        found.add(f"{weights}, {activations}, {accumulator} bits", *map(percent, accuracies))
    return found


if __name__ == "__main__":
    Console().print(table(load_builtin(DATA)).rich())
