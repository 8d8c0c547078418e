"""`evaluate`: what one operator makes of constants, by ONNX's reference evaluator; sizes are known before it runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TypeProto, ValueInfoProto, defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ...reading.sizes import check_elements
from ..operator import Operator

# Operators that the evaluator computes with NumPy's own loops; the others' are Python's, and so their sizes are few.
VECTORIZED = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Cast",
        "CastLike",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Cos",
        "Div",
        "Equal",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Log",
        "MatMul",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pad",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Round",
        "Shape",
        "Sigmoid",
        "Sign",
        "Sin",
        "Size",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
        "Xor",
    ]
)
RANDOM = frozenset(
    ["Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"]
)
MAX_MADE = 1 << 22  # elements of a result that is not of the size of what it is made of
MAX_SLOW = 1 << 14  # elements read and made by any other operator
MAX_MULTIPLICATIONS = 1 << 33  # of a MatMul, at most
MAX_SHOWN = 1 << 10  # elements of an integer constant that shape inference may look at
# Operators whose result has no more elements than this many times those that they read; inference cannot say more.
SELECTIONS = {"NonZero": 8, "Compress": 1, "Unique": 1}


def evaluate(op: Operator, inputs: Sequence[NDArray[Any] | None], opset: int) -> list[NDArray[Any]]:
    """The outputs of a node of the default domain for these inputs; None: an optional one that is left out.

    Raises ``ValueError`` for an operator that is random or holds a graph, for results whose sizes are too large or
    cannot be told beforehand, and for what the standard does not define.
    """
    _check_kind(op, opset)
    model = _model(op, inputs, opset)
    count = _elements(op, model, inputs)
    read = max((array.size for array in inputs if array is not None), default=0)
    if count > max(MAX_MADE, 2 * read):
        raise ValueError(f"its result must have at most 2^22 elements, not {count}; store it in the file")
    if op.type == "MatMul" and count * max(read, 1) > MAX_MULTIPLICATIONS:
        raise ValueError("the product of constants is too large to be computed; store its result in the file")
    if op.type not in VECTORIZED and max(read, count) > MAX_SLOW:
        raise ValueError(f"a constant of more than {MAX_SLOW} elements is not computed; store its result in the file")
    feeds = {str(index): array for index, array in enumerate(inputs) if array is not None}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # The evaluator lets through whatever NumPy or its own code raises.
        raise ValueError(f"cannot be computed from constants: {_line(error)}") from None
    if not all(isinstance(result, np.ndarray | np.generic) for result in results):
        raise ValueError("cannot be computed from constants: it makes no tensors")
    return [np.asarray(result) for result in results]


def _check_kind(op: Operator, opset: int) -> None:
    if "." in op.type:
        raise ValueError("an operator of another domain is not computed from constants; store its result in the file")
    try:
        defs.get_schema(op.type, opset, "")
    except defs.SchemaError:
        raise ValueError(f"operator set {opset} has no such operator") from None
    if op.type in RANDOM:
        raise ValueError("makes random numbers, which are no constant")
    if any(attribute.g.node or attribute.graphs for attribute in op.attributes.values()):
        raise ValueError("holds a graph, which is not computed while the file is read; simplify the model first")


def _model(op: Operator, inputs: Sequence[NDArray[Any] | None], opset: int) -> ModelProto:
    names = ["" if array is None else str(index) for index, array in enumerate(inputs)]
    node = NodeProto()
    node.CopyFrom(op.node)
    node.domain = ""
    del node.input[:], node.output[:]
    node.input.extend(names)
    # An output that nobody reads may have no name.
    node.output.extend(f"y{index}" for index in range(len(op.outputs)))
    values = [_value_info(name, array) for name, array in zip(names, inputs, strict=True) if array is not None]
    outputs = [ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "constant", values, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def _value_info(name: str, array: NDArray[Any]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _elements(op: Operator, model: ModelProto, inputs: Sequence[NDArray[Any] | None]) -> int:
    """How many elements the outputs have together, from shape inference."""
    if op.type in SELECTIONS:
        read = SELECTIONS[op.type] * max(array.size for array in inputs if array is not None)
        return check_elements((read,), "the result")
    known = ModelProto()
    known.CopyFrom(model)
    small = {
        str(index): array
        for index, array in enumerate(inputs)
        if array is not None and array.size <= MAX_SHOWN and array.dtype.kind in "iuf"
    }
    known.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in small.items())
    try:
        inferred = shape_inference.infer_shapes(known, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # ONNX's own classes, some of which are plain RuntimeErrors
        raise ValueError(f"is not what the standard defines: {_line(error)}") from None
    return sum(check_elements(_shape(value.type), "the result") for value in inferred.graph.output)


def _shape(kind: TypeProto) -> tuple[int, ...]:
    dims = kind.tensor_type.shape.dim
    if not kind.tensor_type.HasField("shape") or any(dim.WhichOneof("value") != "dim_value" for dim in dims):
        raise ValueError("the size of its result cannot be told beforehand; store its result in the file")
    return tuple(int(dim.dim_value) for dim in dims)


def _line(error: Exception) -> str:
    """The last line of a message of ONNX, whose first ones tell where in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
