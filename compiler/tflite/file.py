"""The parts of a .tflite file: tensors, operators, constants; files of unknown origin included."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import tflite  # type: ignore[import-untyped]
from numpy.typing import NDArray

from ..reading.file_bytes import read_bytes
from ..reading.sizes import check_elements
from .accessors import Accessors
from .element_types import DTYPES, type_name

IDENTIFIER = b"TFL3"
MAX_BYTES = (1 << 31) - 1  # the offsets of a flatbuffer reach no further
MAX_AXES = 8
MAX_NAME = 200  # characters of a tensor's name that a sentence shows
MAX_OPERANDS = 1 << 12
_OPTIONS = {number: name for name, number in vars(tflite.BuiltinOptions).items() if isinstance(number, int)}


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of the file.

    name : unique; shape : with the batch axis; type : element type, as NumPy names it
    scale, zero_point : float32 and int64, one element or one per index of `axis`; empty: not quantized
    data : a constant's bytes, a view of the file; None: no constant
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int
    data: NDArray[np.uint8] | None

    def __str__(self) -> str:
        return f"tensor {self.name[:MAX_NAME]!r}"

    @property
    def values(self) -> NDArray[Any]:
        """A constant's values; ``ValueError`` where its data are not as many bytes as its shape and type need."""
        count = check_elements(self.shape, str(self))
        data = np.zeros(0, np.uint8) if self.data is None else self.data
        if self.type == "int4":
            if data.size != (count + 1) // 2:
                raise ValueError(f"{self} must have {(count + 1) // 2} bytes of data, not {data.size}")
            pairs = np.stack([data << 4, data], axis=-1).view(np.int8) >> 4
            return pairs.reshape(-1)[:count].reshape(self.shape)
        dtype = DTYPES.get(self.type)
        if dtype is None:
            raise ValueError(f"{self} must be of numbers, not of {self.type}")
        if data.size != count * dtype.itemsize:
            raise ValueError(f"{self} must have {count * dtype.itemsize} bytes of data, not {data.size}")
        return np.frombuffer(data, dtype).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class FileOperator:
    """An operator of the file: tensors by index, −1 where an optional one is left out; options: the schema's table."""

    index: int
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: str
    options: Any


