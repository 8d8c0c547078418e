"""``[space]``: lists, ranges and joint choices become `Dimension`s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fields import FIELDS, PREFIX, check_value, flatten
from .study import Dimension

MOST_CHOICES = 10_000
"""Of one dimension."""


def read_dimensions(table: object, fixed: Mapping[str, str]) -> tuple[Dimension, ...]:
    """The axes of a space, in the order of the file.

    table : of ``[space]``; fixed : path → the table that sets it, which no dimension may

    Raises ``ValueError`` for a dimension without choices, with equal ones or with an illegal value, a range that makes
    none, an unknown field, and one that two dimensions, or a dimension and another table, set.
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"[space] must be a table, not {table!r}")
    found = [_dimension(name, value) for name, value in flatten(table, "[space]").items()]
    if not found:
        raise ValueError("[space] must have at least one dimension, as rows = [4, 8]")
    owner = dict(fixed)
    for dimension in found:
        for path in dimension.choices[0]:
            if path in owner:
                raise ValueError(f"[space] {dimension.name}: {path} is set by {owner[path]} too; leave one of them out")
            owner[path] = f"[space] {dimension.name}"
    return tuple(found)


def _dimension(name: str, value: object) -> Dimension:
    where = f"[space] {name}"
    if isinstance(value, Mapping):
        value = _range(value, where)
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list of values or a range {{low, high, step}}, not {value!r}")
    if not value:
        raise ValueError(f"{where} must have at least one value, not an empty list")
    if len(value) > MOST_CHOICES:
        raise ValueError(f"{where} must have at most {MOST_CHOICES} values, not {len(value)}")
    if all(isinstance(entry, Mapping) for entry in value):
        return _joint(name, value, where)
    if name not in FIELDS:
        known = ", ".join(FIELDS)
        raise ValueError(f"{where} is no field (known: {known}); a free name takes a list of tables, as {{rows = 4}}")
    for entry in value:
        _check(name, entry, where)
    _distinct(value, value, where)
    return Dimension(name, tuple(value), tuple({name: entry} for entry in value))


def _joint(name: str, tables: list[Mapping[str, Any]], where: str) -> Dimension:
    """Choices that set several fields at once; a ``label`` of its own is optional."""
    if name in FIELDS or name == PREFIX[:-1]:
        raise ValueError(f"{where} must be a list of values; a list of tables needs a name that is no field's")
    choices, labels = [], []
    for table in tables:
        values = flatten({key: value for key, value in table.items() if key != "label"}, where)
        if not values:
            raise ValueError(f"{where}: each table must set a field, not {dict(table)!r}")
        for path, value in values.items():
            if path not in FIELDS:
                raise ValueError(f"{where}: unknown field {path!r} (known: {', '.join(FIELDS)})")
            _check(path, value, where)
        if choices and set(values) != set(choices[0]):
            raise ValueError(
                f"{where}: all tables must set the same fields, not {', '.join(choices[0])} and {', '.join(values)}"
            )
        choices.append(values)
        label = table.get("label", _label(values))
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"{where}: label must be a text that is not empty, not {label!r}")
        labels.append(label)
    _distinct([tuple(sorted(values.items())) for values in choices], labels, where)
    _distinct(labels, labels, where)
    return Dimension(name, tuple(labels), tuple(choices))


def _label(values: Mapping[str, Any]) -> str:
    """Of a joint choice; an array's size as people write it."""
    rest = dict(values)
    size = [f"{rest.pop('rows')}×{rest.pop('columns')}"] if {"rows", "columns"} <= rest.keys() else []
    return ", ".join([*size, *(f"{path.removeprefix(PREFIX)} {value}" for path, value in rest.items())])


def _check(path: str, value: object, where: str) -> None:
    try:
        check_value(path, value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _distinct(values: list[Any], shown: list[Any], where: str) -> None:
    seen = set()
    for value, label in zip(values, shown, strict=True):
        if value in seen:
            raise ValueError(f"{where} must have different choices, not {label!r} twice")
        seen.add(value)


def _range(table: Mapping[str, Any], where: str) -> list[int]:
    """low, low + step, …, or low, low · factor, …, as far as `high`."""
    keys = set(table)
    if keys not in ({"low", "high", "step"}, {"low", "high", "factor"}):
        raise ValueError(f"{where}: a range must have low, high and either step or factor, not {', '.join(table)}")
    for key, value in table.items():
        if type(value) is not int:
            raise ValueError(f"{where}: {key} must be an integer, not {value!r}")
    low, high = table["low"], table["high"]
    if low > high:
        raise ValueError(f"{where}: low must be at most high ({high}), not {low}")
    if "step" in table:
        if table["step"] < 1:
            raise ValueError(f"{where}: step must be at least 1, not {table['step']}")
        return list(range(low, min(high, low + table["step"] * MOST_CHOICES) + 1, table["step"]))
    if table["factor"] < 2 or low < 1:
        raise ValueError(f"{where}: with a factor, low must be at least 1 and factor at least 2, not {dict(table)!r}")
    values = [low]
    while values[-1] * table["factor"] <= high:
        values.append(values[-1] * table["factor"])
    return values
