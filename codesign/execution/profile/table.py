"""The layers' profile as a table."""

from __future__ import annotations

from collections.abc import Sequence

from ...table import Table, percent
from .bound import Bound
from .layer_profile import LayerProfile

_SHORT = {"post_processing": "post-processing"}


def profile_table(rows: Sequence[LayerProfile], title: str) -> Table:
    """Each layer's cycles, their share of the run, utilization, bytes on the bus, and what bounds it."""
    columns = ("layer", "operator", "bounded by", "cycles", "share", "utilization", "bus bytes")
    table, cycles = Table(title, columns, left=3), sum(row.cycles for row in rows)
    for row in rows:
        share, used = percent(row.cycles / cycles), percent(row.utilization) if row.macs else None
        table.add(row.name, row.operator, short_bound(row.bound), row.cycles, share, used, row.bytes_moved)
    return table


def notes(rows: Sequence[LayerProfile]) -> list[str]:
    """What must be said with a table of these rows."""
    if any(row.utilization > 1 for row in rows):
        return ["A layer's cycles count from the end of the one before: above 100 % it did much of its work earlier."]
    return []


def short_bound(bound: Bound) -> str:
    """``latency: reads 73 %``."""
    text = f"{bound.kind}: {_SHORT.get(bound.resource, bound.resource)} {100 * bound.share:.0f} %"
    return f"{text}, {100 * bound.used:.0f} % in use" if bound.kind == "shape" and bound.used is not None else text
