"""What Python gives to a compiled function: types, and a table of the addresses and shapes of all arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .builder import record_dtype
from .values import INT64, KINDS, ArrayType, CompileError, Leaf, Tree, Type


@dataclass(slots=True)
class Arguments:
    """A call's arguments.

    key : equal where the same machine code fits; what named tuples, arrays and memories they are made of
    arrays : all arrays, in the order of the table
    memories : per array, the number of its memory, from 1 on: arrays of different numbers share no byte
    shared : numbers in which more than one array lies
    numbers : what is passed beside the table
    table : per array, its address and its shape
    """

    key: tuple[Any, ...]
    arrays: list[NDArray[Any]]
    memories: list[int]
    shared: frozenset[int]
    numbers: list[int]
    table: NDArray[np.int64]


def _flatten(value: Any, arrays: list[NDArray[Any]], key: list[Any]) -> None:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        key += [value.dtype, value.ndim]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        key.append(type(value))
        for part in value:
            _flatten(part, arrays, key)
    else:
        raise CompileError(
            f"an argument of a compiled function must be integers, arrays or named tuples, not {value!r}"
        )


def _memories(spans: list[tuple[int, int]]) -> tuple[list[int], frozenset[int]]:
    """(number per span, numbers of several), of spans (address, bytes): those that overlap have one number."""
    numbers, shared, end, number = [0] * len(spans), set[int](), -1, 0
    for at in sorted(range(len(spans)), key=spans.__getitem__):
        address, size = spans[at]
        if size and address < end:
            shared.add(number)
        elif size:
            number = at + 1
        numbers[at] = number if size else at + 1
        end = max(end, address + size) if size else end
    return numbers, frozenset(shared)


def read_arguments(values: tuple[Any, ...]) -> Arguments:
    """Look at a call's arguments; `CompileError` for what a compiled function cannot be given."""
    arrays, key, numbers, table, plain = list[NDArray[Any]](), list[Any](), list[int](), list[int](), list[int]()
    for value in values:
        if isinstance(value, int | np.integer | np.bool_):
            key.append(int)
            numbers.append(int(value))
            continue
        first = len(arrays)
        _flatten(value, arrays, key)
        if isinstance(value, np.ndarray):
            plain.append(first)
            numbers += [value.ctypes.data, *value.shape]
    spans = []
    for array in arrays:
        if not (array.flags.c_contiguous and array.flags.aligned and array.flags.writeable):
            raise CompileError("an array of a compiled function must be contiguous, aligned and writeable")
        address = array.ctypes.data
        spans.append((address, array.nbytes))
        table += [address, *array.shape]
    memories, shared = _memories(spans)
    return Arguments((*key, *memories), arrays, memories, shared, numbers, np.array(table, np.int64))


def argument_types(values: tuple[Any, ...], given: Arguments) -> tuple[tuple[Type, ...], str]:
    """The types for the compiler, and a text that says the same."""
    place, at, text = 0, 0, list[str]()

    def build(value: Any) -> Tree | Leaf:
        nonlocal place, at
        if not isinstance(value, np.ndarray):
            text.append(f"{type(value).__name__}(")
            parts = {}
            for name, part in zip(value._fields, value, strict=True):
                text.append(f"{name}=")
                parts[name] = build(part)
            text.append(")")
            return Tree(parts, type(value).__name__)
        if value.dtype not in KINDS and not record_dtype(value.dtype):
            raise CompileError(f"an array of a compiled function must be of integers or records, not {value.dtype}")
        element: Any = KINDS.get(value.dtype, value.dtype)
        made = Leaf(ArrayType(element, value.ndim, given.memories[at]), place)
        text.append(f"{value.dtype} {value.ndim} {given.memories[at]};")
        place, at = place + 1 + value.ndim, at + 1
        return made

    types = list[Type]()
    for value in values:
        if isinstance(value, np.ndarray | tuple):
            made = build(value)
            types.append(made.type if isinstance(made, Leaf) else made)
        else:
            text.append("int;")
            types.append(INT64)
    return tuple(types), "".join(text)
