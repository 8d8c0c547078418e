"""The element types of TFLite tensors that are read, as NumPy has them."""

from __future__ import annotations

from typing import Any

import numpy as np

NAMES = (
    *("float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64"),
    *("complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16"),
)

DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("float32", "float16", "int32", "uint8", "int64", "bool", "int16", "int8", "float64", "uint32")
}


def type_name(number: int) -> str:
    """The name of a schema's number, in words for one that is not known."""
    return NAMES[number] if 0 <= number < len(NAMES) else f"type {number}"
