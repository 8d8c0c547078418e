"""Training through the integers against the same float model: a step's time and memory, accuracy, accumulator width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import benchmark_qat_accuracy, benchmark_qat_datasets, benchmark_qat_step, benchmark_qat_widths, digits
from .benchmark_qat_datasets import DATASETS
from .benchmark_qat_widths import check_suffix, write_plot
from .files import check_writable


def rows(plot: Path | None = None, **folders: Path) -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes a quarter of an hour on two cores.

    plot : a file, ``.png`` or ``.svg``, for accuracy against accumulator width
    folders : name in `DATASETS` = the folder that holds that data set; the rows of the others say "not run"

    Raises, before anything is trained, what the loaders raise, and an error naming a plot that cannot be written.
    """
    if plot is not None:
        check_suffix(plot)
        check_writable(plot)
    loaded = {name: DATASETS[name].load(folder) for name, folder in folders.items()}
    data = digits.load()
    table = [*benchmark_qat_step.rows(), *benchmark_qat_accuracy.rows(data)]
    found = benchmark_qat_widths.sweep(data)
    if plot is not None:
        write_plot(plot, found)
    table += benchmark_qat_widths.rows(found)
    for name, dataset in DATASETS.items():
        table += benchmark_qat_datasets.rows(dataset, loaded.get(name))
    return table
