"""Dataclasses as plain JSON and back, every value checked against the type that its field declares."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Union

from emulator.config import AcceleratorConfig, config_from_dict

Reader = Callable[[Any], Any]
_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    type(None): "null",
    dict: "a table",
    list: "a list",
}


class _Misfit(Exception):
    """What is wrong with a value; `place` grows on the way out, from the innermost key."""

    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(problem)
        self.problem, self.place = problem, place

    def within(self, key: str) -> _Misfit:
        self.place = key + self.place
        return self


def to_plain(value: Any) -> Any:
    """Tables, lists, text, numbers, booleans and None. ``TypeError`` for what has no such form."""
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"the keys of a table must be texts, not {key!r}")
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"a result must be of plain values, not {type(value).__name__}")


def from_plain(kind: Any, value: Any, where: str) -> Any:
    """The value of type `kind` that `to_plain` made `value` of; ``ValueError`` naming the place where it is none.

    kind : a dataclass, ``str``, ``int``, ``float`` (an integer stays one), ``bool``, ``Path``, ``Any`` (whatever is
        plain), a tuple, a mapping from texts, or one of these or None
    """
    try:
        return _reader(kind)(value)
    except _Misfit as misfit:
        raise ValueError(f"{where}{misfit.place} {misfit.problem}") from None


def shown(value: Any) -> str:
    """A value from outside in an error's sentence, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


@cache
def _reader(kind: Any) -> Reader:
    """What reads values of this type."""
    if kind is Any:
        return lambda value: value
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        (one,) = (_reader(part) for part in inner if part is not type(None))
        return lambda value: None if value is None else one(value)
    if kind is AcceleratorConfig:
        return _config
    if is_dataclass(kind):
        return _dataclass(kind)
    if origin is tuple:
        return _tuple(inner)
    if origin is not None:
        return _mapping(_reader(inner[1]))
    if kind is Path:
        return lambda value: Path(_typed(str)(value))
    return _typed(kind)


def _typed(kind: type) -> Reader:
    accepted = (int, float) if kind is float else (kind,)

    def read(value: Any) -> Any:
        if type(value) not in accepted:
            raise _Misfit(f"must be {_NAMES[kind]}, not {shown(value)}")
        return value

    return read


def _config(value: Any) -> AcceleratorConfig:
    try:
        return config_from_dict(_typed(dict)(value))
    except ValueError as error:
        raise _Misfit(f"is no accelerator: {error}") from None


def _dataclass(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    table = _typed(dict)

    def read(value: Any) -> Any:
        found = {}
        for key, item in table(value).items():
            if key not in readers:
                raise _Misfit(f"must not have the key {shown(key)} (known: {', '.join(readers)})")
            found[key] = _inner(readers[key], item, f".{key}")
        for name in needed:
            if name not in found:
                raise _Misfit(f"must have the key {name!r}")
        return kind(**found)

    return read


def _mapping(reader: Reader) -> Reader:
    table = _typed(dict)
    return lambda value: {key: _inner(reader, item, f".{key}") for key, item in table(value).items()}


def _tuple(inner: tuple[Any, ...]) -> Reader:
    items = _typed(list)
    if len(inner) == 2 and inner[1] is Ellipsis:
        one = _reader(inner[0])
        return lambda value: tuple(_inner(one, item, at) for at, item in enumerate(items(value)))
    readers = [_reader(part) for part in inner]

    def read(value: Any) -> Any:
        if len(items(value)) != len(readers):
            raise _Misfit(f"must be {len(readers)} values, not {len(value)}")
        return tuple(_inner(one, item, at) for at, (one, item) in enumerate(zip(readers, value, strict=True)))

    return read


def _inner(reader: Reader, item: Any, key: str | int) -> Any:
    try:
        return reader(item)
    except _Misfit as misfit:
        raise misfit.within(key if isinstance(key, str) else f"[{key}]") from None
