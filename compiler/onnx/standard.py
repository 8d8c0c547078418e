"""What the ONNX standard itself says of a graph, as far as ONNX Runtime holds files to it: types, shapes, data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    shape_inference,
)

from .file import OnnxFile
from .operator import Operator
from .tensor import type_name

MOST_ELEMENTS = 256
"""Of a constant whose values the rules may need, as of axes, sizes and paddings; of the others only type and shape."""
_TYPES = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_DATA = {
    AttributeProto.INT: "i",
    AttributeProto.INTS: "ints",
    AttributeProto.FLOAT: "f",
    AttributeProto.FLOATS: "floats",
    AttributeProto.STRING: "s",
    AttributeProto.STRINGS: "strings",
    AttributeProto.TENSOR: "t",
    AttributeProto.TENSORS: "tensors",
    AttributeProto.GRAPH: "g",
    AttributeProto.GRAPHS: "graphs",
}


def check_standard(
    file: OnnxFile, operators: Sequence[Operator], outputs: Iterable[str], codes: Mapping[str, np.dtype[Any]]
) -> None:
    """Raise ``ValueError`` where ONNX's own inference finds that operators, types and shapes contradict each other.

    operators : each behind those that it reads; outputs : the tensors that are read
    codes : element types of tensors of codes, of which ONNX does not know those that other domains' operators make

    The weights take no part: they are stood for by their types and shapes.
    """
    for op in operators:
        _check_attributes(op)
    for value in (*file.inputs, *file.outputs, *file.graph.value_info):
        if value.type.WhichOneof("value") == "tensor_type" and value.type.tensor_type.elem_type not in _TYPES:
            raise ValueError(f"{value.name!r} is declared with the element type {value.type.tensor_type.elem_type}")
    for value in file.outputs:
        kind, declared = codes.get(value.name), value.type.tensor_type.elem_type
        if kind is not None and declared and declared != helper.np_dtype_to_tensor_dtype(kind):
            raise ValueError(f"graph output {value.name!r} is declared as {type_name(declared)}, not {type_name(kind)}")
    known = {value.name for value in (*file.inputs, *file.outputs, *file.graph.value_info)} | set(file.initializers)
    given = [_small(tensor) for tensor in file.initializers.values()]
    inputs = [*file.inputs, *(value for value in given if isinstance(value, ValueInfoProto))]
    nodes: list[NodeProto] = []
    for op in operators:
        constant = _large_constant(op)
        if constant is None:
            nodes.append(op.node)
        else:
            inputs.append(constant)
    graph = GraphProto(
        name="graph",
        node=nodes,
        input=inputs,
        initializer=[tensor for tensor in given if isinstance(tensor, TensorProto)],
        output=[_typed(value) for value in file.outputs if value.name in set(outputs)],
        value_info=[
            *(_typed(value) for value in file.graph.value_info),
            *(
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), None)
                for name, kind in codes.items()
                if name not in known
            ),
        ],
    )
    model = ModelProto(ir_version=file.model.ir_version, graph=graph, opset_import=file.model.opset_import)
    try:
        shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except shape_inference.InferenceError as error:
        raise ValueError(f"contradicts the ONNX standard: {_reason(str(error))}") from None


def _check_attributes(op: Operator) -> None:
    for name, attribute in op.attributes.items():
        expected = _DATA.get(attribute.type)
        held = {field for field in _DATA.values() if _held(attribute, field)}
        if not attribute.ref_attr_name and expected is not None and not held <= {expected}:
            raise ValueError(f"{op}: attribute {name!r} says that it holds {expected!r}, and holds {sorted(held)}")


def _held(attribute: AttributeProto, field: str) -> bool:
    value = getattr(attribute, field)
    return len(value) > 0 if field.endswith("s") and field != "s" else bool(attribute.HasField(field))


def _small(tensor: TensorProto) -> TensorProto | ValueInfoProto:
    """The tensor itself where its values may matter, otherwise its type and shape."""
    if prod(tensor.dims) <= MOST_ELEMENTS and tensor.data_location != TensorProto.EXTERNAL:
        return tensor
    return helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))


def _large_constant(op: Operator) -> ValueInfoProto | None:
    tensor = op.tensor("value") if op.type == "Constant" else None
    small = None if tensor is None else _small(tensor)
    if not isinstance(small, ValueInfoProto) or not op.outputs:
        return None
    return ValueInfoProto(name=op.outputs[0], type=small.type)


def _typed(value: ValueInfoProto) -> ValueInfoProto:
    """Without the shape: ONNX Runtime takes files whose declared shapes are wrong, of other batches for example."""
    if value.type.WhichOneof("value") != "tensor_type":
        return value
    return helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, None)


def _reason(text: str) -> str:
    """The first finding of ONNX's, which has a line for each."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:300] if lines else "no reason is given"
