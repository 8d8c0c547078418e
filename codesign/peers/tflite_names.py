"""What the peers need to know of a .tflite file that they run: names, inputs, outputs, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

_TYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16, 9: np.int8}


@dataclass(frozen=True, eq=False)
class FileNames:
    """Tensors of the first subgraph.

    tensors : name of each; shapes, types : with the batch axis, of each
    inputs, outputs, made : indices of the subgraph's inputs and outputs, and of what operators make, in their order
    """

    tensors: list[str]
    shapes: list[tuple[int, ...]]
    types: list[type[np.generic] | None]
    inputs: list[int]
    outputs: list[int]
    made: list[int]

    @property
    def batch(self) -> int:
        """Size of the first axis that all inputs have, 1 if they have none in common."""
        sizes = {self.shapes[index][:1] for index in self.inputs}
        return next(iter(sizes))[0] if len(sizes) == 1 and () not in sizes else 1

    def joined(self, arrays: list[NDArray[Any]]) -> NDArray[Any]:
        """Results of several runs along the batch axis, which is a new one where the file has none."""
        has_batch = arrays[0].ndim and arrays[0].shape[0] == self.batch
        return np.concatenate(arrays) if has_batch else np.stack(arrays)

    @property
    def activation_bytes(self) -> int:
        """Bytes of all tensors that operators make."""
        return sum(int(np.prod(self.shapes[index])) * 4 for index in self.made)


def read_names(data: bytes) -> FileNames:
    """Of a file that a peer accepts; tensors of equal names get their index behind it."""
    graph = tflite.Model.GetRootAs(data).Subgraphs(0)
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    names: list[str] = []
    for index, tensor in enumerate(tensors):
        name = (tensor.Name() or b"").decode("utf-8", "replace") or f"tensor_{index}"
        names.append(name if name not in names else f"{name}:{index}")
    made = [
        int(index)
        for number in range(graph.OperatorsLength())
        for index in np.atleast_1d(graph.Operators(number).OutputsAsNumpy())
    ]
    return FileNames(
        names,
        [tuple(map(int, np.atleast_1d(t.ShapeAsNumpy()))) if t.ShapeLength() else () for t in tensors],
        [_TYPES.get(t.Type()) for t in tensors],
        [int(index) for index in graph.InputsAsNumpy()],
        [int(index) for index in graph.OutputsAsNumpy()],
        made,
    )


def batches(names: FileNames, inputs: Mapping[str, NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    """The file's inputs in its order, cut into arrays of the file's own batch size.

    Raises ``ValueError`` naming an input that is missing, unknown, or of another shape or type.
    """
    wanted = {names.tensors[index]: index for index in names.inputs}
    if set(inputs) != set(wanted):
        raise ValueError(f"inputs must be {', '.join(map(repr, wanted))}, not {', '.join(map(repr, inputs))}")
    parts = []
    for name, index in wanted.items():
        array, dtype = inputs[name], names.types[index]
        shape = names.shapes[index]
        step = names.batch if shape and shape[0] == names.batch else 0
        sample = shape[1:] if step else shape
        if array.dtype != dtype or array.shape[1:] != sample:
            kind = f"{np.dtype(dtype)} of shape (batch, {', '.join(map(str, sample))})"
            raise ValueError(f"input {name!r} must be {kind}, not {array.dtype} of {array.shape}")
        if array.shape[0] % (step or 1):
            raise ValueError(f"input {name!r} must have a batch that {step} divides, not {array.shape[0]}")
        step = step or 1
        parts.append([array[i : i + step].reshape(shape) for i in range(0, array.shape[0], step)])
    yield from (list(arrays) for arrays in zip(*parts, strict=True))
