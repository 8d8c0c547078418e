"""The same shapes in the exact machine and in other tools: cycles of each layer, and processor time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from compiler import compile_graph
from emulator.config import AcceleratorConfig
from emulator.graph import Convolution, Graph, Linear
from emulator.machine import Machine

from ...networks import layer_alone
from ...utilization import random_inputs

ROUNDS = 5
"""Times that the layers are compiled and run before the other tool's run, and again after it."""


@dataclass(frozen=True)
class Point:
    """A layer in a tool and in the exact machine: cycles of both, from cold scratchpads to the last code stored.

    dataflow : the machine's, and the tool's where it has one
    """

    tool: str
    network: str
    dataflow: str
    layer: str
    cycles: int
    machine: int

    @property
    def error(self) -> float:
        """The tool's cycles over the machine's, less 1, in percent."""
        return signed_error(self.cycles, self.machine)


@dataclass(frozen=True)
class MachineCycles:
    """Cycles of each product layer alone and of the whole network."""

    layers: dict[str, int]
    whole: int


def signed_error(cycles: int, machine: int) -> float:
    """`cycles` over `machine`, less 1, in percent."""
    return 100 * (cycles / machine - 1)


def product_layers(graph: Graph) -> dict[str, Graph]:
    """Each convolution and linear layer of `graph` as a graph of its own, by name."""
    return {node.name: layer_alone(graph, node.name) for node in graph.nodes if isinstance(node, Convolution | Linear)}


def machine_cycles(graph: Graph, config: AcceleratorConfig, latency: int) -> MachineCycles:
    """Compile and run each product layer of `graph`, and the network as a whole."""
    layers = {name: run_alone(alone, config, latency) for name, alone in product_layers(graph).items()}
    return MachineCycles(layers, run_alone(graph, config, latency))


def run_alone(graph: Graph, config: AcceleratorConfig, latency: int) -> int:
    """Cycles of `graph`, compiled and run once on seeded codes."""
    return Machine(config, latency).run(compile_graph(graph, config), random_inputs(graph)).cycles


def machine_seconds(graph: Graph, config: AcceleratorConfig, latency: int) -> list[float]:
    """Processor seconds of compiling and running all product layers of `graph`, `ROUNDS` times.

    The cycle loop must be loaded: this is a point of a study, of which a process does many.
    """
    layers = product_layers(graph).values()
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for alone in layers:
            run_alone(alone, config, latency)
        spent.append(time.process_time() - start)
    return spent


def points(tool: str, network: str, dataflow: str, cycles: Mapping[str, int], machine: MachineCycles) -> list[Point]:
    """The layers that the machine ran and the tool has cycles of, in the machine's order."""
    return [
        Point(tool, network, dataflow, name, cycles[name], found)
        for name, found in machine.layers.items()
        if name in cycles
    ]
