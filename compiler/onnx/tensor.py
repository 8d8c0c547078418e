"""Constants of an ONNX file as NumPy arrays; every size is checked against the bytes at hand before memory is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ..reading.sizes import check_elements

BITS: dict[int, int] = {
    TensorProto.FLOAT: 32,
    TensorProto.FLOAT16: 16,
    TensorProto.DOUBLE: 64,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.INT32: 32,
    TensorProto.UINT32: 32,
    TensorProto.INT64: 64,
    TensorProto.UINT64: 64,
    TensorProto.BOOL: 8,
}
UNSIGNED = {TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64}
# TensorProto keeps values either in raw_data or, by element type, in one of these fields.
FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}
DTYPES: dict[int, np.dtype[Any]] = {kind: np.dtype(helper.tensor_dtype_to_np_dtype(kind)) for kind in BITS}
"""Element type → NumPy's; int4 and uint4 are those of ml_dtypes."""


def type_name(element_type: int | np.dtype[Any]) -> str:
    """``FLOAT``, ``INT8``, … for a number of ``TensorProto.DataType`` or a NumPy type."""
    if isinstance(element_type, np.dtype):
        return next((type_name(kind) for kind, dtype in DTYPES.items() if dtype == element_type), str(element_type))
    known: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return known.get(element_type, f"type {element_type}")


def decode(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    """The values of `tensor` in its own element type; external data is read only from regular files inside `folder`.

    Raises ``ValueError`` for an element type that no supported operator uses, and where size and data do not match.
    """
    what = f"constant {tensor.name!r}"
    kind = tensor.data_type
    if kind not in BITS:
        raise ValueError(f"{what} must be a float of 16, 32 or 64 bits or an integer, not {type_name(kind)}")
    shape = tuple(int(size) for size in tensor.dims)
    count = check_elements(shape, what)
    if tensor.HasField("segment"):
        raise ValueError(f"{what} is stored in segments, which are not supported")
    if tensor.data_location == TensorProto.EXTERNAL:
        raw = _external(tensor, folder, what, _bytes(count, kind))
    elif tensor.HasField("raw_data"):
        raw = bytes(tensor.raw_data)
    else:
        return _from_field(tensor, count, what).astype(DTYPES[kind]).reshape(shape)
    if len(raw) != _bytes(count, kind):
        raise ValueError(f"{what} of shape {shape} must hold {_bytes(count, kind)} bytes, not {len(raw)}")
    if BITS[kind] == 4:
        values = _nibbles(np.frombuffer(raw, np.uint8), count, kind == TensorProto.INT4)
    else:
        values = np.frombuffer(raw, DTYPES[kind].newbyteorder("<"))
    return values.astype(DTYPES[kind]).reshape(shape)


def _bytes(count: int, kind: int) -> int:
    return (count * BITS[kind] + 7) // 8


def _nibbles(packed: NDArray[Any], count: int, signed: bool) -> NDArray[np.int16]:
    """Two 4-bit values per byte, the first one in the low half (ONNX, "4-bit integer types")."""
    codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)[:count].astype(np.int16)
    return np.where(codes > 7, codes - 16, codes) if signed else codes


def _from_field(tensor: TensorProto, count: int, what: str) -> NDArray[Any]:
    kind = tensor.data_type
    field = getattr(tensor, FIELDS.get(kind, "int32_data"))
    length = (count + 1) // 2 if BITS[kind] == 4 else count
    if len(field) != length:
        raise ValueError(f"{what} of shape {tuple(tensor.dims)} must hold {length} values, not {len(field)}")
    if kind in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.UINT64):
        return np.array(field, DTYPES[kind])
    values = np.array(field, np.uint64 if kind == TensorProto.UINT32 else np.int64)
    if kind == TensorProto.FLOAT16:  # as the bits of a uint16
        if count and not 0 <= int(values.min()) <= int(values.max()) < 1 << 16:
            raise ValueError(f"{what} must hold values of 16 bits, as FLOAT16 does")
        return values.astype(np.uint16).view(np.float16)
    unsigned = kind in UNSIGNED or BITS[kind] == 4
    bits = max(BITS[kind], 8)
    low, high = (0, (1 << bits) - 1) if unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if count and (int(values.min()) < low or int(values.max()) > high):
        raise ValueError(f"{what} must hold values from {low} to {high}, as {type_name(kind)} does")
    return _nibbles(values.astype(np.uint8), count, kind == TensorProto.INT4) if BITS[kind] == 4 else values


def _external(tensor: TensorProto, folder: Path, what: str, expected: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location: str = entries.get("location", "")
    root = folder.resolve()
    try:
        file = (root / location).resolve()
        regular = file.is_file()
        size = file.stat().st_size if regular else 0
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(expected)))
    except (ValueError, OSError, RuntimeError):
        raise ValueError(f"{what} has a broken reference to external data {location[:80]!r}") from None
    if not location or Path(location).is_absolute() or not file.is_relative_to(root):
        raise ValueError(f"{what} must keep its external data inside the model's folder, not at {location[:80]!r}")
    if not regular:
        raise ValueError(f"{what} needs the external file {location[:80]!r}, which is missing")
    if length != expected or offset < 0 or offset + length > size:
        raise ValueError(
            f"{what} must be {expected} bytes inside {location[:80]!r} ({size} bytes), not {length} at offset {offset}"
        )
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)
