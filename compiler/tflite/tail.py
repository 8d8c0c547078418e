"""What the host computes behind the last codes: the steps, and the `HostPart` that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph.host_part import HostPart

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Step:
    """name : what computes, for messages; reads, makes : tensors by index; compute : arrays, batch axis first."""

    name: str
    reads: tuple[int, ...]
    makes: int
    compute: Callable[..., Array]


@dataclass(frozen=True, eq=False)
class TfliteTail(HostPart):
    """Steps behind the graph's outputs.

    reads, shows : the tensors that `inputs` (of the graph) and `outputs` (of the model) are
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reads: tuple[int, ...]
    shows: tuple[int, ...]
    steps: tuple[Step, ...]

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """{name: array} of the model's outputs."""
        values = {tensor: arrays[name] for name, tensor in zip(self.inputs, self.reads, strict=True)}
        for step in self.steps:
            try:
                values[step.makes] = step.compute(*(values[tensor] for tensor in step.reads))
            except ValueError as error:
                raise ValueError(f"{step.name}: {error}") from None
        return {name: values[tensor] for name, tensor in zip(self.outputs, self.shows, strict=True)}


class TailBuilder:
    """Collects the steps of a file; `needed` gives those that some outputs need."""

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}

    def __contains__(self, tensor: int) -> bool:
        return tensor in self._steps

    def add(self, step: Step) -> None:
        """Append a step; ``ValueError`` if its tensor is made already."""
        if step.makes in self._steps:
            raise ValueError("makes a tensor that is made already")
        self._steps[step.makes] = step

    def maker(self, tensor: int) -> str:
        """What makes a host value."""
        return self._steps[tensor].name

    def needed(self, tensors: list[int]) -> tuple[list[int], tuple[Step, ...]]:
        """(tensors of the graph that are read, steps in order) for these host values."""
        wanted = set(tensors)
        reads: set[int] = set()
        for step in reversed(self._steps.values()):
            if step.makes in wanted:
                wanted.update(step.reads)
        steps = tuple(step for step in self._steps.values() if step.makes in wanted)
        for step in steps:
            reads.update(tensor for tensor in step.reads if tensor not in self._steps)
        return sorted(reads), steps


def unsigned(codes: Array) -> Array:
    """int8 codes as the uint8 codes that the file has of them."""
    return codes.view(np.uint8) ^ np.uint8(0x80)
