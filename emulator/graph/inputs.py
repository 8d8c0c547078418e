"""The doors: the model's inputs become codes in the emulator's layout, and codes the model's outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks import check_codes
from ..operators.quantize import quantize
from .host_part import HostPart
from .layouts import file_shape, from_file_layout
from .nodes import Codes, Tensor


class Doors(Protocol):
    """What stands between a model and its integers: a `Graph`, or what a `Program` has kept of it."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the host supplies."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """Output name → name of the tensor it shows."""

    @property
    def head(self) -> HostPart | None:
        """What the host computes in front of the inputs."""

    @property
    def tail(self) -> HostPart | None:
        """What the host computes behind the outputs."""


def model_inputs(graph: Doors, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Codes]:
    """`check_inputs` of the graph's inputs, which its head, if it has one, makes of the model's own.

    Raises as `check_inputs` does.
    """
    head = graph.head
    made: dict[str, NDArray[Any]] = {}
    direct = [tensor.name for tensor in graph.inputs if head is None or tensor.name not in head.outputs]
    _check_names(input_names(graph), inputs)
    if head is not None:
        made = head.run({name: inputs[name] for name in head.inputs})
    return check_inputs(graph.inputs, made | {name: inputs[name] for name in direct})


def input_names(graph: Doors) -> tuple[str, ...]:
    """The names of the model's own inputs: what the head reads, what it does not make, and what only the tail reads."""
    head, tail = graph.head, graph.tail
    made = () if head is None else head.outputs
    names = [*(() if head is None else head.inputs), *(t.name for t in graph.inputs if t.name not in made)]
    names += [] if tail is None else [name for name in tail.inputs if name not in graph.outputs]
    return tuple(dict.fromkeys(names))


def model_outputs(
    graph: Doors, outputs: Mapping[str, NDArray[Any]], inputs: Mapping[str, NDArray[Any]] | None = None
) -> dict[str, NDArray[Any]]:
    """The model's own outputs of the graph's, {name: array in the file's layout}, by its tail if it has one.

    inputs : the model's own, some of which the tail may read, too
    """
    tail = graph.tail
    if tail is None:
        return dict(outputs)
    kept = {name: array for name, array in outputs.items() if name not in tail.inputs}
    known = {**(inputs or {}), **outputs}
    return kept | tail.run({name: known[name] for name in tail.inputs})


def check_inputs(tensors: Iterable[Tensor], inputs: Mapping[str, NDArray[Any]]) -> dict[str, Codes]:
    """{name: int8 codes (batch, *stored shape)} of all inputs, which come in the file's layout; floats quantized.

    Raises ``ValueError`` for a missing or unknown name, a wrong shape, codes outside y_min … y_max, or batches of
    different sizes; ``TypeError`` for anything but floats and int8.
    """
    known = {tensor.name: tensor for tensor in tensors}
    _check_names(known, inputs)
    codes = {name: _check_input(tensor, inputs[name]) for name, tensor in known.items()}
    batches = {name: array.shape[0] for name, array in codes.items()}
    if len(set(batches.values())) > 1:
        raise ValueError(f"inputs must have one batch size, not {batches}")
    return codes


def _check_names(known: Iterable[str], inputs: Mapping[str, NDArray[Any]]) -> None:
    if not isinstance(inputs, Mapping):
        raise TypeError(f"inputs must be a dictionary of arrays by input name, not {type(inputs).__name__}")
    names = [*known]
    for name in inputs:
        if name not in names:
            raise ValueError(f"inputs must be named {', '.join(map(repr, names))}, not {name!r}")
    for name in names:
        if name not in inputs:
            raise ValueError(f"inputs must have {name!r}, not only {', '.join(map(repr, inputs)) or 'nothing'}")


def _check_input(tensor: Tensor, array: object) -> Codes:
    where = f"input {tensor.name!r}"
    if not isinstance(array, np.ndarray) or not (array.dtype == np.int8 or array.dtype.kind == "f"):
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{where} must be an array of floats or of int8 codes, not {found}")
    shape = file_shape(tensor)
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise ValueError(f"{where} must have shape (batch, {', '.join(map(str, shape))}), not {array.shape}")
    if array.dtype == np.int8:
        check_codes(where, array, None, tensor.y_min, tensor.y_max)
        return from_file_layout(tensor, array)
    if np.isnan(array).any():
        raise ValueError(f"{where} must not contain NaN")
    codes = quantize(array, tensor.scale, tensor.zero_point, tensor.y_min, tensor.y_max)
    return from_file_layout(tensor, codes)
