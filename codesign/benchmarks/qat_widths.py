"""How narrow the accumulator can be: the digits network at each width, quantized in four ways, as table and plot."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

import qat
from compiler import load_onnx
from emulator import Arithmetic, certify

from .. import digits
from ..files import replacing
from .rows import row

WIDTHS = (32, 18, 16, 15, 14, 13, 12)
SEEDS = range(3)
PTQ_LOST, MOST_LOST = 10.0, 1.0
"""Percentage points: at the widest accumulator at which PTQ has lost the one, QAT may have lost the other."""
QAT_RATE = 3e-3
"""Learning rate, chosen inside the training images: see `benchmarks.qat_choice`."""
SUFFIXES = (".png", ".svg")
CLOSE = 90  # percent, where the plot's second half begins
WAYS = {
    "PTQ": "#c2410c",
    "PTQ fitted": "#a16207",
    "QAT": "#0f766e",
    "guaranteed": "#7c3aed",
}
"""What is compared, with its colour: min-max calibration; scales raised until the sums on the training images fit;
training through the saturating accumulator; training with weights that no input makes overflow."""


@dataclass(frozen=True)
class Sweep:
    """Accuracies in percent, means over `seeds` seeds.

    widths : {way: {accumulator width in bits: accuracy}}
    unsafe : guaranteed networks whose certificate says that some input overflows the accumulator
    """

    float_accuracy: float
    widths: dict[str, dict[int, float]]
    seeds: int
    unsafe: int


def sweep(
    data: digits.Digits,
    *,
    widths: Sequence[int] = WIDTHS,
    seeds: Iterable[int] = SEEDS,
    float_epochs: int = digits.FLOAT_EPOCHS,
    qat_epochs: int = digits.QAT_EPOCHS,
) -> Sweep:
    """Train and test the network at every width, the accumulator saturating after every step."""
    reached: list[float] = []
    found: dict[str, dict[int, list[float]]] = {way: {width: [] for width in widths} for way in WAYS}
    unsafe = 0

    def test(model: nn.Module) -> float:
        return 100 * digits.accuracy(model, data.test_images, data.test_labels)

    for seed in seeds:
        model = digits.train_float(data, epochs=float_epochs, seed=seed)
        reached.append(test(model))
        for width in widths:
            arithmetic = Arithmetic(accumulator_bits=width)
            trained = digits.train_qat(model, data, arithmetic, epochs=qat_epochs, learning_rate=QAT_RATE, seed=seed)
            guaranteed = digits.train_guaranteed(model, data, arithmetic, epochs=qat_epochs, seed=seed)
            unsafe += not safe(guaranteed)
            models = (
                digits.calibrated(model, data, arithmetic), digits.fitted(model, data, arithmetic), trained, guaranteed
            )  # fmt: skip
            for way, quantized in zip(WAYS, models, strict=True):
                found[way][width].append(test(quantized))
    means = {way: {width: statistics.mean(of) for width, of in points.items()} for way, points in found.items()}
    return Sweep(statistics.mean(reached), means, len(reached), unsafe)


def safe(model: qat.PreparedModel) -> bool:
    """Whether the exact worst case of every sum of the exported model fits its accumulator."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        file = Path(folder) / "model.onnx"
        qat.export_onnx(model, file)
        return all(certificate.safe for certificate in certify(load_onnx(file)).values())


def rows(found: Sweep) -> list[dict[str, Any]]:
    """The accuracy of each way at each width, and what the issue of width comes down to."""
    table = [row(f"digits, float, {found.seeds} seeds: accuracy", found.float_accuracy, "%")]
    for width in found.widths["PTQ"]:
        for way in WAYS:
            table.append(row(f"digits, {width} bits saturating, {way}: accuracy", found.widths[way][width], "%"))
    return [*table, merit(found), row("guaranteed networks that can overflow", found.unsafe, "", "0", not found.unsafe)]


def merit(found: Sweep) -> dict[str, Any]:
    """What QAT has lost at the widest accumulator at which PTQ has lost 10 points."""
    lost = {
        way: {width: found.float_accuracy - accuracy for width, accuracy in found.widths[way].items()} for way in WAYS
    }
    widths = [width for width, points in lost["PTQ"].items() if points >= PTQ_LOST]
    target = f"≤ {MOST_LOST:g}"
    if not widths:
        return row(f"digits, QAT where PTQ has lost {PTQ_LOST:g}: accuracy lost", "PTQ never has", "points", target)
    width = max(widths)
    name = f"digits, QAT at {width} bits, where PTQ has lost {lost['PTQ'][width]:.1f}: accuracy lost"
    return row(name, lost["QAT"][width], "points", target, lost["QAT"][width] <= MOST_LOST)


def check_suffix(path: str | PathLike[str]) -> None:
    """Raise ``ValueError`` unless `path` has the suffix of a picture."""
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(f"a plot must be a file named *{' or *'.join(SUFFIXES)}, not {Path(path).name!r}")


def write_plot(path: str | PathLike[str], found: Sweep) -> None:
    """A picture of accuracy against accumulator width, and a close-up; ``.png`` or ``.svg``, whole or not at all."""
    import matplotlib
    from matplotlib.figure import Figure

    check_suffix(path)
    widths = sorted(found.widths["PTQ"])
    place = {width: index for index, width in enumerate(widths)}  # evenly spaced: 32 bits are far from the others
    style: dict[Any, Any] = {"svg.hashsalt": "lockstep", "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style), replacing(path) as temporary:
        figure = Figure(figsize=(9.6, 4.0), layout="constrained")
        for axes, lowest in zip(figure.subplots(1, 2), (0, CLOSE), strict=True):
            for way, color in WAYS.items():
                points = found.widths[way]
                axes.plot(list(place.values()), [points[width] for width in widths], "o-", color=color, label=way)
            axes.axhline(found.float_accuracy, color="#64748b", linestyle="--", label="float")
            axes.set_xticks(list(place.values()), [str(width) for width in widths])
            axes.set_xlabel("accumulator width (bits), saturating")
            axes.set_ylim(lowest, 100 + (100 - lowest) / 30)
            axes.grid(axis="y", color="#e2e8f0")
        figure.axes[0].set_ylabel(f"test accuracy (%), mean of {found.seeds} seeds")
        figure.axes[0].legend(loc="lower right", frameon=False)
        figure.savefig(temporary, dpi=150, metadata={"Date": None} if Path(path).suffix == ".svg" else None)
