"""`Value`: a number of a point, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("exact", "estimate", "model")


@dataclass(frozen=True)
class Value:
    """A number and its standing.

    kind : ``exact``: counted or computed, the RTL's own; ``estimate``: predicted from measurements of others, with an
        error; ``model``: exact counts times constants that somebody published
    error : of an estimate: the worst relative error of leave-one-out predictions, as a share; else None
    source : where it is from, in a few words ("machine", "Yosys", "area model of 32 syntheses")
    """

    number: float
    kind: str = "exact"
    error: float | None = None
    source: str = ""
