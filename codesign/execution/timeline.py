"""When each unit executed which instruction of which layer: a trace for Perfetto and Chrome, and a picture."""

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
Interval = tuple[str, int, int]
"""A layer's name, and the cycles from which to which the run is its own."""
_LAYERS_THREAD = 10 * len(Unit)


@dataclass(frozen=True)
class Span:
    """An instruction's execution: its unit took it in cycle `start` of the run; in cycle `end` it has ended.

    layer : that it serves, as in `Program.layers`; "" where that is not known
    """

    index: int
    opcode: Opcode
    unit: Unit
    start: int
    end: int
    layer: str = ""


def spans(instructions: Sequence[Instruction], timeline: NDArray[np.int64], layers: Sequence[str] = ()) -> list[Span]:
    """The instructions that were executed, by index.

    timeline : (instructions, 3): unit, cycle of the start, cycle of the end; −1 for what did not start or end
    layers : of each instruction, or ()
    """
    return [
        Span(index, item.opcode, Unit(unit), start, end, layers[index] if layers else "")
        for index, (item, (unit, start, end)) in enumerate(zip(instructions, timeline.tolist(), strict=False))
        if unit >= 0 and start >= 0 and end >= 0
    ]


def chrome_trace(
    executed: Sequence[Span],
    instructions: Sequence[Instruction] = (),
    name: str = "run",
    layers: Sequence[Interval] = (),
) -> dict[str, Any]:
    """A trace in Chrome's JSON format, which Perfetto reads: a microsecond for each cycle, a thread for each unit.

    A unit that prepares an instruction while it executes the one before has a second thread: events of one thread may
    not overlap.

    instructions : the program, for the fields that are shown with each event
    layers : the run's layers, which have a thread above the units; an instruction's event names its own layer
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
                "name": f"{span.opcode.name} {span.layer}".rstrip(),
                "cat": span.unit.name,
                "args": {"index": span.index, **({"layer": span.layer} if span.layer else {}), **fields},
            }
        )
    if layers:
        shared = {"ph": "M", "pid": 0, "tid": _LAYERS_THREAD}
        events.append({**shared, "name": "thread_name", "args": {"name": "layers"}})
        events.append({**shared, "name": "thread_sort_index", "args": {"sort_index": -1}})
    for layer, start, end in layers:
        shared = {"ph": "X", "pid": 0, "tid": _LAYERS_THREAD, "cat": "layers"}
        events.append({**shared, "ts": start, "dur": end - start, "name": layer, "args": {}})
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
    path: str | PathLike[str],
    executed: Sequence[Span],
    instructions: Sequence[Instruction] = (),
    name: str = "run",
    layers: Sequence[Interval] = (),
) -> None:
    """Write the trace (``.json``) or the picture (``.png``, ``.svg``), as a whole or not at all."""
    suffix = check_suffix(path)
    if suffix == ".json":
        write_text(path, to_json(chrome_trace(executed, instructions, name, layers)))
        return
    from .timeline_figure import timeline_figure

    with replacing(path) as temporary:
        timeline_figure(executed, name, layers).savefig(temporary, dpi=150)


def check_suffix(path: str | PathLike[str]) -> str:
    """The file's suffix; ``ValueError`` unless it is that of a trace or of a picture."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"a timeline must be a file named *{', *'.join(SUFFIXES)}, not {Path(path).name!r}")
    return suffix
