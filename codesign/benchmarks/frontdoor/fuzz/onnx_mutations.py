"""One change of an ONNX file: of its bytes, or of a field of its messages."""

from __future__ import annotations

import math
import random
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from .byte_mutations import mutated_bytes

INTEGERS = (-(2**63), -(2**31), -129, -128, -2, -1, 0, 1, 2, 3, 5, 7, 8, 64, 127, 128, 255, 256, 2**31 - 1, 2**63 - 1)
FLOATS = (math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1.0, 1e-45, 1e-38, 3.4e38, 0.5, 127.5)
TEXTS = (
    "", "x", "x" * 5000, "../x", "/dev/zero", "/etc/passwd", ".", "a\0b", "weights.bin", "ä" * 100, "\ud7ff", "Conv",
    "Add", "Relu", "Reshape", "Transpose", "Concat", "Clip", "QuantizeLinear", "DequantizeLinear", "MatMul", "Cast",
    "Resize", "Slice", "Pad", "Gather", "MaxPool", "Constant", "Shape", "com.microsoft", "QLinearConv", "Softmax",
    "Identity",
)  # fmt: skip
BYTE_SHARE = 0.3
"""Of the changes, how many know nothing of the format."""


def mutated_onnx(data: bytes, draw: random.Random) -> bytes:
    """`data`, a valid file, with one to three changes."""
    if draw.random() < BYTE_SHARE:
        return mutated_bytes(data, draw)
    model = onnx.ModelProto.FromString(data)
    for _ in range(draw.randint(1, 3)):
        change = draw.choice((_field, _field, _field, _rewire, _constant, _external))
        change(model, draw)
    return model.SerializeToString()


def _field(model: onnx.ModelProto, draw: random.Random) -> None:
    """A field of a message anywhere in the model."""
    message: Message = model
    while True:
        present = [field for field, _ in message.ListFields()]
        if not present:
            return
        field = draw.choice(present)
        inner = field.type == FieldDescriptor.TYPE_MESSAGE
        if not inner or draw.random() < 0.1:
            _change(message, field, draw)
            return
        value = getattr(message, field.name)
        message = draw.choice(value) if _repeated(message, field) else value


def _repeated(message: Message, field: Any) -> bool:
    return hasattr(getattr(message, field.name), "append") or hasattr(getattr(message, field.name), "add")


def _change(message: Message, field: Any, draw: random.Random) -> None:
    values = getattr(message, field.name)
    if not _repeated(message, field):
        if field.type == FieldDescriptor.TYPE_MESSAGE or draw.random() < 0.1:
            message.ClearField(field.name)
        else:
            _set(lambda value: setattr(message, field.name, value), field, draw)
        return
    index = draw.randrange(len(values))
    way = draw.random()
    if way < 0.3:
        del values[index]
    elif way < 0.5 or field.type == FieldDescriptor.TYPE_MESSAGE:
        values.append(values[index]) if field.type != FieldDescriptor.TYPE_MESSAGE else values.add().CopyFrom(
            values[index]
        )
    else:
        _set(lambda value: values.__setitem__(index, value), field, draw)


def _set(store: Any, field: Any, draw: random.Random) -> None:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        text = draw.choice(TEXTS)
        store(text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text)
    elif kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        store(draw.choice(FLOATS))
    elif kind == FieldDescriptor.CPPTYPE_ENUM:
        store(draw.choice(field.enum_type.values).number)
    else:
        bits = 63 if kind in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64) else 31
        low = 0 if kind in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64) else -(2**bits)
        store(min(max(draw.choice(INTEGERS), low), 2**bits - 1))


def _rewire(model: onnx.ModelProto, draw: random.Random) -> None:
    """An input or output of a node becomes any other tensor: cycles, doubles, foreign shapes."""
    nodes = [node for node in model.graph.node if node.input]
    if not nodes:
        return
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = draw.choice(nodes)
    side = node.output if draw.random() < 0.2 and node.output else node.input
    side[draw.randrange(len(side))] = draw.choice(names)


def _constant(model: onnx.ModelProto, draw: random.Random) -> None:
    """A constant's shape, element type or data, one of which then contradicts the others."""
    if not model.graph.initializer:
        return
    tensor = draw.choice(model.graph.initializer)
    way = draw.randrange(4)
    if way == 0 and tensor.dims:
        tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice(INTEGERS)
    elif way == 1:
        tensor.data_type = draw.choice(onnx.TensorProto.DataType.values())
    elif way == 2:
        tensor.raw_data = mutated_bytes(tensor.raw_data, draw)
    else:
        tensor.dims.append(draw.choice((0, 1, 1, 2, 2**40)))


def _external(model: onnx.ModelProto, draw: random.Random) -> None:
    """A constant is said to lie in another file."""
    if not model.graph.initializer:
        return
    tensor = draw.choice(model.graph.initializer)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {
        "location": draw.choice(TEXTS),
        "offset": str(draw.choice((*INTEGERS, "x"))),
        "length": str(draw.choice((*INTEGERS, ""))),
    }
    for key in draw.sample(sorted(entries), draw.randint(1, 3)):
        tensor.external_data.add(key=key, value=entries[key])
    if draw.random() < 0.8:
        tensor.ClearField("raw_data")
