"""What a study may set: the fields of `AcceleratorConfig` and `Arithmetic` by path, and the budgets of bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig, config_from_dict

PREFIX = "arithmetic."
"""Of the paths of `Arithmetic`'s fields."""
BUDGETS = ("weight_budget", "activation_budget")
"""Bytes for `qat.search_bits`."""
MOST_BYTES = 1 << 40
HARDWARE = tuple(f.name for f in fields(AcceleratorConfig) if f.name != "arithmetic")
ARITHMETIC = tuple(PREFIX + f.name for f in fields(Arithmetic))
FIELDS = (*HARDWARE, *ARITHMETIC, *BUDGETS)
_PROBES: tuple[dict[str, Any], ...] = tuple(
    {"rows": size, "columns": size, PREFIX + "accumulator_bits": bits, PREFIX + "multiplier_bits": 1}
    for size, bits in ((1, 8), (8, 32), (64, 48))
)
"""Accelerators of which one takes every value that a field can have at all: smallest, usual, largest."""


def flatten(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """{path: value} of a table in which Arithmetic's fields are a table of their own, or have quoted paths as keys.

    Raises ``ValueError`` for an ``arithmetic`` that is no table and for a path that is there twice.
    """
    flat = {key: value for key, value in table.items() if key != "arithmetic"}
    nested = table.get("arithmetic", {})
    if not isinstance(nested, Mapping):
        raise ValueError(f"{where} arithmetic must be a table, not {nested!r}")
    for key, value in nested.items():
        if PREFIX + key in flat:
            raise ValueError(f"{where} must set {PREFIX + key} once, not twice")
        flat[PREFIX + key] = value
    return flat


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that `config_from_dict` takes, of {path: value}; budgets are left out."""
    table: dict[str, Any] = {path: value for path, value in values.items() if path in HARDWARE}
    table["arithmetic"] = {path.removeprefix(PREFIX): value for path, value in values.items() if path in ARITHMETIC}
    return table


def make_config(values: Mapping[str, Any]) -> AcceleratorConfig:
    """The accelerator of {path: value}; ``ValueError`` where the combination is illegal."""
    return config_from_dict(nest(values), "config")


def check_value(path: str, value: object) -> None:
    """Raise ``ValueError`` ("FIELD must be …, not VALUE") where no accelerator has this value in this field."""
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
