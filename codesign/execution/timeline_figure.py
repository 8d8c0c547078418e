"""The timeline as a picture: a row for each unit, a colour for each opcode, the layers above them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from emulator.instructions import Opcode, Unit

from ..table import short
from .timeline import Interval, Span, busy_cycles, tracks

COLORS = {
    Opcode.LOAD: "#4477aa",
    Opcode.CONVOLVE: "#228833",
    Opcode.REQUANTIZE: "#ccbb44",
    Opcode.REDUCE: "#ee6677",
    Opcode.DEPTHWISE: "#999933",
    Opcode.ADDER: "#aa3377",
    Opcode.COUNTERS: "#bbbbbb",
    Opcode.STORE: "#66ccee",
}
_LAYERS_ROW = -1
_SHADES = "#dddddd", "#f4f4f4"
_CHARACTERS = 130
"""Of the layers' names, so many fit the picture's width."""
_LEAST = 6
"""A longer name is not shown in fewer characters."""


def timeline_figure(executed: Sequence[Span], name: str, layers: Sequence[Interval] = ()) -> Figure:
    """The picture; `layers` of the run have a row of their own above the units."""
    figure = Figure(figsize=(14, 3.6 if layers else 3.2), layout="constrained")
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
    end = max([*(span.end for span in executed), *(last for _, _, last in layers)], default=1)
    busy = busy_cycles(executed)
    ticks = {unit.value: f"{unit.name}\n{100 * busy[unit] / end:.0f} % under way" for unit in Unit}
    if layers:
        _draw_layers(axes, layers, end)
        ticks[_LAYERS_ROW] = "layers"
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(len(Unit) - 0.5, min(ticks) - 0.5)
    axes.set_xlim(0, end)
    axes.set_xlabel("cycle")
    axes.set_title(name, loc="left")
    shown = [opcode for opcode in COLORS if any(span.opcode == opcode for span in executed)]
    handles = [Patch(color=COLORS[opcode], label=opcode.name) for opcode in shown]
    if handles:
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(handles), frameon=False)
    return figure


def _draw_layers(axes: Axes, layers: Sequence[Interval], end: int) -> None:
    """Each layer's interval with as much of its name as has room, and a line at its end through all units."""
    for index, (layer, start, stop) in enumerate(layers):
        axes.broken_barh([(start, stop - start)], (_LAYERS_ROW - 0.4, 0.8), facecolors=_SHADES[index % 2])
        room = int(_CHARACTERS * (stop - start) / end)
        if room >= min(len(layer), _LEAST):
            axes.text((start + stop) / 2, _LAYERS_ROW, short(layer, room), ha="center", va="center", fontsize=8)
        axes.axvline(stop, color="#888888", linewidth=0.4, zorder=0)
