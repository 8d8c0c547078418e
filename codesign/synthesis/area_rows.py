"""How well areas are predicted: rows of a benchmark's table."""

from __future__ import annotations

from typing import Any

from ..benchmarks.rows import row
from .area_model import FITTED, load_model
from .block_resources import block_rams, multipliers

MOST_MEDIAN, MOST_WORST = 4.0, 12.0
"""Percent."""
FEWEST = 25
NAMES = {"LUTs": "LUTs", "FFs": "flip-flops"}


def area_rows() -> list[dict[str, Any]]:
    """Predicted against synthesized, of the shipped syntheses, each left out of the fit in turn."""
    model = load_model()
    count = len(model.measured)
    rows = [row("configs synthesized for the model of area", count, "configs", f"≥ {FEWEST}", count >= FEWEST)]
    for resource in FITTED:
        median, worst = (100 * error for error in model.errors[resource])
        name = f"predicted {NAMES[resource]} against synthesized, leave-one-out"
        is_target = resource == "LUTs"
        for which, error, most in (("median", median, MOST_MEDIAN), ("worst", worst, MOST_WORST)):
            target = (f"≤ {most:g}", error <= most) if is_target else ()
            rows.append(row(f"{name}: {which} error", error, "%", *target))
    wrong = sum(
        (one.block_rams, one.dsps) != (block_rams(one.config), multipliers(one.config)) for one in model.measured
    )
    rows.append(row("block RAMs and multipliers, counted: configs that differ", wrong, "configs", "0", wrong == 0))
    return rows
