"""A part of an ONNX file, from some of its tensors to others, as a model of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper, shape_inference

from ...reading.sizes import MAX_ELEMENTS
from ..file import OnnxFile
from ..operator import Operator
from ..tensor import decode
from .runtime import first_line

BATCH = "batch"
KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


@dataclass(frozen=True, eq=False)
class Part:
    """operators : in the file's order; leaves : the tensors that they read and none of them makes, and the wanted ones
    that none makes
    """

    operators: tuple[Operator, ...]
    leaves: tuple[str, ...]


def makers(operators: Sequence[Operator]) -> dict[str, int]:
    """Tensor → the index of the operator that makes it."""
    return {name: index for index, op in enumerate(operators) for name in op.outputs if name}


def part_behind(
    wanted: Iterable[str], operators: Sequence[Operator], maker: Mapping[str, int], cut: Callable[[str], bool]
) -> Part:
    """What makes the tensors `wanted`, back to those where `cut` says so, inputs and constants.

    operators, maker : those of the file, each behind those that it reads; their `makers`
    """
    needed: set[int] = set()
    leaves: dict[str, None] = {}
    stack = list(wanted)[::-1]
    while stack:
        name = stack.pop()
        if name not in maker or cut(name):
            leaves[name] = None
        elif maker[name] not in needed:
            needed.add(maker[name])
            stack += operators[maker[name]].reads
    return Part(tuple(operators[index] for index in sorted(needed)), tuple(leaves))


@dataclass(frozen=True, eq=False)
class Submodel:
    """A part as a model.

    model : ready to be run, for any batch
    types : wanted tensor → (element type, shape), as far as shape inference knows them; sizes are None where it does
    not, and 0 where they are the batch's
    """

    model: ModelProto
    types: Mapping[str, tuple[int, tuple[int | None, ...] | None]]


def submodel(
    file: OnnxFile, part: Part, wanted: Sequence[str], cuts: Mapping[str, ValueInfoProto], batch: int | None
) -> Submodel:
    """The model of a part.

    cuts : tensors that are fed to it, apart from the file's own inputs; their first axis is the batch

    Raises ``ValueError`` for an operator of an unknown domain, for what the standard does not allow and for sizes that
    are too large.
    """
    for op in part.operators:
        if op.node.domain not in KNOWN_DOMAINS:
            raise ValueError(f"{op} is of the domain {op.node.domain!r}, which the host does not know")
    own = {value.name: value for value in file.inputs}
    inputs = [cuts.get(name) or own[name] for name in part.leaves if name in cuts or name in own]
    constants = [_constant(file, name) for name in part.leaves if name in file.initializers and name not in cuts]
    domains = {"", *(op.node.domain for op in part.operators)}
    graph = helper.make_graph(
        [op.node for op in part.operators], "host", inputs, [ValueInfoProto(name=name) for name in wanted], constants
    )
    imports = [entry for entry in file.model.opset_import if entry.domain in domains or entry.domain == "ai.onnx"]
    model = helper.make_model(graph, opset_imports=imports, ir_version=file.model.ir_version)
    for value in model.graph.input:
        _open_batch(value, batch)
    types = _infer(model, wanted, standard=domains <= {"", "ai.onnx"})
    for value in model.graph.input:
        _open_batch(value, None)
    return Submodel(model, types)


def _open_batch(value: ValueInfoProto, batch: int | None) -> None:
    """Set the first size of a tensor; None: any."""
    dims = value.type.tensor_type.shape.dim
    if dims and batch is None:
        dims[0].dim_param = BATCH
    elif dims:
        dims[0].dim_value = batch or 0


def _constant(file: OnnxFile, name: str) -> TensorProto:
    tensor = file.initializers[name]
    if tensor.data_location != TensorProto.EXTERNAL:
        return tensor
    array: NDArray[Any] = decode(tensor, file.path.parent)
    return numpy_helper.from_array(array, name)


def _infer(
    model: ModelProto, wanted: Sequence[str], standard: bool
) -> dict[str, tuple[int, tuple[int | None, ...] | None]]:
    try:
        inferred = shape_inference.infer_shapes(model, check_type=standard, strict_mode=standard, data_prop=True)
    except Exception as error:  # ONNX's own classes, some of which are plain RuntimeErrors
        raise ValueError(f"is not what the standard defines: {first_line(error)}") from None
    found: dict[str, tuple[int, tuple[int | None, ...] | None]] = {}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        tensor = value.type.tensor_type
        shape: tuple[int | None, ...] | None = None
        if tensor.HasField("shape"):
            shape = tuple(0 if d.dim_param == BATCH else d.dim_value or None for d in tensor.shape.dim)
            if math.prod(size for size in shape if size) > MAX_ELEMENTS:
                raise ValueError(f"tensor {value.name!r} must have at most 2^28 elements, not shape {shape}")
        if tensor.elem_type or value.name not in found:
            found[value.name] = tensor.elem_type, shape
    return {name: found.get(name, (0, None)) for name in wanted}


def float_cut(name: str, kind: np.dtype[Any], shape: Sequence[int]) -> ValueInfoProto:
    """A tensor that is fed to a part: its shape behind the batch axis."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), [BATCH, *shape])
