"""`tflite_file`: a .tflite file of one subgraph, from plain descriptions of its tensors and operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import tflite  # type: ignore[import-untyped]
from numpy.typing import ArrayLike, NDArray

_TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9, "int4": 17}
_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "CONCATENATION": "ConcatenationOptions",
    "RESHAPE": "ReshapeOptions",
    "SQUEEZE": "SqueezeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "ARG_MAX": "ArgMaxOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "PACK": "PackOptions",
    "UNPACK": "UnpackOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "SVDF": "SVDFOptions",
    "GATHER": "GatherOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
}


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of a file: shape with its batch axis, element type, scales and zero points, data of a constant."""

    name: str
    shape: Sequence[int]
    type: str = "int8"
    scale: ArrayLike | None = None
    zero_point: ArrayLike = 0
    data: NDArray[Any] | None = None
    axis: int = 0


@dataclass(frozen=True, eq=False)
class FileOperator:
    """An operator of a file: its builtin name, tensors by name ("" : left out), options by their schema names."""

    code: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


def tflite_file(
    tensors: Sequence[FileTensor],
    operators: Sequence[FileOperator],
    inputs: Sequence[str],
    outputs: Sequence[str],
    metadata: Mapping[str, bytes] | None = None,
) -> bytes:
    """The file of one subgraph; numbers of `metadata` are buffers of their own, as converters write them."""
    builder = flatbuffers.Builder(1024)
    number = {tensor.name: index for index, tensor in enumerate(tensors)} | {"": -1}
    buffers: list[bytes] = [b""]
    made = []
    for tensor in tensors:
        buffer = 0
        if tensor.data is not None:
            buffer = len(buffers)
            buffers.append(_bytes(tensor))
        made.append(_tensor(builder, tensor, buffer))
    codes = sorted({(operator.code, operator.version) for operator in operators})
    written = [_operator(builder, operator, codes, number) for operator in operators]
    offsets = {"Tensors": _vector(builder, made), "Operators": _vector(builder, written)}
    for name, values in (("Inputs", inputs), ("Outputs", outputs)):
        offsets[name] = builder.CreateNumpyVector(np.array([number[value] for value in values], np.int32))
    tflite.SubGraphStart(builder)
    for name, offset in offsets.items():
        getattr(tflite, f"SubGraphAdd{name}")(builder, offset)
    subgraphs = _vector(builder, [tflite.SubGraphEnd(builder)])
    entries = []
    for name, data in (metadata or {}).items():
        label = builder.CreateString(name)
        tflite.MetadataStart(builder)
        tflite.MetadataAddName(builder, label)
        tflite.MetadataAddBuffer(builder, len(buffers))
        entries.append(tflite.MetadataEnd(builder))
        buffers.append(data)
    opcodes = []
    for code, version in codes:
        value = getattr(tflite.BuiltinOperator, code)
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(value, 127))
        tflite.OperatorCodeAddBuiltinCode(builder, value)
        tflite.OperatorCodeAddVersion(builder, version)
        opcodes.append(tflite.OperatorCodeEnd(builder))
    fields = {
        "OperatorCodes": _vector(builder, opcodes),
        "Subgraphs": subgraphs,
        "Buffers": _vector(builder, [_buffer(builder, data) for data in buffers]),
        "Metadata": _vector(builder, entries),
    }
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    for name, offset in fields.items():
        getattr(tflite, f"ModelAdd{name}")(builder, offset)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _bytes(tensor: FileTensor) -> bytes:
    """A constant's data; int4 two to a byte, the first in the low half."""
    data = np.ascontiguousarray(tensor.data)
    if tensor.type != "int4":
        return data.tobytes()
    halves = np.zeros((data.size + 1) // 2 * 2, np.uint8)
    halves[: data.size] = data.astype(np.uint8).reshape(-1) & 15
    return (halves[::2] | halves[1::2] << 4).tobytes()


def _tensor(builder: flatbuffers.Builder, tensor: FileTensor, buffer: int) -> int:
    fields = {
        "Name": builder.CreateString(tensor.name),
        "Shape": builder.CreateNumpyVector(np.array(tensor.shape, np.int32)),
    }
    if tensor.scale is not None:
        scale = np.atleast_1d(np.asarray(tensor.scale, np.float32))
        zero = np.broadcast_to(np.asarray(tensor.zero_point, np.int64), scale.shape)
        scales, zeros = builder.CreateNumpyVector(scale), builder.CreateNumpyVector(np.ascontiguousarray(zero))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scales)
        tflite.QuantizationParametersAddZeroPoint(builder, zeros)
        tflite.QuantizationParametersAddQuantizedDimension(builder, tensor.axis)
        fields["Quantization"] = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddType(builder, _TYPES[tensor.type])
    tflite.TensorAddBuffer(builder, buffer)
    for name, offset in fields.items():
        getattr(tflite, f"TensorAdd{name}")(builder, offset)
    return int(tflite.TensorEnd(builder))


def _operator(
    builder: flatbuffers.Builder, operator: FileOperator, codes: list[tuple[str, int]], number: Mapping[str, int]
) -> int:
    table = _OPTIONS.get(operator.code)
    options = 0
    if table is not None:
        values = {
            name: builder.CreateNumpyVector(np.array(value, np.int32)) if isinstance(value, list | tuple) else value
            for name, value in operator.options.items()
        }
        getattr(tflite, f"{table}Start")(builder)
        for name, value in values.items():
            getattr(tflite, f"{table}Add{name}")(builder, value)
        options = getattr(tflite, f"{table}End")(builder)
    reads, makes = (
        builder.CreateNumpyVector(np.array([number[name] for name in names], np.int32))
        for names in (operator.inputs, operator.outputs)
    )
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, codes.index((operator.code, operator.version)))
    tflite.OperatorAddInputs(builder, reads)
    tflite.OperatorAddOutputs(builder, makes)
    if table is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, table))
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def _buffer(builder: flatbuffers.Builder, data: bytes) -> int:
    vector = None
    if data:
        builder.StartVector(1, len(data), 16)  # kernels read weights where they lie, so they are aligned
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        vector = builder.EndVector()
    tflite.BufferStart(builder)
    if vector is not None:
        tflite.BufferAddData(builder, vector)
    return int(tflite.BufferEnd(builder))


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
