"""The inputs of a model: random, or of an .npz file, whose headers are checked before data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Codes, Graph, file_shape, to_file_layout
from emulator.inputs import check_inputs

from .archive import Archive, open_npz
from .npy_header import NpyHeader

MOST_RANDOM_BYTES = 1 << 28
"""Random codes that a run may draw; a file of inputs has its own limit."""


@dataclass(frozen=True)
class InputType:
    """What a model takes as one of its inputs.

    shape : without the batch axis, in the model's own layout
    unsigned : its codes are those of uint8, 128 above the integers of the graph
    """

    name: str
    shape: tuple[int, ...]
    unsigned: bool = False

    def reason_against(self, header: NpyHeader) -> str | None:
        """Why an array with this header cannot be this input; None: it can."""
        wanted = np.uint8 if self.unsigned else np.int8
        if header.dtype.kind != "f" and header.dtype != wanted:
            return f"must be an array of floats or of {np.dtype(wanted)} codes, not {header.dtype}"
        if not header.shape or header.shape[1:] != self.shape:
            return f"must have shape (batch, {', '.join(map(str, self.shape))}), not {header.shape}"
        return "must hold at least one sample" if header.shape[0] == 0 else None


def input_types(graph: Graph) -> tuple[InputType, ...]:
    """What the model of `graph` takes."""
    unsigned = graph.metadata.get("unsigned_inputs", ())
    return tuple(InputType(tensor.name, file_shape(tensor), tensor.name in unsigned) for tensor in graph.inputs)


def read_inputs(
    types: Sequence[InputType], path: str | PathLike[str], samples: int | None = None
) -> dict[str, NDArray[Any]]:
    """{input name: floats, or int8 codes}, the first `samples` (None: all) of an .npz file, in the model's layout.

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
    return {kind.name: _codes(arrays[names[kind.name]]) for kind in types}


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


def _codes(array: NDArray[Any]) -> NDArray[Any]:
    return (array ^ 0x80).view(np.int8) if array.dtype == np.uint8 else array


def load_inputs(
    graph: Graph, path: str | PathLike[str] | None, samples: int | None = None, seed: int = 0
) -> dict[str, Codes]:
    """{input name: int8 codes in the model's layout}: the first `samples` of an .npz file (None: all), or random codes.

    Raises what `read_inputs` raises, and ``ValueError`` naming the file for NaN and for codes that are not legal.
    """
    size = sum(int(np.prod(tensor.shape)) for tensor in graph.inputs)
    most = max(1, MOST_RANDOM_BYTES // size)
    if path is None:
        if samples is None or not 1 <= samples <= most:
            raise ValueError(f"samples must be from 1 to {most} without a file of inputs, not {samples}")
        return random_codes(graph, samples, seed)
    arrays = read_inputs(input_types(graph), path, samples)
    return quantized(graph, arrays, path)


def quantized(graph: Graph, arrays: Mapping[str, NDArray[Any]], path: str | PathLike[str]) -> dict[str, Codes]:
    """The codes of a file's arrays, in the model's layout; errors name the file."""
    try:
        codes = check_inputs(graph.inputs, arrays)
        return {tensor.name: to_file_layout(tensor, codes[tensor.name]) for tensor in graph.inputs}
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from None


def random_codes(graph: Graph, samples: int, seed: int = 0) -> dict[str, Codes]:
    """Uniform legal codes of every input, in the model's layout."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: to_file_layout(
            tensor, rng.integers(tensor.y_min, tensor.y_max, (samples, *tensor.shape), np.int8, endpoint=True)
        )
        for tensor in graph.inputs
    }
