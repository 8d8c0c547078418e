"""The table of widths has a row for each, and its figures are what the recipes give."""

from __future__ import annotations

from dataclasses import replace

from codesign.benchmarks.qat_bits import table
from codesign.datasets import load_builtin
from codesign.datasets.networks import network
from codesign.training import TrainingRecipe
from codesign.training.point import train_point
from emulator import Arithmetic


def test_rows_are_what_recipes_give() -> None:
    whole = load_builtin("digits8")
    few = {
        name: getattr(whole, name)[:100]
        for name in ("train_inputs", "train_labels", "validation_inputs", "validation_labels")
    }
    data, recipe = replace(whole, **few), TrainingRecipe(float_epochs=4, epochs=1, calibration=64)
    (row,) = table(data, recipe, widths=((3, 4, 9),), ways=("PTQ", "QAT"), name="digits8").rows
    arithmetic = Arithmetic(weight_bits=3, activation_bits=4, accumulator_bits=9)
    expected = train_point(lambda: network("digits8"), data, arithmetic, recipe)
    assert row[0] == "3, 4, 9 bits" and len(row) == 4
    assert (row[1], row[3]) == tuple(f"{100 * accuracy:.1f} %" for accuracy in expected[1:])
