"""What a run leaves behind; the machine and the RTL simulation give the same types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.inputs import model_outputs
from ..instructions import Error
from ..program import Program
from ..registers import COUNTERS


class StoppedError(RuntimeError):
    """The accelerator stopped with an error; the text names it and the instruction."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One run of one memory image.

    memory : afterwards
    cycles : clock cycles from the one that takes the start to the one that raises the interrupt
    error, error_index : why it stopped, and at which instruction
    counters : by the names of `emulator.registers.COUNTERS`
    lane_counters (3, columns) : int64, in the order of `emulator.registers.LANE_COUNTERS`
    timeline (instructions, 3) : int64, unit, cycle of the start and of the end, −1 where there was none; or None
    """

    memory: bytes
    cycles: int
    error: Error
    error_index: int
    counters: dict[str, int]
    lane_counters: NDArray[np.int64]
    timeline: NDArray[np.int64] | None = None

    def differences(self, other: RunRecord) -> list[str]:
        """What differs from `other`, in words; timelines are not compared."""
        found = [
            f"{name}: {getattr(self, name)} != {getattr(other, name)}"
            for name in ("cycles", "error", "error_index", "counters")
            if getattr(self, name) != getattr(other, name)
        ]
        if not np.array_equal(self.lane_counters, other.lane_counters):
            found.append("lane_counters")
        if self.memory != other.memory:
            mine, others = (np.frombuffer(record.memory, np.uint8) for record in (self, other))
            same = len(mine) == len(others)
            found.append(f"memory: from byte {int((mine != others).argmax())} on" if same else "memory: its length")
        return found


@dataclass(frozen=True, eq=False)
class Result:
    """A program run on a batch of samples.

    outputs : the model's output name → int8 codes, the model's layout, batch axis first; int64 sums of a layer with
        `raw`; or what the graph's tail makes of them
    layers : codes or sums of every layer, read out of the memory
    cycles : of all samples together
    cycles_per_sample : one entry a sample
    counters : "overflowed" and "clipped" → layer → int64 counts per output channel, all samples together
    telemetry : the run's counters by the names of `emulator.registers.COUNTERS`, all samples together
    memory : the external memory after the last sample
    first : the first sample's run, with its timeline where one was recorded
    """

    outputs: dict[str, NDArray[Any]]
    layers: dict[str, NDArray[Any]]
    cycles: int
    cycles_per_sample: tuple[int, ...]
    counters: dict[str, dict[str, NDArray[np.int64]]]
    telemetry: dict[str, int]
    memory: bytes
    first: RunRecord


def make_result(
    program: Program, records: Sequence[RunRecord], inputs: Mapping[str, NDArray[Any]] | None = None
) -> Result:
    """Read outputs, layers and counters out of the memories; `StoppedError` if a run ended with an error.

    inputs : the model's own, which the program's tail may read, too
    """
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
    kinds = "overflowed", "clipped"
    counts: dict[str, dict[str, NDArray[np.int64]]] = {kind: {} for kind in kinds}
    for record in records:
        for layer, values in program.read_counters(record.memory).items():
            for kind, value in zip(kinds, values, strict=True):
                counts[kind][layer] = counts[kind].get(layer, 0) + value
    return Result(
        outputs=model_outputs(program.doors, {name: every[layer] for name, layer in program.outputs.items()}, inputs),
        layers=layers,
        cycles=sum(record.cycles for record in records),
        cycles_per_sample=tuple(record.cycles for record in records),
        counters=counts,
        telemetry={name: sum(record.counters[name] for record in records) for name in COUNTERS},
        memory=records[-1].memory,
        first=records[0],
    )
