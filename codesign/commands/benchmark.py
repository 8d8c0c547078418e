"""``lockstep benchmark``: the README's figures, measured on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from ..console import Output, Phases
from ..table import Table

BENCHMARKS = {
    "emulator": "codesign.benchmarks.emulator",
    "utilization": "codesign.benchmarks.utilization",
    "simulation": "codesign.benchmarks.simulation",
    "qat": "codesign.benchmarks.qat",
    "frontdoor": "codesign.benchmarks.frontdoor.rows",
}
"""Name → module whose ``rows()`` gives [{"name", "value", "unit", "target", "holds"}, …]."""


def run(names: Sequence[str], options: Mapping[str, Mapping[str, Any]], json_file: str | None) -> bool:
    """Run the benchmarks `names` (none: all) and show their rows; returns whether no row misses its target.

    options : {benchmark: keyword arguments of its ``rows()``}

    Raises ``ValueError`` listing the names for an unknown one, and naming an option of a benchmark that does not run.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise ValueError(f"a benchmark must be one of {', '.join(BENCHMARKS)}, not {name!r}")
    for name, given in options.items():
        if given and names and name not in names:
            option = next(iter(given)).replace("_", "-")
            raise ValueError(f"--{option} is for the benchmark {name}, not {', '.join(names)}")
    output = Output(json_file)
    rows: list[dict[str, Any]] = []
    with Phases() as phases:
        for name in names or list(BENCHMARKS):
            measure: Callable[..., list[dict[str, Any]]] = import_module(BENCHMARKS[name]).rows
            with phases.phase(name):
                rows += measure(**options.get(name, {}))
    table = Table("Benchmarks", ("name", "value", "unit", "target", "holds"))
    for row in rows:
        table.add(row["name"], figure(row["value"]), row["unit"], figure(row["target"]), row["holds"])
    output.show(table)
    output.finish({"rows": rows})
    return not any(row["holds"] is False for row in rows)  # None: without a target, or not run


def figure(value: float | str | None) -> str | None:
    """A measured number with three significant digits; text as it is."""
    return f"{value:.3g}" if isinstance(value, int | float) else value
