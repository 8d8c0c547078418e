"""Layers whose codes the file does not hold: with which other layer they are compared."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.graph import Graph


def compared_within(graph: Graph, held: Mapping[str, str]) -> dict[str, str]:
    """{layer without codes in the file: the nearest layer behind it whose codes the file holds}.

    What the file rounds once behind moves of codes, the graph rounds in front of them: the codes of the moves are those
    of the layer, in another order. A layer from which no held one is reached (sums, which the host takes) is not there.
    """
    readers: dict[str, list[str]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    within: dict[str, str] = {}
    for node in reversed(graph.nodes):
        if node.name in held:
            continue
        for reader in readers.get(node.name, ()):
            holder = reader if reader in held else within.get(reader)
            if holder is not None:
                within.setdefault(node.name, holder)
    return within


def inside(within: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """{held layer: the layers that are compared within it}."""
    found: dict[str, tuple[str, ...]] = {}
    for name, holder in within.items():
        found[holder] = (*found.get(holder, ()), name)
    return found
