"""Layers by rows at either end of a graph: no instruction computes them, so the host does, with the same integers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields, replace

from emulator.graph import (
    Convolution,
    Graph,
    LayerNorm,
    Linear,
    MatrixProduct,
    Node,
    Reshape,
    RMSNorm,
    Softmax,
    Tensor,
    Transpose,
)
from emulator.graph.host_layers import HostLayersAhead, HostLayersBehind

from .compile_error import CompileError

ROWS = Softmax, LayerNorm, RMSNorm
ARRAY = Convolution, Linear, MatrixProduct
"""What is the array's work, and not the host's."""
MOVES = Reshape, Transpose


def without_rows(graph: Graph) -> Graph:
    """The graph that is the accelerator's: without layers by rows, and what depends on them in front or behind.

    Raises `CompileError` for a layer by rows between layers with weights, and where nothing is left.
    """
    rows = [node for node in graph.nodes if isinstance(node, ROWS)]
    if not rows:
        return graph
    ahead: set[str] = set()
    behind: set[str] = set()
    for node in rows:
        following, before = _following(graph, node), _before(graph, node)
        weighted = _weighted(graph, following)
        if not weighted:
            behind |= following
        elif not _weighted(graph, before):
            ahead |= before
        else:
            raise CompileError(
                f"layer {node.name!r} ({type(node).__name__}): the accelerator has no instruction for layers by rows, "
                f"and the host computes them only in front of all layers with weights or behind them, not in front of "
                f"{weighted[0]!r}; run_graph computes the whole graph"
            )
    behind |= _moves(graph, behind)
    if len(ahead) + len(behind) == len(graph.nodes):
        raise CompileError(
            f"layer {rows[0].name!r} ({type(rows[0]).__name__}): the accelerator has no instruction for layers by "
            "rows, and no other layer is left to it; run_graph computes the whole graph"
        )
    return _behind(_ahead(graph, ahead) if ahead else graph, behind)


def _ahead(graph: Graph, ahead: Collection[str]) -> Graph:
    """The layers `ahead` become the end of the head."""
    rest = [node for node in graph.nodes if node.name not in ahead]
    read = _read(rest) | set(graph.outputs.values())
    tensors = (*graph.inputs, *(node for node in graph.nodes if node.name in ahead))
    inputs = tuple(_plain(tensor) for tensor in tensors if tensor.name in read)
    layers = replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node.name in ahead),
        outputs={tensor.name: tensor.name for tensor in inputs},
        tail=None,
    )
    return replace(graph, inputs=inputs, nodes=tuple(rest), head=HostLayersAhead(layers))


def _behind(graph: Graph, behind: Collection[str]) -> Graph:
    """The layers `behind` become the beginning of the tail."""
    if not behind:
        return graph
    rest = tuple(node for node in graph.nodes if node.name not in behind)
    last = tuple(node for node in graph.nodes if node.name in behind)
    outputs = {output: name for output, name in graph.outputs.items() if name not in behind}
    taken = {*graph.outputs, *(() if graph.tail is None else graph.tail.inputs)}
    given: dict[str, str] = {}
    for tensor in (*graph.inputs, *rest):
        if tensor.name in _read(last):
            output = tensor.name
            while output in taken:
                output += "/codes"
            taken.add(output)
            given[tensor.name] = output
    layers = replace(
        graph,
        inputs=tuple(_plain(tensor) for tensor in (*graph.inputs, *rest) if tensor.name in given),
        nodes=last,
        outputs={output: name for output, name in graph.outputs.items() if name in behind},
        head=None,
        tail=None,
    )
    outputs |= {output: name for name, output in given.items()}
    return replace(graph, nodes=rest, outputs=outputs, tail=HostLayersBehind(graph, layers, given, tuple(outputs)))


def _plain(tensor: Tensor) -> Tensor:
    """What a layer makes, as an input of a graph."""
    return Tensor(**{field.name: getattr(tensor, field.name) for field in fields(Tensor)})


def _read(nodes: Iterable[Node]) -> set[str]:
    return {name for node in nodes for name in node.inputs}


def _following(graph: Graph, first: Node) -> set[str]:
    """The layer, and all that depend on it."""
    found = {first.name}
    for node in graph.nodes:
        if not found.isdisjoint(node.inputs):
            found.add(node.name)
    return found


def _before(graph: Graph, last: Node) -> set[str]:
    """The layer, and all that it depends on."""
    found = {last.name}
    for node in reversed(graph.nodes):
        if node.name in found:
            found.update(node.inputs)
    return {node.name for node in graph.nodes if node.name in found}


def _moves(graph: Graph, behind: Collection[str]) -> set[str]:
    """The moves of codes that only layers in `behind` read."""
    found: set[str] = set()
    shown = set(graph.outputs.values())
    for node in reversed(graph.nodes):
        if isinstance(node, MOVES) and node.name not in shown and node.name not in behind:
            readers = {reader.name for reader in graph.nodes if node.name in reader.inputs}
            if readers and readers <= found.union(behind):
                found.add(node.name)
    return found


def _weighted(graph: Graph, names: Collection[str]) -> list[str]:
    return [node.name for node in graph.nodes if node.name in names and isinstance(node, ARRAY)]
