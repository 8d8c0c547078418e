"""Training through the integers against the same float model: a step's time and memory, accuracy, accumulator width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import digits
from ..files import check_writable
from . import qat_accuracy, qat_datasets, qat_step, qat_step_ratios, qat_widths
from .qat_datasets import DATASETS
from .qat_widths import check_suffix, write_plot


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
    table = [*qat_step.rows(), *qat_step_ratios.rows(), *qat_accuracy.rows(data)]
    found = qat_widths.sweep(data)
    if plot is not None:
        write_plot(plot, found)
    table += qat_widths.rows(found)
    for name, dataset in DATASETS.items():
        table += qat_datasets.rows(dataset, loaded.get(name))
    return table
