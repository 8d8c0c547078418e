"""The demo's pictures, as SVG text that a page can hold without loading anything."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .demo import Demo

QAT, FITTED, PTQ, FLOAT, INK = "#0f766e", "#a16207", "#c2410c", "#64748b", "#1e293b"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "lockstep",  # the same picture twice is the same file
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#cbd5e1",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e2e8f0",
}


def svg(figure: Figure) -> str:
    """A figure as an ``<svg>`` element for an HTML page, with no reference to anything outside."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)  # a page's parser knows them
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 width="100%"', text, count=1)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def accuracy_plot(demo: Demo) -> str:
    """Accuracy against accumulator width, PTQ and QAT, with the float network's as a line."""
    with _figure(7.2, 4.0) as figure:
        axes = figure.add_subplot()
        widths = [point.accumulator_bits for point in demo.widths]
        _series(axes, widths, [point.qat for point in demo.widths], "QAT", QAT)
        _series(axes, widths, [point.fitted for point in demo.widths], "PTQ (fitted to the accumulator)", FITTED)
        _series(axes, widths, [point.ptq for point in demo.widths], "PTQ (min-max)", PTQ)
        axes.axhline(demo.float_accuracy, color=FLOAT, linestyle=(0, (4, 3)), linewidth=1.5, label="float")
        chosen = demo.config.arithmetic.accumulator_bits
        axes.axvspan(chosen - 0.35, chosen + 0.35, color="#0ea5e9", alpha=0.12, linewidth=0)
        axes.annotate(
            "this accelerator",
            (chosen, 0.03),
            xytext=(8, 0),
            textcoords="offset points",
            color="#0369a1",
            fontsize=10,
        )
        axes.set_xlabel("accumulator width (bits)")
        axes.set_ylabel("test accuracy")
        axes.set_xticks(widths)
        axes.set_ylim(0, 1.04)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(loc="best", frameon=False)
        return svg(figure)


def _series(axes: Axes, x: list[int], y: list[float], label: str, color: str) -> None:
    axes.plot(x, y, marker="o", markersize=7, linewidth=2.2, color=color, label=label, clip_on=False, zorder=3)


def overflow_plot(demo: Demo) -> str:
    """The share of sums that overflow in each layer with an accumulator, PTQ and QAT."""
    layers = [layer for layer in demo.layers() if layer["operator"] in ("Convolution", "Linear")]
    names = [layer["name"] for layer in layers]
    place = np.arange(len(names))
    with _figure(7.2, 0.9 + 0.62 * len(names)) as figure:
        axes = figure.add_subplot()
        for offset, key, label, color in ((-0.19, "ptq_overflows", "PTQ", PTQ), (0.19, "overflows", "QAT", QAT)):
            shares = [layer[key] / layer["outputs"] for layer in layers]
            bars = axes.barh(place + offset, shares, height=0.34, color=color, label=label)
            axes.bar_label(bars, [f"{100 * share:.1f} %" for share in shares], padding=4, fontsize=9)
        axes.set_yticks(place, names)
        axes.invert_yaxis()
        axes.set_xlim(0, max(axes.get_xlim()[1] * 1.12, 0.01))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("sums that left the accumulator's range at least once")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.legend(loc="best", frameon=False)
        return svg(figure)


def digits_plot(demo: Demo) -> str:
    """The first test image of each digit that ran in the RTL, with what PTQ and the RTL see in it."""
    shown = [np.flatnonzero(demo.test_labels[: demo.rtl_images] == digit)[:1] for digit in range(10)]
    indices = np.concatenate(shown)
    with _figure(7.2, 1.45) as figure:
        for axes, index in zip(np.atleast_1d(figure.subplots(1, len(indices))), indices, strict=True):
            axes.imshow(demo.test_images[index, 0], cmap="Greys", vmin=0, vmax=1)
            axes.set_axis_off()
            for line, name in enumerate(("RTL", "PTQ")):
                digit = demo.predictions[name][index]
                right = digit == demo.test_labels[index]
                axes.text(
                    0.5, -0.16 - 0.24 * line, f"{name} {digit}", color=QAT if right else PTQ, ha="center",
                    va="center", fontsize=10, transform=axes.transAxes, weight="normal" if right else "bold",
                )  # fmt: skip
        return svg(figure)
