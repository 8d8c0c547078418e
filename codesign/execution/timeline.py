"""When each unit executed which instruction: a trace for Perfetto and Chrome, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.instructions import Instruction, Opcode, Unit

from ..console import to_json
from ..files import replacing, write_text

SUFFIXES = (".json", ".png", ".svg")
COLORS = {
    Opcode.LOAD: "#4477aa",
    Opcode.CONVOLVE: "#228833",
    Opcode.REQUANTIZE: "#ccbb44",
    Opcode.REDUCE: "#ee6677",
    Opcode.ADDER: "#aa3377",
    Opcode.COUNTERS: "#bbbbbb",
    Opcode.STORE: "#66ccee",
}


@dataclass(frozen=True)
class Span:
    """An instruction's execution: its unit took it in cycle `start` of the run; in cycle `end` it has ended."""

    index: int
    opcode: Opcode
    unit: Unit
    start: int
    end: int


def spans(instructions: Sequence[Instruction], timeline: NDArray[np.int64]) -> list[Span]:
    """The instructions that were executed, by index.

    timeline : (instructions, 3): unit, cycle of the start, cycle of the end; −1 for what did not start or end
    """
    return [
        Span(index, item.opcode, Unit(unit), start, end)
        for index, (item, (unit, start, end)) in enumerate(zip(instructions, timeline.tolist(), strict=False))
        if unit >= 0 and start >= 0 and end >= 0
    ]


def chrome_trace(
    executed: Sequence[Span], instructions: Sequence[Instruction] = (), name: str = "run"
) -> dict[str, Any]:
    """A trace in Chrome's JSON format, which Perfetto reads: a microsecond for each cycle, a thread for each unit.

    A unit that prepares an instruction while it executes the one before has a second thread: events of one thread may
    not overlap.

    instructions : the program, for the fields that are shown with each event
    """
    events: list[dict[str, Any]] = [{"ph": "M", "pid": 0, "name": "process_name", "args": {"name": name}}]
    placed = tracks(executed)
    for span, lane in placed:
        fields = dict(instructions[span.index].fields) if span.index < len(instructions) else {}
        events.append(
            {
                "ph": "X",
                "pid": 0,
                "tid": _thread(span.unit, lane),
                "ts": span.start,
                "dur": span.end - span.start,
                "name": span.opcode.name,
                "cat": span.unit.name,
                "args": {"index": span.index, **fields},
            }
        )
    for unit, lane in sorted({(unit, 0) for unit in Unit} | {(span.unit, lane) for span, lane in placed}):
        shared = {"ph": "M", "pid": 0, "tid": _thread(unit, lane)}
        events.append({**shared, "name": "thread_name", "args": {"name": unit.name}})
        events.append({**shared, "name": "thread_sort_index", "args": {"sort_index": shared["tid"]}})
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"unit": "1 µs is 1 cycle"}}


def _thread(unit: Unit, lane: int) -> int:
    return 10 * unit.value + lane


def tracks(executed: Sequence[Span]) -> list[tuple[Span, int]]:
    """The spans by their start, each with the first track of its unit, from 0, in which it overlaps no other one."""
    ends: dict[tuple[Unit, int], int] = {}
    placed = []
    for span in sorted(executed, key=lambda span: (span.start, span.index)):
        track = next(track for track in range(len(executed)) if ends.get((span.unit, track), 0) <= span.start)
        ends[span.unit, track] = span.end
        placed.append((span, track))
    return placed


def busy_cycles(executed: Sequence[Span]) -> dict[Unit, int]:
    """Cycles in which each unit had at least one instruction under way."""
    busy = dict.fromkeys(Unit, 0)
    reached = dict.fromkeys(Unit, 0)
    for span in sorted(executed, key=lambda span: span.start):
        busy[span.unit] += max(span.end - max(span.start, reached[span.unit]), 0)
        reached[span.unit] = max(reached[span.unit], span.end)
    return busy


def write_timeline(
    path: str | PathLike[str], executed: Sequence[Span], instructions: Sequence[Instruction] = (), name: str = "run"
) -> None:
    """Write the trace (``.json``) or the picture (``.png``, ``.svg``), as a whole or not at all."""
    suffix = check_suffix(path)
    if suffix == ".json":
        write_text(path, to_json(chrome_trace(executed, instructions, name)))
        return
    with replacing(path) as temporary:
        _figure(executed, name).savefig(temporary, dpi=150)


def check_suffix(path: str | PathLike[str]) -> str:
    """The file's suffix; ``ValueError`` unless it is that of a trace or of a picture."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"a timeline must be a file named *{', *'.join(SUFFIXES)}, not {Path(path).name!r}")
    return suffix


def _figure(executed: Sequence[Span], name: str) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(14, 3.2), layout="constrained")
    axes = figure.subplots()
    bars: dict[tuple[Opcode, Unit, int], list[tuple[int, int]]] = {}
    most = dict.fromkeys(Unit, 0)
    for span, track in tracks(executed):
        bars.setdefault((span.opcode, span.unit, track), []).append((span.start, span.end - span.start))
        most[span.unit] = max(most[span.unit], track)
    for (opcode, unit, track), found in bars.items():
        height = 0.8 / (most[unit] + 1)
        place = (unit.value - 0.4 + track * height, height)
        axes.broken_barh(found, place, facecolors=COLORS[opcode], edgecolor="white", linewidth=0.2)
    end = max((span.end for span in executed), default=1)
    busy = busy_cycles(executed)
    axes.set_yticks(
        [unit.value for unit in Unit], [f"{unit.name}\n{100 * busy[unit] / end:.0f} % under way" for unit in Unit]
    )
    axes.set_ylim(len(Unit) - 0.5, -0.5)
    axes.set_xlim(0, end)
    axes.set_xlabel("cycle")
    axes.set_title(name, loc="left")
    shown = [opcode for opcode in COLORS if any(span.opcode == opcode for span in executed)]
    handles = [Patch(color=COLORS[opcode], label=opcode.name) for opcode in shown]
    if handles:
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(handles), frameon=False)
    return figure
