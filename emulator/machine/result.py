"""What a run leaves behind; the machine and the RTL simulation give the same types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..graph import Codes
from ..instructions import Error
from ..program import Program


class StoppedError(RuntimeError):
    """The accelerator stopped with an error; the text names it and the instruction."""


@dataclass(frozen=True)
class RunRecord:
    """One run of one memory image: the memory afterwards, the cycles, the error and the index of its instruction."""

    memory: bytes
    cycles: int
    error: Error
    error_index: int


@dataclass(frozen=True, eq=False)
class Result:
    """A program run on a batch of samples.

    outputs : ONNX output name → int8 codes, the model's layout, batch axis first
    layers : the same for every layer, read out of the memory
    cycles : of all samples together
    cycles_per_sample : one entry a sample
    counters : "overflowed" and "clipped" → layer → int64 counts per output channel, all samples together
    memory : the external memory after the last sample
    """

    outputs: dict[str, Codes]
    layers: dict[str, Codes]
    cycles: int
    cycles_per_sample: tuple[int, ...]
    counters: dict[str, dict[str, NDArray[np.int64]]]
    memory: bytes


def make_result(program: Program, records: Sequence[RunRecord]) -> Result:
    """Read outputs, layers and counters out of the memories; `StoppedError` if a run ended with an error."""
    for sample, record in enumerate(records):
        if record.error != Error.NONE:
            index = record.error_index
            name = (
                program.instructions[index].opcode.name if index < len(program.instructions) else "beyond the program"
            )
            error = Error(record.error).name
            raise StoppedError(
                f"the accelerator stopped with error {error} at instruction {index} ({name}), sample {sample}"
            )
    layers = {
        layer: np.concatenate([program.read(record.memory, layer) for record in records]) for layer in program.tensors
    }
    every = {**layers}
    for name in program.inputs:
        if name in program.outputs.values():
            every[name] = np.concatenate([program.read(record.memory, name) for record in records])
    counts: dict[str, dict[str, NDArray[np.int64]]] = {"overflowed": {}, "clipped": {}}
    for record in records:
        for layer, (overflowed, clipped) in program.read_counters(record.memory).items():
            for kind, values in (("overflowed", overflowed), ("clipped", clipped)):
                counts[kind][layer] = counts[kind].get(layer, 0) + values
    return Result(
        outputs={name: every[layer] for name, layer in program.outputs.items()},
        layers=layers,
        cycles=sum(record.cycles for record in records),
        cycles_per_sample=tuple(record.cycles for record in records),
        counters=counts,
        memory=records[-1].memory,
    )
