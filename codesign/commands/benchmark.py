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
    "transformers": "codesign.benchmarks.transformers",
    "qat": "codesign.benchmarks.qat",
    "frontdoor": "codesign.benchmarks.frontdoor.rows",
    "study": "codesign.benchmarks.study.rows",
    "area": "codesign.benchmarks.area",
    "synthesis": "codesign.benchmarks.synthesis",
}
"""Name → module whose ``rows()`` gives [{"name", "value", "unit", "target", "holds"}, …]."""


def run(names: Sequence[str], options: Mapping[str, Mapping[str, Any]], json_file: str | None) -> bool:
    """Run the benchmarks `names` (none: all) and show their rows; returns whether no row misses its target.

    options : {benchmark: keyword arguments of its ``rows()``}; those of benchmarks that do not run are dropped

    Raises ``ValueError`` listing the names for an unknown one, naming an option of which no benchmark runs, and where
    two that run would write one plot.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise ValueError(f"a benchmark must be one of {', '.join(BENCHMARKS)}, not {name!r}")
    chosen = names or list(BENCHMARKS)
    for option in dict.fromkeys(option for given in options.values() for option in given):
        takers = [name for name, given in options.items() if option in given]
        running = [name for name in takers if name in chosen]
        if not running:
            flag = option.replace("_", "-")
            raise ValueError(f"--{flag} is for the benchmark {' or '.join(takers)}, not {', '.join(names)}")
        if option == "plot" and len(running) > 1:
            raise ValueError(f"--plot is one file: name one of the benchmarks {' and '.join(running)}")
    output = Output(json_file)
    rows: list[dict[str, Any]] = []
    with Phases() as phases:
        for name in chosen:
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
    """A measured number with three significant digits, or to the whole; text as it is."""
    if not isinstance(value, int | float):
        return value
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
