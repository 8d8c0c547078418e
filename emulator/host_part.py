"""`HostPart`: what the host computes around the accelerator, in front of the graph's inputs or behind its outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray


class HostPart(ABC):
    """A function of named arrays, batch axis first, in the model's own layout.

    A graph's head makes the arrays of the graph's inputs (float32 to be quantized, or int8 codes) of the model's own
    inputs. Its tail makes the model's own outputs of the graph's outputs (int8 codes, or int64 sums of a layer with
    `raw`), each under its name in `Graph.outputs`, and of inputs of the model, where it reads such.

    inputs, outputs : the names of what it reads and of what it makes
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @abstractmethod
    def run(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """{name: array} of `outputs`; ``ValueError`` naming the operator that cannot be computed."""
