"""How far from a tie the contract's quotients of some elements are, where a runtime does not show what it rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from emulator.graph import Graph

from ..diverge.element import ElementTracer
from ..diverge.trace import Index

MOST_ELEMENTS = 256
"""Elements of a layer that are looked at."""


def tie_distance(
    graph: Graph, parts: Sequence[str], codes: Mapping[str, NDArray[Any]], places: list[tuple[int, Index]]
) -> float | None:
    """The farthest distance of an element's quotient from a tie, in codes; None where an element has no quotient.

    parts : the layer, and those that are compared within it: an element that only moves is rounded in one of them
    codes : {layer: its codes, batch axis first, stored layout}; places : (sample, stored index) of the elements
    """
    farthest = 0.0
    for sample, index in places[:MOST_ELEMENTS]:
        tracer = ElementTracer(graph, {name: array[sample] for name, array in codes.items()})
        trace = tracer.trace(parts[0], index)
        while trace.quotient is None and len(trace.operands) == 1 and trace.operands[0].tensor in parts:
            (moved,) = trace.operands
            if moved.place is None:
                break
            trace = tracer.trace(moved.tensor, moved.place)
        quotient = trace.quotient
        if quotient is None:
            table = graph.metadata.get("quotients", {}).get(trace.layer)
            if table is None or len(trace.operands) != 1:
                return None
            quotient = table[trace.operands[0].code + len(table) // 2]
        farthest = max(farthest, abs(float(quotient % 1) - 0.5))
    return farthest
