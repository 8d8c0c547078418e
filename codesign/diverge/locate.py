"""Where the codes of two executions of a graph differ: layers in the graph's order, elements in the stored order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Graph, Node, from_file_layout

from .trace import Index


@dataclass(frozen=True)
class LayerDifference:
    """One layer in two executions.

    compared, differing, largest : numbers of codes and the largest difference; None where one of them does not show it
    """

    name: str
    operator: str
    compared: int | None = None
    differing: int | None = None
    largest: int | None = None


@dataclass(frozen=True)
class Place:
    """One element of a layer: the sample, and the index in the layer's stored axes."""

    layer: str
    sample: int
    index: Index


def compare_layers(
    graph: Graph, a: Mapping[str, NDArray[Any]], b: Mapping[str, NDArray[Any]]
) -> tuple[LayerDifference, ...]:
    """Every layer of the graph, in its order; over the samples that both have (the first ones)."""
    return tuple(_compare(node, a.get(node.name), b.get(node.name)) for node in graph.nodes)


def _compare(node: Node, a: NDArray[Any] | None, b: NDArray[Any] | None) -> LayerDifference:
    operator = type(node).__name__
    if a is None or b is None:
        return LayerDifference(node.name, operator)
    left, right = _both(node, a, b)
    difference = np.abs(left - right)
    return LayerDifference(
        node.name, operator, difference.size, int(np.count_nonzero(difference)), int(difference.max(initial=0))
    )


def first_place(node: Node, a: NDArray[Any], b: NDArray[Any]) -> Place | None:
    """The first element that differs: of the first such sample, in the order in which the accelerator stores codes."""
    left, right = _both(node, a, b)
    found = np.argwhere(from_file_layout(node, left) != from_file_layout(node, right))
    if not len(found):
        return None
    sample, *index = (int(at) for at in found[0])
    return Place(node.name, sample, tuple(index))


def _both(node: Node, a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    samples = min(len(a), len(b))
    left, right = a[:samples].astype(np.int64), b[:samples].astype(np.int64)
    if left.shape != right.shape:
        raise ValueError(f"layer {node.name!r} must have one shape, not {left.shape[1:]} and {right.shape[1:]}")
    return left, right
