"""`correlation_plot`: cycles by each tool against the exact machine's."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...files import replacing
from ..qat_widths import check_suffix
from .points import Point

MARKERS = (("o", "#c2410c"), ("s", "#a16207"), ("^", "#7c3aed"), ("D", "#2563eb"))
EXACT = ("x", "#0f766e")


def alternative_text(points: Sequence[Point]) -> str:
    """What the picture shows, in sentences."""
    said = [f"Scatter plot, both axes logarithmic: cycles of {len({_layer(point) for point in points})} layers."]
    said.append("Across: the exact machine. Up: the tools; a tool without error lies on the diagonal.")
    for tool, own in _tools(points).items():
        errors = sorted(point.error for point in own)
        if any(errors):
            said.append(
                f"{tool} is off by {errors[0]:+.0f} to {errors[-1]:+.0f} percent, {statistics.median(errors):+.0f} in "
                "the median."
            )
        else:
            said.append(f"{tool} lies on the diagonal, with all of its {len(own)} layers.")
    return " ".join(said)


def correlation_plot(points: Sequence[Point], path: Path) -> str:
    """Write the picture, ``.png`` or ``.svg``, whole or not at all; returns its alternative text, which it holds too.

    Both axes are logarithmic; a tool whose points all lie on the diagonal is drawn as crosses above it.

    Raises ``ValueError`` for another suffix, or where there are no points.
    """
    import matplotlib
    from matplotlib.figure import Figure

    check_suffix(path)
    if not points:
        raise ValueError(f"{path}: there must be a tool to draw, and none was run")
    text = alternative_text(points)
    style: dict[Any, Any] = {"svg.hashsalt": "lockstep", "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style), replacing(path) as temporary:
        figure = Figure(figsize=(6.4, 6.0), layout="constrained")
        axes = figure.add_subplot()
        largest, least = (chosen(chosen(point.machine, point.cycles) for point in points) for chosen in (max, min))
        edges = (least / 1.5, largest * 1.5)
        axes.plot(edges, edges, color="#64748b", linewidth=1)
        axes.fill_between(edges, [edge / 2 for edge in edges], [edge * 2 for edge in edges], color="#f1f5f9", zorder=0)
        rest = iter(MARKERS * len(points))
        for tool, own in _tools(points).items():
            exact = not any(point.error for point in own)
            marker, color = EXACT if exact else next(rest)
            axes.scatter(
                [point.machine for point in own],
                [point.cycles for point in own],
                marker=marker,
                color=color if exact else "none",
                edgecolors=None if exact else color,
                zorder=3 if exact else 2,
                label=f"{tool}: error 0" if exact else tool,
            )
        axes.set(xscale="log", yscale="log", xlim=edges, ylim=edges, aspect="equal")
        axes.set_xlabel("cycles of a layer, exact machine")
        axes.set_ylabel("cycles of the same layer, by the tool (shaded: within a factor of 2)")
        axes.grid(color="#e2e8f0")
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
        metadata = {"Title": "Cycles by other tools against the exact machine's", "Description": text}
        if path.suffix == ".svg":
            metadata |= dict.fromkeys(("Date",))
        figure.savefig(temporary, dpi=150, metadata=metadata)
    return text


def _tools(points: Sequence[Point]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.tool, []).append(point)
    return found


def _layer(point: Point) -> tuple[str, str, str]:
    return point.network, point.dataflow, point.layer
