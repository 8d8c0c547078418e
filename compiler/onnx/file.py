"""An untrusted ONNX file: read, parsed and checked as a whole, before any operator is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import IR_VERSION, GraphProto, ModelProto, TensorProto, ValueInfoProto

from ..reading.file_bytes import read_bytes
from .inline import inlined
from .tensor import type_name

Entry = TypeVar("Entry")

MAX_BYTES = (1 << 31) - 1  # protobuf's own limit; larger models keep their weights in external files
MIN_OPSET, MAX_OPSET = 10, 28  # QuantizeLinear's first; the newest one whose definitions were checked
MIN_IR_VERSION = 3
INPUT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8)


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A parsed file.

    model : all of it
    opset : version of the default operator set
    initializers : name → TensorProto, not decoded
    inputs, outputs : the graph's own, initializers left out
    metadata : the file's metadata properties
    """

    path: Path
    model: ModelProto
    graph: GraphProto
    opset: int
    initializers: dict[str, TensorProto]
    inputs: tuple[ValueInfoProto, ...]
    outputs: tuple[ValueInfoProto, ...]
    metadata: dict[str, str]
    producer: str


def read_onnx(path: str | PathLike[str]) -> OnnxFile:
    """Read and check a file; ``ValueError`` if it is missing, truncated, foreign or of an unknown version."""
    file = Path(path)
    model = _parse(read_bytes(file, MAX_BYTES))
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ValueError("is not an ONNX model: it holds no graph")
    model = inlined(model)
    graph = model.graph
    if not MIN_IR_VERSION <= model.ir_version <= IR_VERSION:
        raise ValueError(f"ir_version must be from {MIN_IR_VERSION} to {IR_VERSION}, not {model.ir_version}")
    if graph.sparse_initializer:
        raise ValueError(f"sparse initializer {graph.sparse_initializer[0].values.name!r} is not supported")
    initializers = _unique("initializer", [(t.name, t) for t in graph.initializer])
    inputs = tuple(value for value in graph.input if value.name not in initializers)
    _unique("graph input", [(value.name, value) for value in graph.input])
    if not inputs:
        raise ValueError("the graph has no input")
    if not graph.output:
        raise ValueError("the graph has no output")
    _unique("graph output", [(value.name, value) for value in graph.output])
    metadata = _unique("metadata key", [(entry.key, entry.value) for entry in model.metadata_props])
    outputs = tuple(graph.output)
    return OnnxFile(file, model, graph, _opset(model), initializers, inputs, outputs, metadata, model.producer_name)


def input_shape(value: ValueInfoProto) -> tuple[int, ...]:
    """Logical shape of a graph input, floats or codes, without its batch axis: (channels, height, width), (channels,
    length) or (length,).

    Raises ``ValueError`` for another element type or rank, and for a size other than the batch that is not fixed.
    """
    what = f"graph input {value.name!r}"
    if value.type.WhichOneof("value") != "tensor_type":
        raise ValueError(f"{what} must be a tensor, not {value.type.WhichOneof('value')}")
    tensor = value.type.tensor_type
    if tensor.elem_type not in INPUT_TYPES:
        found = type_name(tensor.elem_type)
        raise ValueError(f"{what} must be FLOAT, followed by a QuantizeLinear, or INT8 or UINT8 codes, not {found}")
    if not tensor.HasField("shape") or not 2 <= len(tensor.shape.dim) <= 4:
        rank = f"{len(tensor.shape.dim)} axes" if tensor.HasField("shape") else "no shape"
        raise ValueError(
            f"{what} must have the shape (batch, channels, height, width), (batch, channels, length) or "
            f"(batch, length), not {rank}"
        )
    sizes = []
    for axis, dim in enumerate(tensor.shape.dim):
        if axis == 0:
            continue
        if dim.WhichOneof("value") != "dim_value" or dim.dim_value < 1:
            found = dim.dim_param or (dim.dim_value if dim.WhichOneof("value") else "nothing")
            raise ValueError(f"{what} must have fixed sizes except for the batch, not {found!r} at axis {axis}")
        sizes.append(int(dim.dim_value))
    return tuple(sizes)


def fixed_batch(value: ValueInfoProto) -> int | None:
    """The batch size of a graph input if the file fixes it, None if it is symbolic."""
    dims = value.type.tensor_type.shape.dim
    if dims and dims[0].WhichOneof("value") == "dim_value" and dims[0].dim_value == 0:
        raise ValueError(f"graph input {value.name!r} must have a batch of at least 1, or one that is left open, not 0")
    return int(dims[0].dim_value) if dims and dims[0].dim_value > 0 else None


def _parse(data: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ValueError("is not an ONNX model, or it is truncated or damaged") from None
    _check_text(model)
    return model


def _check_text(message: Message) -> None:
    """Raise ``ValueError`` for a text that is not UTF-8, which protobuf's version 2 messages give as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for item in [value] if isinstance(value, str | bytes | Message) else value:
            if isinstance(item, bytes):
                raise ValueError(f"is damaged: {field.full_name} {item[:60]!r} is not UTF-8")
            if isinstance(item, Message):
                _check_text(item)


def _opset(model: ModelProto) -> int:
    for entry in model.opset_import:
        if entry.version < 1:
            raise ValueError(f"must import domain {entry.domain!r} in a version of at least 1, not {entry.version}")
        if entry.domain == "com.microsoft" and entry.version != 1:
            raise ValueError(f"must import domain 'com.microsoft' in version 1, not {entry.version}")
    versions = {entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")}
    if len(versions) != 1:
        raise ValueError(f"must import the default operator set in one version, not {sorted(versions)}")
    (version,) = versions
    if not MIN_OPSET <= version <= MAX_OPSET:
        raise ValueError(f"the operator set's version must be from {MIN_OPSET} to {MAX_OPSET}, not {version}")
    return int(version)


def _unique(what: str, entries: list[tuple[str, Entry]]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for name, value in entries:
        if name in found:
            raise ValueError(f"{what} {name!r} is defined twice")
        found[name] = value
    return found
