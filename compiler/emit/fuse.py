"""Fusion: which layers run in the last steps of the instruction that makes their input."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from emulator.graph import (
    Add,
    AveragePool,
    Convolution,
    Graph,
    Linear,
    LookupTable,
    MaxPool,
    Node,
    Product,
    Rescale,
    RescaledAdd,
)

WITH_TABLE = (Convolution, Linear, Add, RescaledAdd, Product, AveragePool, MaxPool, Rescale)


@dataclass(frozen=True, eq=False)
class Step:
    """Layers that are emitted together: `main`, then maybe a residual add of the tensor `operand`, then maybe a table.

    swapped : the main layer's codes are the add's second input
    """

    main: Node
    add: Add | RescaledAdd | None = None
    operand: str = ""
    swapped: bool = False
    table: LookupTable | None = None

    @property
    def layers(self) -> tuple[Node, ...]:
        """All its layers, in order."""
        return tuple(node for node in (self.main, self.add, self.table) if node is not None)


def fuse(graph: Graph, without_add: Collection[str] = ()) -> list[Step]:
    """The graph's layers in the order of emission.

    A layer whose only reader is fused behind it has no codes in memory.

    without_add : layers behind which no add can run
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    shown = set(graph.outputs.values())
    tensors = {tensor.name: tensor for tensor in (*graph.inputs, *graph.nodes)}
    place = {node.name: index for index, node in enumerate(graph.nodes)}

    def only_reader(node: Node) -> Node | None:
        found = readers.get(node.name, [])
        return found[0] if len(found) == 1 and node.name not in shown else None

    behind: dict[str, Step] = {}  # by the name of the add
    for node in graph.nodes:
        if not isinstance(node, Add | RescaledAdd):
            continue
        candidates = []
        for side, name in enumerate(node.inputs):
            main, other = tensors[name], tensors[node.inputs[1 - side]]
            if (
                isinstance(main, Convolution | Linear)
                and main.name not in without_add
                and only_reader(main) is node
                and not (side == 1 and node.subtract)
                and main.shape == other.shape == node.shape
            ):
                candidates.append(Step(main, node, other.name, side == 1))
        if candidates:
            behind[node.name] = max(candidates, key=lambda step: place[step.main.name])
    steps: list[Step] = []
    taken = {step.main.name for step in behind.values()}
    for node in graph.nodes:
        if node.name in taken:
            continue
        step = behind.get(node.name, Step(node))
        last = step.layers[-1]
        reader = only_reader(last)
        if isinstance(reader, LookupTable) and isinstance(last, WITH_TABLE) and reader.shape == last.shape:
            step = Step(step.main, step.add, step.operand, step.swapped, reader)
            taken.add(reader.name)
        steps.append(step)
    return steps
