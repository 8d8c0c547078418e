"""The head: what the file computes of the model's inputs in front of the first quantizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ValueInfoProto, helper

from emulator.graph import Tensor

from ...reading.sizes import check_elements
from ..file import OnnxFile, input_shape
from ..operator import Operator
from ..tensor import DTYPES, type_name
from .part import Feed, OnnxPart
from .runtime import function
from .submodel import Part, makers, part_behind, submodel

TRIALS = (7, 11)  # batch sizes
MOST = 1024  # inputs of the graph, each of which has its sizes inferred


class Head:
    """What the host computes in front of the accelerator, while the file is read.

    operators : those of the file, each behind those that it reads
    """

    def __init__(self, file: OnnxFile, operators: Sequence[Operator], batch: int | None) -> None:
        self.file = file
        self.operators = operators
        self.makers = makers(operators)
        self.batch = batch
        self.own = {value.name: value for value in file.inputs}
        self._known: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}

    def tensor(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Element type and logical shape without the batch of a tensor that is made of the model's inputs.

        Raises ``ValueError`` where shape inference does not find them, and for a shape that no input has.
        """
        if name not in self._known:
            if len(self._known) >= MOST:
                raise ValueError(f"at most {MOST} tensors that the host makes can be quantized, {name!r} is one more")
            self._known[name] = self._own(self.own[name]) if name in self.own else self._made(name)
        return self._known[name]

    def part(self, inputs: Sequence[Tensor], copies: Mapping[str, str]) -> OnnxPart | None:
        """What makes the graph's inputs, None where they are the model's own; copies : input → what it is a copy of."""
        names = [tensor.name for tensor in inputs]
        copies = {name: origin for name, origin in copies.items() if name in names}
        shifted = [name for name in names if self._known.get(name, (None,))[0] == np.uint8]
        wanted = [name for name in names if name not in self.own or name in shifted]
        if not wanted:
            return None
        origins = list(dict.fromkeys(copies.get(name, name) for name in wanted))
        made, found = [name for name in origins if name not in self.own], self._part(origins)
        reads = tuple(name for name in found.leaves if name in self.own)
        model = submodel(self.file, found, made, {}, self.batch).model.SerializeToString() if made else b""
        if model:
            function(model)
        feeds = {name: feed(self.own[name]) for name in reads}
        return OnnxPart(reads, tuple(wanted), model, feeds, {}, {}, copies, frozenset(shifted), self.batch)

    def _part(self, wanted: Sequence[str]) -> Part:
        return part_behind(wanted, self.operators, self.makers, lambda name: False)

    def _own(self, value: ValueInfoProto) -> tuple[np.dtype[Any], tuple[int, ...]]:
        shape = input_shape(value)
        check_elements(shape, f"graph input {value.name!r}")
        return feed(value).type, shape

    def _made(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        part = self._part([name])
        # An open batch is two numbers, one after the other: shape inference does not follow a symbol through a -1.
        sizes = (self.batch,) if self.batch else TRIALS
        (kind, shape), *others = (submodel(self.file, part, [name], {}, size).types[name] for size in sizes)
        for size, (_, other) in zip(sizes[1:], others, strict=True):
            if shape != ((sizes[0], *other[1:]) if other and other[0] == size else other):
                shape = None
        if not shape or not 2 <= len(shape) <= 4 or not all(shape[1:]):
            raise ValueError(
                f"what the host computes, {name!r}, must have the shape (batch, …) of 2 to 4 axes with fixed sizes, "
                f"not {'an unknown one' if shape is None else shape}; export the model with fixed sizes"
            )
        if kind not in DTYPES:
            raise ValueError(f"what the host computes, {name!r}, must be floats or codes, not {type_name(kind)}")
        if shape[0] != sizes[0]:
            raise ValueError(f"what the host computes, {name!r}, must keep the batch as its first axis, not be {shape}")
        behind = tuple(size for size in shape[1:] if size)
        check_elements(behind, f"tensor {name!r}")
        return DTYPES[kind], behind


def feed(value: ValueInfoProto) -> Feed:
    """How an array of the model's own input must be; ``ValueError`` for an input that is no tensor of numbers."""
    kind = value.type.tensor_type.elem_type
    if value.type.WhichOneof("value") != "tensor_type" or not kind:
        raise ValueError(f"graph input {value.name!r} must be a tensor, not {value.type.WhichOneof('value')}")
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.WhichOneof("value") == "dim_value" else 0 for dim in tensor.shape.dim]
    fixed = len(dims) > 0 and all(dims[1:])
    return Feed(np.dtype(helper.tensor_dtype_to_np_dtype(kind)), tuple(dims[1:]) if fixed else None)
