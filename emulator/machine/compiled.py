"""What the machine's compiled cycle loop is made of: the compiler, and records of an instruction's fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compilation import compiled
from ..instructions import FORMATS, Opcode

__all__ = ["BLOCK", "MAX_FIELDS", "compiled", "copy", "fields_dtype", "fields_record"]

MAX_FIELDS = max(len(fields) for fields in FORMATS.values())
BLOCK = 8
"""Elements of a row that are taken at once: a loop whose length is known becomes a few vector instructions."""


@compiled
def copy(target: Any, source: Any) -> None:
    """``target[:] = source``, which would allocate, for arrays of one axis and one length."""
    for i in range(len(target)):
        target[i] = source[i]


def fields_dtype(opcode: Opcode) -> np.dtype[np.void]:
    """A record of an instruction's fields, int64 each, in the order of the format."""
    return np.dtype([(field.name, np.int64) for field in FORMATS[opcode]])


def fields_record(raw: np.ndarray[Any, np.dtype[np.int64]], opcode: Opcode) -> np.ndarray[Any, np.dtype[np.void]]:
    """A one-element record array that shows the beginning of `raw` under the fields' names."""
    return raw[: len(FORMATS[opcode])].view(fields_dtype(opcode))
