"""How well areas are predicted: configs that were synthesized, each left out of the fit in turn."""

from __future__ import annotations

from typing import Any

from ..synthesis.area_model import FITTED, load_model
from ..synthesis.block_resources import block_rams, multipliers
from .rows import row

MOST_MEDIAN, MOST_WORST = 4.0, 12.0
"""Percent."""
FEWEST = 25
NAMES = {"LUTs": "LUTs", "FFs": "flip-flops"}


def rows() -> list[dict[str, Any]]:
    """The benchmark's rows, from the syntheses that ship."""
    model = load_model()
    count = len(model.measured)
    found = [row("configs synthesized for the model of area", count, "configs", f"≥ {FEWEST}", count >= FEWEST)]
    for resource in FITTED:
        median, worst = (100 * error for error in model.errors[resource])
        name = f"predicted {NAMES[resource]} against synthesized, leave-one-out"
        is_target = resource == "LUTs"
        for which, error, most in (("median", median, MOST_MEDIAN), ("worst", worst, MOST_WORST)):
            target = (f"≤ {most:g}", error <= most) if is_target else ()
            found.append(row(f"{name}: {which} error", error, "%", *target))
    wrong = sum(
        (one.block_rams, one.dsps) != (block_rams(one.config), multipliers(one.config)) for one in model.measured
    )
    found.append(row("block RAMs and multipliers, counted: configs that differ", wrong, "configs", "0", wrong == 0))
    return found
