"""``lockstep benchmark``: the README's figures, measured on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from ..console import Output, Phases
from ..table import Table

BENCHMARKS = {
    "emulator": "codesign.benchmark_emulator",
    "utilization": "codesign.benchmark_utilization",
    "simulation": "codesign.benchmark_simulation",
    "qat": "codesign.benchmark_qat",
}
"""Name → module whose ``rows()`` gives [{"name", "value", "unit", "target", "holds"}, …]."""
WITH_RTL = ("utilization",)
"""Those that also run in Verilator where that is asked for: ``rows(rtl=True)``."""


def run(names: Sequence[str], rtl: bool, json_file: str | None) -> bool:
    """Run the benchmarks `names` (none: all) and show their rows; returns whether every row with a target holds.

    rtl : check some of the machine's figures in the simulated RTL, in those of `WITH_RTL`

    Raises ``ValueError`` listing the names for an unknown one.
    """
    if rtl and names and not set(names) & set(WITH_RTL):
        raise ValueError(f"--rtl is for the benchmarks {', '.join(WITH_RTL)}, not {', '.join(names)}")
    for name in names:
        if name not in BENCHMARKS:
            raise ValueError(f"a benchmark must be one of {', '.join(BENCHMARKS)}, not {name!r}")
    output = Output(json_file)
    rows: list[dict[str, Any]] = []
    with Phases() as phases:
        for name in names or list(BENCHMARKS):
            measure: Callable[..., list[dict[str, Any]]] = import_module(BENCHMARKS[name]).rows
            with phases.phase(name):
                rows += measure(rtl=True) if rtl and name in WITH_RTL else measure()
    table = Table("Benchmarks", ("name", "value", "unit", "target", "holds"))
    for row in rows:
        table.add(row["name"], figure(row["value"]), row["unit"], figure(row["target"]), row["holds"])
    output.show(table)
    output.finish({"rows": rows})
    return all(row["holds"] for row in rows if row["target"] is not None)


def figure(value: float | str | None) -> str | None:
    """A measured number with three significant digits; text as it is."""
    return f"{value:.3g}" if isinstance(value, int | float) else value
