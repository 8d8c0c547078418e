"""How far from a tie the contract's quotients of some elements are, where a runtime does not show what it rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from emulator.graph import Graph

from ..diverge.element import ElementTracer
from ..diverge.trace import Index

MOST_ELEMENTS = 256
"""Differing elements of a layer that are traced: if there are more, so many of them, evenly spread over the layer."""

Place = tuple[int, Index]
"""(sample, stored index) of an element."""


def some(places: Sequence[Place]) -> list[Place]:
    """At most `MOST_ELEMENTS` of them, the first and then ones at equal distances."""
    return list(places[:: max(1, -(-len(places) // MOST_ELEMENTS))])


def tie_distance(
    graph: Graph, parts: Sequence[str], codes: Mapping[str, NDArray[Any]], theirs: NDArray[Any], places: Sequence[Place]
) -> float | None:
    """How much farther than half a code an element, of either side, lies from the quotient that the contract rounds.

    parts : the layer, and those that are compared within it: an element that only moves is rounded in one of them
    codes : {layer: its codes, batch axis first, stored layout}; theirs : the runtime's of the layer, alike
    places : of the differing elements

    Returns None where an element has no quotient.
    """
    farthest = -0.5
    for sample, index in some(places):
        tracer = ElementTracer(graph, {name: array[sample] for name, array in codes.items()})
        trace = tracer.trace(parts[0], index)
        while trace.quotient is None and len(trace.operands) == 1 and trace.operands[0].tensor in parts:
            (moved,) = trace.operands
            if moved.place is None:
                break
            trace = tracer.trace(moved.tensor, moved.place)
        quotient: Fraction | float | None = trace.quotient
        if quotient is None:
            table = graph.metadata.get("quotients", {}).get(trace.layer)
            if table is None or len(trace.operands) != 1:
                return None
            quotient = table[trace.operands[0].code + len(table) // 2]
        rounded = graph.tensor(trace.layer)
        exact = min(max(float(quotient) + rounded.zero_point, rounded.y_min), rounded.y_max)
        farthest = max(farthest, *(abs(code - exact) - 0.5 for code in (trace.code, int(theirs[(sample, *index)]))))
    return farthest
