"""Bands: lines of a map that fits the scratchpads whole, so that layers follow one another piece by piece.

The array begins with a band of a layer's input while the layer before still computes, post-processes and stores its
other bands; without them it would wait for the last code's way through memory.
"""

from __future__ import annotations

from .tiling import Span, Tile

END_POSITIONS = 64
"""Positions of the first and the last of three bands, where the map has enough."""
LEAST_POSITIONS = 20
"""Positions of a band: fewer would wait for the sums that they carry on, or for weights."""


def bands(rows: Span, columns: Span, unit: int = 1) -> list[Tile]:
    """rows × columns in up to three bands of whole lines, or of pixels of a single line.

    unit : positions that the array computes together; bands never take more of these than the whole does
    """
    total, width = (len(columns), 1) if len(rows) == 1 else (len(rows), len(columns))
    for sizes in (_ends(total, width), _halves(total, width, unit)):
        if sizes and sum(-(-size * width // unit) for size in sizes) <= -(-total * width // unit):
            break
    else:
        sizes = [total]
    made, first = [], 0
    for size in sizes:
        span = Span(first, first + size)
        if len(rows) == 1:
            made.append(Tile(rows, Span(columns.first + span.first, columns.first + span.last)))
        else:
            made.append(Tile(Span(rows.first + span.first, rows.first + span.last), columns))
        first += size
    return made


def _ends(total: int, width: int) -> list[int]:
    """Three pieces, the outer ones small."""
    positions = total * width
    end = -(-min(END_POSITIONS, max(positions // 4, LEAST_POSITIONS)) // width)
    middle = total - 2 * end
    return [end, middle, end] if middle * width >= LEAST_POSITIONS and middle >= end else []


def _halves(total: int, width: int, unit: int) -> list[int]:
    """Two pieces, the first one of whole units."""
    first = next((n for n in range((total + 1) // 2, 0, -1) if n * width % unit == 0), 0)
    return [first, total - first] if min(first, total - first) * width >= LEAST_POSITIONS else []
