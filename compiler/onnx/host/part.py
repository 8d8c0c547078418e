"""`OnnxPart`: a head or tail of the graph that is a part of the ONNX file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph.host_part import ArrayType, HostPart
from emulator.operators.quantize import dequantize

from .runtime import Arrays, function


class Form(ABC):
    """How an array of the graph becomes the file's tensor of the same name, of element type `type`."""

    type: np.dtype[Any]

    @abstractmethod
    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The file's tensor."""


@dataclass(frozen=True)
class CodesForm(Form):
    """int8 codes as the file's type has them: `offset` higher."""

    type: np.dtype[Any]
    offset: int

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Codes of the file's type."""
        return (array.astype(np.int16) + self.offset).astype(self.type)


@dataclass(frozen=True)
class RealForm(Form):
    """int8 codes as the float32 numbers that they stand for, in the file's type."""

    scale: float
    zero_point: int
    type: np.dtype[Any]

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Numbers of the file's type."""
        with np.errstate(over="ignore", under="ignore"):
            return dequantize(array, self.scale, self.zero_point).astype(self.type, copy=False)


@dataclass(frozen=True, eq=False)
class SumsForm(Form):
    """int64 sums, channels on axis 1, as ``scale · sum + offset``, computed in float64 and rounded to `type` once.

    turned : the file has the channels on the last axis
    type : of the file, int32 for sums that it does not make real numbers
    """

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    turned: bool
    type: np.dtype[Any]

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Numbers of the file's type."""
        shape = (-1, *[1] * (array.ndim - 2))
        with np.errstate(over="ignore", under="ignore"):
            real = array * self.scale.reshape(shape) + self.offset.reshape(shape)
            real = real.astype(self.type)
        return np.ascontiguousarray(np.moveaxis(real, 1, -1)) if self.turned else real


@dataclass(frozen=True)
class Feed:
    """A model's own input as the file declares it: its element type and its shape, whose first size is the batch."""

    type: np.dtype[Any]
    shape: tuple[int, ...] | None

    def checked(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """`array`; floats are brought to the declared type. ``TypeError`` or ``ValueError`` naming the input."""
        found = array.dtype if isinstance(array, np.ndarray) else None
        if found is None or (found != self.type and not found.kind == self.type.kind == "f"):
            raise TypeError(f"input {name!r} must be an array of {self.type}, not {found or type(array).__name__}")
        if self.shape is not None and (array.ndim != len(self.shape) + 1 or array.shape[1:] != self.shape):
            wanted = ", ".join(map(str, ("batch", *self.shape)))
            raise ValueError(f"input {name!r} must have shape ({wanted}), not {array.shape}")
        with np.errstate(over="ignore", under="ignore"):
            return array.astype(self.type, copy=False)


@dataclass(frozen=True, eq=False)
class OnnxPart(HostPart):
    """Operators of the file around the accelerator.

    model : the serialized ONNX model of them, empty where there are none
    feeds : the model's own inputs among `inputs`
    forms : the graph's outputs among `inputs`
    constants : outputs that are the same for all inputs
    copies : output → the tensor that it is, under another name
    shifted : outputs that are uint8 in the file and int8 codes, 128 lower, in the graph
    batch : the batch size if the file fixes it; more samples are run one batch after the other
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    model: bytes
    feeds: Mapping[str, Feed]
    forms: Mapping[str, Form]
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    shifted: frozenset[str] = frozenset()
    batch: int | None = None

    @property
    def types(self) -> dict[str, ArrayType]:
        """What the model's own inputs must be."""
        return {name: ArrayType(feed.type, feed.shape) for name, feed in self.feeds.items()}

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        """{name: array} of `outputs`; ``ValueError`` naming the operator that cannot be computed."""
        tensors = {name: feed.checked(name, arrays[name]) for name, feed in self.feeds.items()}
        tensors |= {name: form.of(arrays[name]) for name, form in self.forms.items()}
        sizes = {array.shape[0] for array in tensors.values() if array.ndim}
        count = sizes.pop() if len(sizes) == 1 else 0
        if self.batch and count > self.batch and count % self.batch == 0:
            parts = [
                self._run({name: array[first : first + self.batch] for name, array in tensors.items()})
                for first in range(0, count, self.batch)
            ]
            made = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        else:
            made = self._run(tensors)
        for name in self.shifted:
            made[name] = (made[name].astype(np.int16) - 128).astype(np.int8)
        return {name: made[name] if name in made else self.constants[name] for name in self.outputs}

    def _run(self, tensors: Arrays) -> Arrays:
        made = function(self.model)(tensors) if self.model else {}
        known = {**tensors, **made}
        named = {name: self.copies.get(name, name) for name in self.outputs}
        return {name: known[origin] for name, origin in named.items() if origin in known}