@dataclass(frozen=True, eq=False)
class TfliteFile:
    """inputs, outputs : indices of tensors; metadata : entries whose data are text, by name."""

    accessors: Accessors
    tensors: list[FileTensor]
    operators: list[FileOperator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: dict[str, str]
    description: str


def read_tflite(path: str | PathLike[str]) -> TfliteFile:
    """The only subgraph of a file; ``ValueError`` naming what is damaged."""
    data = read_bytes(path, MAX_BYTES)
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise ValueError("is no TFLite file: its bytes 4 to 7 must be 'TFL3'")
    return parse_tflite(data)


def parse_tflite(data: bytes) -> TfliteFile:
    """`read_tflite` of a file's bytes."""
    accessors = Accessors(data)
    model = accessors.read("the model", tflite.Model.GetRootAs, data, 0)
    version = accessors.read("the version", model.Version)
    if version != 3:
        raise ValueError(f"schema version must be 3, not {version}")
    buffers = [_buffer(accessors, i, b) for i, b in enumerate(accessors.tables("buffer", model, "Buffers"))]
    codes = [_code(accessors, i, c) for i, c in enumerate(accessors.tables("operator code", model, "OperatorCodes"))]
    graphs = accessors.count("subgraphs", model, "Subgraphs", 1 << 20)
    if graphs != 1:
        raise ValueError(f"must have one subgraph, not {graphs}; control flow (IF, WHILE, CALL_ONCE) does not run here")
    graph = accessors.read("the subgraph", model.Subgraphs, 0)
    names: dict[str, int] = {}
    tensors = [
        _tensor(accessors, i, t, buffers, names) for i, t in enumerate(accessors.tables("tensor", graph, "Tensors"))
    ]
    operators = [
        _operator(accessors, i, o, codes, len(tensors))
        for i, o in enumerate(accessors.tables("operator", graph, "Operators"))
    ]
    ends = [_indices(accessors, f"the subgraph's {name}", graph, name, len(tensors)) for name in ("Inputs", "Outputs")]
    return TfliteFile(
        accessors,
        tensors,
        operators,
        ends[0],
        ends[1],
        _metadata(accessors, model, buffers),
        accessors.text("the description", model.Description, 1 << 16),
    )


def _buffer(accessors: Accessors, index: int, buffer: Any) -> NDArray[np.uint8]:
    what = f"buffer {index}"
    start, size = (int(accessors.read(what, get)) for get in (buffer.Offset, buffer.Size))
    if start > 1:  # data of files over 2 GiB lie behind the flatbuffer
        if start + size > len(accessors.data):
            raise ValueError(f"{what} lies outside the file, which is damaged")
        return np.frombuffer(accessors.data, np.uint8, size, start)
    return accessors.vector(what, buffer, "Data").view(np.uint8)


def _code(accessors: Accessors, index: int, code: Any) -> str:
    what = f"operator code {index}"
    number = max(int(accessors.read(what, get)) for get in (code.BuiltinCode, code.DeprecatedBuiltinCode))
    name: str = tflite.BUILTIN_OPCODE2NAME.get(number, f"operator number {number}")
    return f"CUSTOM {accessors.text(what, code.CustomCode)!r}" if name == "CUSTOM" else name


def _tensor(
    accessors: Accessors, index: int, tensor: Any, buffers: list[NDArray[np.uint8]], names: dict[str, int]
) -> FileTensor:
    what = f"tensor {index}"
    name = accessors.text(f"the name of {what}", tensor.Name) or f"tensor_{index}"
    while name in names:
        name = f"{name}:{index}"
    names[name] = index
    shape = tuple(map(int, accessors.vector(f"the shape of {what}", tensor, "Shape", MAX_AXES)))
    if any(size < 0 for size in shape):
        raise ValueError(f"{what} ({name!r}) must have sizes of at least 0, not {shape}")
    number = int(accessors.read(what, tensor.Buffer))
    if not 0 <= number < max(len(buffers), 1):
        raise ValueError(f"{what} ({name!r}) must have a buffer from 0 to {len(buffers) - 1}, not {number}")
    data = buffers[number] if number and buffers[number].size else None
    scale, zero_point, axis = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    quantization = accessors.read(what, tensor.Quantization)
    if quantization is not None:
        scale = accessors.vector(f"the scales of {what}", quantization, "Scale").astype(np.float32, copy=False)
        zero_point = accessors.vector(f"the zero points of {what}", quantization, "ZeroPoint").astype(
            np.int64, copy=False
        )
        axis = int(accessors.read(what, quantization.QuantizedDimension))
    kind = type_name(int(accessors.read(what, tensor.Type)))
    return FileTensor(index, name, shape, kind, scale, zero_point, axis, data)


def _operator(accessors: Accessors, index: int, operator: Any, codes: list[str], tensors: int) -> FileOperator:
    what = f"operator {index}"
    number = int(accessors.read(what, operator.OpcodeIndex))
    if not 0 <= number < len(codes):
        raise ValueError(f"{what} must have an operator code from 0 to {len(codes) - 1}, not {number}")
    inputs, outputs = (
        _indices(accessors, f"the {name.lower()} of {what}", operator, name, tensors) for name in ("Inputs", "Outputs")
    )
    kind = int(accessors.read(what, operator.BuiltinOptionsType))
    return FileOperator(
        index,
        codes[number],
        inputs,
        outputs,
        _OPTIONS.get(kind, f"options of type {kind}"),
        accessors.read(what, operator.BuiltinOptions),
    )


def _indices(accessors: Accessors, what: str, table: Any, name: str, tensors: int) -> tuple[int, ...]:
    found = accessors.vector(what, table, name, MAX_OPERANDS)
    accessors.charge_walk(found.size)
    wrong = found[(found < -1) | (found >= tensors)]
    if wrong.size:
        raise ValueError(f"{what} must be tensors from 0 to {tensors - 1}, not {int(wrong[0])}")
    return tuple(map(int, found))


def _metadata(accessors: Accessors, model: Any, buffers: list[NDArray[np.uint8]]) -> dict[str, str]:
    """The entries of Lockstep's own; those of others can be of any size and form."""
    found: dict[str, str] = {}
    for index, entry in enumerate(accessors.tables("metadata", model, "Metadata")):
        what = f"metadata {index}"
        name = accessors.text(what, entry.Name)
        number = int(accessors.read(what, entry.Buffer))
        if name.startswith("lockstep."):
            if not 0 <= number < len(buffers) or name in found:
                raise ValueError(f"metadata {name!r} must be there once, with a buffer from 0 to {len(buffers) - 1}")
            found[name] = buffers[number].tobytes().decode("utf-8", "replace")
    return found
