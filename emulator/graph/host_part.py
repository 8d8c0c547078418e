"""`HostPart`: what the host computes around the accelerator, in front of the graph's inputs or behind its outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ArrayType:
    """What an array must be: its element type, and its shape without the batch axis where that is known."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None


class HostPart(ABC):
    """A function of named arrays, batch axis first, in the model's own layout.

    A graph's head makes the arrays of the graph's inputs (float32 to be quantized, or int8 codes) of the model's own
    inputs. Its tail makes the model's own outputs of the graph's outputs (int8 codes, or int64 sums of a layer with
    `raw`), each under its name in `Graph.outputs`, and of inputs of the model, where it reads such.

    inputs, outputs : the names of what it reads and of what it makes
    types : input → what it must be; inputs that are not there may be whatever `run` takes
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def types(self) -> Mapping[str, ArrayType]:
        """Nothing is known, unless a part says more."""
        return {}

    @abstractmethod
    def run(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """{name: array} of `outputs`; ``ValueError`` naming the operator that cannot be computed."""
