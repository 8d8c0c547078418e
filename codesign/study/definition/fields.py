"""What a study may set: fields of `AcceleratorConfig` and `Arithmetic` by path, budgets of bits, and the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig, config_from_dict

from .study import RECIPES
from .tables import choice

PREFIX = "arithmetic."
"""Of the paths of `Arithmetic`'s fields."""
BUDGETS = ("weight_budget", "activation_budget")
"""Bytes for `qat.search_bits`."""
RECIPE = "recipe"
"""How a network gets its codes: one of `RECIPES`."""
TRAINING = (*BUDGETS, RECIPE)
"""What is no part of the accelerator, and set in ``[training]`` or by a dimension."""
MOST_BYTES = 1 << 40
HARDWARE = tuple(f.name for f in fields(AcceleratorConfig) if f.name != "arithmetic")
ARITHMETIC = tuple(PREFIX + f.name for f in fields(Arithmetic))
FIELDS = (*HARDWARE, *ARITHMETIC, *TRAINING)
_PROBES: tuple[dict[str, Any], ...] = tuple(
    {"rows": size, "columns": size, PREFIX + "accumulator_bits": bits, PREFIX + "multiplier_bits": 1}
    for size, bits in ((1, 8), (8, 32), (64, 48))
)
"""Accelerators of which one takes every value that a field can have at all: smallest, usual, largest."""


def flatten(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """{path: value} of a table in which Arithmetic's fields are a table of their own, or have quoted paths as keys.

    The order is the table's.

    Raises ``ValueError`` for an ``arithmetic`` that is no table and for a path that is there twice.
    """
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if key != "arithmetic":
            flat[key] = value
            continue
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} arithmetic must be a table, not {value!r}")
        for name, setting in value.items():
            if PREFIX + name in table:
                raise ValueError(f"{where} must set {PREFIX + name} once, not twice")
            flat[PREFIX + name] = setting
    return flat


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that `config_from_dict` takes, of {path: value}; those of `TRAINING` are left out."""
    table: dict[str, Any] = {path: value for path, value in values.items() if path in HARDWARE}
    table["arithmetic"] = {path.removeprefix(PREFIX): value for path, value in values.items() if path in ARITHMETIC}
    return table


def make_config(values: Mapping[str, Any]) -> AcceleratorConfig:
    """The accelerator of {path: value}; ``ValueError`` where the combination is illegal."""
    return config_from_dict(nest(values), "config")


def check_value(path: str, value: object) -> None:
    """Raise ``ValueError`` ("FIELD must be …, not VALUE") where no accelerator or training has this value."""
    if path == RECIPE:
        choice(value, RECIPES, path)
        return
    if path in BUDGETS:
        if type(value) is not int or not 1 <= value <= MOST_BYTES:
            raise ValueError(f"{path} must be an integer from 1 to {MOST_BYTES}, not {value!r}")
        return
    refusals = []
    for probe in _PROBES:
        try:
            make_config({**probe, path: value})
        except ValueError as error:
            refusals.append(str(error).removeprefix("config: "))
        else:
            return
    name = path.removeprefix(PREFIX)
    raise ValueError(next((text for text in refusals if text.startswith(name)), refusals[0]))
