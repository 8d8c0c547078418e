"""The inputs of a model: random, or of an .npz file, whose headers are checked before data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Codes, Graph, file_shape, to_file_layout
from emulator.graph.host_part import ArrayType
from emulator.graph.inputs import input_names, model_inputs

from .archive import Archive, open_npz
from .npy_header import NpyHeader

PART_BYTES = 1 << 24
"""Bytes of floats that are quantized at once."""


@dataclass(frozen=True)
class InputType:
    """What a model takes as one of its inputs.

    shape : without the batch axis, in the model's own layout; None: only the model's host part knows
    floats : whether it takes floats
    integers : the integer types that it takes, as codes or whatever the model makes of them
    """

    name: str
    shape: tuple[int, ...] | None
    floats: bool = True
    integers: tuple[str, ...] = ("int8",)

    def reason_against(self, header: NpyHeader) -> str | None:
        """Why an array with this header cannot be this input; None: it can."""
        if not (header.dtype.kind == "f" and self.floats) and header.dtype.name not in self.integers:
            integers = " or ".join(f"{name} codes" if name in ("int8", "uint8") else name for name in self.integers)
            wanted = " or of ".join(part for part in ("floats" if self.floats else "", integers) if part)
            return f"must be an array of {wanted}, not {header.dtype}"
        if not header.shape or (self.shape is not None and header.shape[1:] != self.shape):
            sizes = ("batch", *map(str, self.shape)) if self.shape is not None else ("batch", "…")
            return f"must have shape ({', '.join(sizes)}), not {header.shape}"
        return "must hold at least one sample" if header.shape[0] == 0 else None


def input_types(graph: Graph) -> tuple[InputType, ...]:
    """What the model of `graph` takes."""
    tensors = {tensor.name: tensor for tensor in graph.inputs}
    unsigned = graph.metadata.get("unsigned_inputs", ())
    known: dict[str, ArrayType] = {}
    for part in (graph.tail, graph.head):
        known |= {} if part is None else part.types
    found = []
    for name in input_names(graph):
        if name in known:
            shape, dtype = known[name].shape, known[name].dtype
            floats = dtype.kind == "f"
            found.append(InputType(name, shape, floats, () if floats else (dtype.name,)))
        else:
            integers = ("uint8",) if name in unsigned else ("int8",)
            found.append(InputType(name, file_shape(tensors[name]) if name in tensors else None, True, integers))
    return tuple(found)


def takes_codes(graph: Graph) -> bool:
    """Whether the model's own inputs are the graph's: no host part reads them."""
    return graph.head is None and set(input_names(graph)) == {tensor.name for tensor in graph.inputs}


def read_inputs(
    types: Sequence[InputType], path: str | PathLike[str], samples: int | None = None
) -> dict[str, NDArray[Any]]:
    """{input name: array}, the first `samples` (None: all) of an .npz file, in the model's layout.

    An archive with one array serves a model with one input, whatever their names. Names, shapes, types and the numbers
    of samples are those of the arrays' headers: they are checked first, and only what is needed is read. Raises
    ``ValueError`` or ``TypeError`` (a type), one sentence with file and array.
    """
    with open_npz(path) as archive:
        names = _names(types, archive)
        counts = {}
        for kind in types:
            header = archive.headers[names[kind.name]]
            reason = kind.reason_against(header)
            if reason is not None:
                called = "" if names[kind.name] == kind.name else f", for the input {kind.name!r},"
                error = TypeError if reason.startswith("must be an array") else ValueError
                raise error(f"{archive.where(names[kind.name])}{called} {reason}")
            counts[names[kind.name]] = header.shape[0]
        if len(set(counts.values())) > 1:
            raise ValueError(f"{path}: the inputs must have one batch size, not {counts}")
        arrays = archive.read(samples)
    return {kind.name: arrays[names[kind.name]] for kind in types}


def _names(types: Sequence[InputType], archive: Archive) -> dict[str, str]:
    """Input → array that serves it."""
    if len(types) == len(archive.headers) == 1:
        return {types[0].name: next(iter(archive.headers))}
    known = [kind.name for kind in types]
    for name in archive.headers:
        if name not in known:
            raise ValueError(f"{archive.file}: inputs must be named {', '.join(map(repr, known))}, not {name!r}")
    for name in known:
        if name not in archive.headers:
            held = ", ".join(map(repr, archive.headers))
            raise ValueError(f"{archive.file}: inputs must have {name!r}, not only {held}")
    return {name: name for name in known}


def graph_codes(
    graph: Graph, arrays: Mapping[str, NDArray[Any]], path: str | PathLike[str] | None = None
) -> dict[str, Codes]:
    """The codes of the graph's inputs, in the file's layout, of the model's own inputs; errors name the file `path`."""
    samples = {len(array) for array in arrays.values() if np.ndim(array)}
    size = sum(array.nbytes for array in arrays.values())
    count = samples.pop() if len(samples) == 1 else 0
    # Quantizing holds some copies of the floats: not of all at once.
    step = max(1, count * PART_BYTES // max(size, 1)) if takes_codes(graph) and size > PART_BYTES else max(count, 1)
    parts = []
    try:
        for first in range(0, max(count, 1), step):
            some = arrays if step >= count else {name: array[first : first + step] for name, array in arrays.items()}
            parts.append(model_inputs(graph, some))
    except (TypeError, ValueError) as error:
        raise type(error)(str(error) if path is None else f"{path}: {error}") from None
    return {
        tensor.name: to_file_layout(tensor, np.concatenate([part[tensor.name] for part in parts]))
        for tensor in graph.inputs
    }


def random_codes(graph: Graph, samples: int, seed: int = 0) -> dict[str, Codes]:
    """Uniform legal codes of every input of the graph, in the file's layout."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: to_file_layout(
            tensor, rng.integers(tensor.y_min, tensor.y_max, (samples, *tensor.shape), np.int8, endpoint=True)
        )
        for tensor in graph.inputs
    }
