"""`NpyHeader`: what the head of a .npy array says of its shape and type, checked before anything is made of it."""

from __future__ import annotations

import ast
import math
import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 1 << 14
"""Longest header; NumPy's own are of some hundred bytes."""
MAX_AXES = 32
MAX_NUMBERS = 1 << 58
"""Numbers of an array whose bytes NumPy can still count."""
FORMS = {1: "<H", 2: "<I", 3: "<I"}
"""Version of the format → how it stores the header's length."""


@dataclass(frozen=True)
class NpyHeader:
    """One array of a file, before it is read.

    shape : as stored, the batch axis first; `fortran_order`: the first axis is the fastest
    dtype : of integers, floats or booleans
    offset : bytes in front of the data
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], where: str) -> NpyHeader:
    """The header at the beginning of `stream`, which then stands at the data.

    where : "file: array 'name'", which every error begins with

    Raises ``ValueError`` for what is no .npy array, pickled objects, records, text and dates, and for a shape that no
    array can have.
    """
    fields, offset = _fields(stream, where)
    dtype, order, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    if type(order) is not bool:
        raise ValueError(f"{where}: fortran_order must be True or False, not {_shown(order)}")
    return NpyHeader(_shape(shape, where), _dtype(dtype, where), order, offset)


def _fields(stream: IO[bytes], where: str) -> tuple[dict[str, Any], int]:
    start = stream.read(len(MAGIC) + 2)
    form = FORMS.get(start[len(MAGIC)]) if len(start) == len(MAGIC) + 2 and start.startswith(MAGIC) else None
    if form is None:
        raise ValueError(f"{where}: is not a .npy array of format 1, 2 or 3")
    size = stream.read(struct.calcsize(form))
    length = struct.unpack(form, size)[0] if len(size) == struct.calcsize(form) else 0
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"{where}: its header must have at most {MAX_HEADER_BYTES} bytes, not {length}")
    text = stream.read(length)
    try:
        fields = ast.literal_eval(text.decode("utf-8").strip()) if length == len(text) else None
    except (
        ValueError,
        SyntaxError,
        TypeError,
        RecursionError,
        MemoryError,
    ):  # what it raises for text that is no literal
        fields = None
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise ValueError(f"{where}: is not a .npy array: its header does not say type, order and shape")
    return fields, len(start) + len(size) + length


def _dtype(descr: object, where: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(descr) if isinstance(descr, str) else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.kind not in "biuf":
        raise ValueError(f"{where}: must hold numbers, not {_shown(descr) if dtype is None else dtype}")
    return dtype


def _shape(shape: object, where: str) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(size) is int for size in shape):
        raise ValueError(f"{where}: its shape must be a tuple of integers, not {_shown(shape)}")
    if len(shape) > MAX_AXES:
        raise ValueError(f"{where}: must have at most {MAX_AXES} axes, not {len(shape)}")
    # Axes of 0 do not excuse the others: NumPy multiplies them all the same.
    if min(shape, default=0) < 0 or math.prod(size or 1 for size in shape) > MAX_NUMBERS:
        raise ValueError(f"{where}: has the shape {_shown(shape)}, which no array can have")
    return shape


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
