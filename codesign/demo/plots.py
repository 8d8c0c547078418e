"""The demo's pictures, as SVG text that a page can hold without loading anything."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from .result import Demo
from .tables import held

QAT, ADAROUND, FITTED, PTQ, FLOAT, INK = "#0f766e", "#7c3aed", "#a16207", "#c2410c", "#64748b", "#1e293b"
WAYS = {
    "ptq": ("PTQ (min-max)", PTQ, "v"),
    "fitted": ("PTQ, fitted", FITTED, "s"),
    "adaround": ("PTQ+ (AdaRound)", ADAROUND, "D"),
    "qat": ("QAT", QAT, "o"),
}
"""{field of a `CurvePoint`: (label, colour, marker)}."""
SEEN = ("RTL", "fitted", "PTQ")
"""Whose answers are written below an image, of `Demo.predictions`."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "lockstep",  # the same picture twice is the same file
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#cbd5e1",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e2e8f0",
}


def svg(figure: Figure, text: str) -> str:
    """A figure as an ``<svg>`` element for an HTML page, with no reference to anything outside.

    text : what the figure shows, for those who do not see it
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawn)  # a page's parser knows them
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 width="100%"', drawn, count=1)
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(text)}"', 1)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def accuracy_plot(demo: Demo) -> str:
    """Test error against the widths of codes or accumulator, on a logarithmic axis; the float network's is a line."""
    least = 0.5 / len(demo.test_labels)  # where no error at all is drawn

    def error(accuracy: float) -> float:
        return max(1 - accuracy, least)

    codes = demo.curve == "codes"
    names = [
        f"{point.arithmetic.weight_bits} / {point.arithmetic.activation_bits}"
        if codes
        else str(point.arithmetic.accumulator_bits)
        for point in demo.points
    ]
    own = demo.config.arithmetic
    what = "bits of weights / activations" if codes else "bits of the accumulator"
    place = np.arange(len(names))  # evenly spaced: the widths that matter lie close together
    with _figure(5.2, 4.4) as figure:
        axes = figure.add_subplot()
        chosen = [point.arithmetic for point in demo.points].index(own)
        axes.axvspan(chosen - 0.1, chosen + 0.1, color="#0ea5e9", alpha=0.12, linewidth=0, label="this accelerator")
        for way, (label, color, marker) in WAYS.items():
            errors = [error(getattr(point, way)) for point in demo.points]
            axes.plot(
                place, errors, marker=marker, markersize=12 if way == "ptq" else 7, linewidth=2.2, color=color,
                label=label, clip_on=False,  # where two ways are equal, the larger marker shows behind the other
                zorder=4 if way == "qat" else 3,
            )  # fmt: skip
        axes.axhline(error(demo.float_accuracy), color=FLOAT, linestyle=(0, (4, 3)), linewidth=1.5, label="float")
        axes.set_yscale("log")
        axes.set_ylim(top=1.0)
        axes.yaxis.set_major_formatter(FuncFormatter(_share))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda share, _: _share(share) if f"{share:e}"[0] in "25" else ""))
        axes.set_xticks(place, names)
        axes.set_xlim(-0.3, len(names) - 0.7)
        axes.set_xlabel(f"{what}\nwith {held(demo)}")
        axes.set_ylabel("test error (logarithmic)")
        axes.grid(axis="y", which="both")
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9, columnspacing=1.2)
        shown = "; ".join(
            f"{name} bits: "
            + ", ".join(f"{label} {_share(1 - getattr(point, way))}" for way, (label, _, _) in WAYS.items())
            for name, point in zip(names, demo.points, strict=True)
        )
        return svg(
            figure,
            f"Test error against {what}, with {held(demo)}. {shown}. This accelerator has {names[chosen]} bits. "
            f"The float network: {_share(1 - demo.float_accuracy)}.",
        )


def _share(share: float, _: object = None) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def overflow_plot(demo: Demo) -> str:
    """The share of sums that overflow in each layer with an accumulator: PTQ, fitted PTQ and QAT."""
    layers = [layer for layer in demo.layers() if layer["operator"] in ("Convolution", "Linear")]
    names = [layer["name"] for layer in layers]
    place = np.arange(len(names))
    bars = (
        (-0.27, "ptq_overflows", "PTQ (min-max)", PTQ),
        (0.0, "fitted_overflows", "PTQ, fitted", FITTED),
        (0.27, "overflows", "QAT", QAT),
    )
    said = []
    with _figure(5.2, 1.0 + 0.7 * len(names)) as figure:
        axes = figure.add_subplot()
        for offset, key, label, color in bars:
            shares = [layer[key] / layer["outputs"] for layer in layers]
            drawn = axes.barh(place + offset, shares, height=0.25, color=color, label=label)
            texts = [f"{100 * share:.1f} %" for share in shares]
            axes.bar_label(drawn, texts, padding=4, fontsize=9)
            said.append(f"{label}: " + ", ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True)))
        axes.set_yticks(place, names)
        axes.invert_yaxis()
        axes.set_xlim(0, max(axes.get_xlim()[1] * 1.12, 0.01))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("sums that left the accumulator's range at least once")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9, columnspacing=1.2)
        return svg(figure, f"Shares of overflowing sums by layer. {'; '.join(said)}.")


def digits_plot(demo: Demo) -> str:
    """The first test image of each digit that ran in the RTL, with what both PTQ networks and the RTL see in it."""
    shown = [np.flatnonzero(demo.test_labels[: demo.rtl_images] == digit)[:1] for digit in range(10)]
    indices = np.concatenate(shown)
    said = []
    columns = min(len(indices), 5)
    rows = -(-len(indices) // columns)
    with _figure(5.2, 1.6 * rows) as figure:
        grid = np.atleast_1d(figure.subplots(rows, columns)).reshape(-1)
        for axes in grid:
            axes.set_axis_off()
        for axes, index in zip(grid, indices, strict=False):  # the grid's last row may have places left
            image = demo.test_images[index, 0]
            height, width = image.shape
            axes.imshow(image, cmap="Greys", vmin=0, vmax=1)
            axes.set_ylim(1.85 * height, 0)  # with room for the lines below it
            for line, name in enumerate(SEEN):
                digit = demo.predictions[name][index]
                right = digit == demo.test_labels[index]
                axes.text(
                    width / 2, (1.15 + 0.25 * line) * height, f"{name} {digit}", color=QAT if right else PTQ,
                    ha="center", va="center", fontsize=10, weight="normal" if right else "bold",
                )  # fmt: skip
            seen = ", ".join(f"{name} {demo.predictions[name][index]}" for name in SEEN)
            said.append(f"a {demo.test_labels[index]}: {seen}")
        return svg(figure, f"Test images and what is seen in them. {'; '.join(said)}.")
