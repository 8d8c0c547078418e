"""The layers' profile as a table."""

from __future__ import annotations

from collections.abc import Sequence

from ...table import Table, percent
from .bound import Bound
from .layer_profile import LayerProfile

_SHORT = {"post_processing": "post"}


def profile_table(rows: Sequence[LayerProfile], title: str) -> Table:
    """Each layer's cycles, their share of the run, utilization, bytes on the bus, and what bounds it."""
    columns = ("layer", "bounded by", "cycles", "share", "utilization", "bus bytes")
    table = Table(title, columns, left=2, whole=columns[1:2])
    cycles = sum(row.cycles for row in rows)
    for row in rows:
        share, used = percent(row.cycles / cycles), percent(row.utilization) if row.utilization else None
        table.add(row.name, short_bound(row.bound), row.cycles, share, used, row.bytes_moved)
    return table


def short_bound(bound: Bound) -> str:
    """``latency: reads 73 %``: the busiest resource; ``shape: 25 % of array``: the share of its elements in use."""
    if bound.kind == "shape" and bound.used is not None:
        return f"shape: {100 * bound.used:.0f} % of array"
    return f"{bound.kind}: {_SHORT.get(bound.resource, bound.resource)} {100 * bound.share:.0f} %"
