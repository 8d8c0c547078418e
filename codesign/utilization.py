"""How much of the array a program uses: multiplications of the shapes over the cycles of a run; and what bounds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler import compile_graph
from emulator.config import AcceleratorConfig
from emulator.graph import Codes, Graph, to_file_layout
from emulator.instructions import Unit
from emulator.machine import Machine, Result
from emulator.program import Program

from .execution.profile import find_bound
from .networks import macs


@dataclass(frozen=True, eq=False)
class Measurement:
    """One sample of a graph in the machine.

    multiplications : those of the graph's shapes
    """

    graph: Graph
    config: AcceleratorConfig
    program: Program
    inputs: Mapping[str, Codes]
    multiplications: int
    result: Result

    @property
    def utilization(self) -> float:
        """Multiplications over those that the array could have done, 0 to 1."""
        return self.multiplications / (self.result.cycles * self.config.rows * self.config.columns)

    def shares(self) -> dict[str, float]:
        """Share of the cycles, 0 to 1, for which each unit was busy and each direction of the bus carried a beat."""
        counted, cycles = self.result.telemetry, self.result.cycles
        found = {unit.name: counted[f"{unit.name.lower()}_busy"] / cycles for unit in Unit}
        for name, counter in (("reads", "bytes_read"), ("writes", "bytes_written")):
            found[name] = counted[counter] / (cycles * self.config.bus_bytes)
        return found

    def bound(self) -> str:
        """What bounds the run, in words, by the rule of `find_bound`."""
        shares = self.shares()
        # A unit that moves data is busy while the bus carries it: the bus is the better name for it.
        resources = {"array": shares["CONVOLVE"], "post_processing": shares["POST_PROCESS"]}
        entered = self.result.telemetry["macs"]
        used = self.multiplications / entered if self.multiplications and entered else None
        return find_bound(resources | {name: shares[name] for name in ("reads", "writes")}, used).reason


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, Codes]:
    """One sample of seeded legal codes, in the model's layout."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: to_file_layout(
            tensor, rng.integers(tensor.y_min, tensor.y_max, (1, *tensor.shape), np.int8, endpoint=True)
        )
        for tensor in graph.inputs
    }


def measure(graph: Graph, config: AcceleratorConfig, latency: int) -> Measurement:
    """Compile `graph` for `config` and run one sample of it in the machine, behind a memory of that latency."""
    program, inputs = compile_graph(graph, config), random_inputs(graph)
    result = Machine(config, latency).run(program, inputs)
    return Measurement(graph, config, program, inputs, macs(graph), result)
