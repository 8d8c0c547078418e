"""A study with training: its time, that of its repetition, and how often it trains."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from ...study import run_study
from ...study.definition import Study
from ..rows import row
from .spaces import training_study

MOST_MINUTES = 30
MOST_SECONDS = 10
"""Of the repetition."""


def rows(study: Study | None = None) -> list[dict[str, Any]]:
    """The table's rows; study : instead of the 204 points on 28×28 digits."""
    study = study or training_study()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = run_study(study, folder, workers=2)
        minutes = (time.perf_counter() - start) / 60
        trainings = len(list(Path(folder, "store", "train").iterdir()))
        start = time.perf_counter()
        again = run_study(study, folder, workers=2)
        seconds = time.perf_counter() - start
    name = f"study: {len(result.points)} points, trained on {study.data.name if study.data else 'nothing'}, 2 workers"
    failed = next((point.failure for point in result.points if point.failure is not None), None)
    if failed is not None:
        return [row(name, f"failed: {failed}", "min", f"≤ {MOST_MINUTES}", False)]
    arithmetics = len({point.point.config.arithmetic for point in result.points})
    computed = int(again.provenance["tasks computed"])
    return [
        row(name, minutes, "min", f"≤ {MOST_MINUTES}", minutes <= MOST_MINUTES),
        row(f"{name}: trainings", trainings, "", f"{arithmetics}", trainings == arithmetics),
        row(f"{name}: again", seconds, "s", f"≤ {MOST_SECONDS}", seconds <= MOST_SECONDS),
        row(f"{name}: tasks computed again", computed, "", "0", computed == 0),
    ]
