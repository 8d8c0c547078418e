"""Tables of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WHOLE = """
name = "Everything"
[data]
builtin = "digits8"
[training]
recipe = "qat"
epochs = 3
seed = 7
[hardware]
bus_bytes = 16
arithmetic.rounding = "half_up"
[space]
array = [{rows = 4, columns = 4}, {rows = 4, columns = 8, label = "wide"}]
accumulator_bytes = {low = 4096, high = 20000, factor = 2}
weight_budget = [3000, 5000]
[space.arithmetic]
accumulator_bits = {low = 12, high = 20, step = 4}
[objectives]
cycles = "minimize"
accuracy = "maximize"
[constraints]
luts = {max = 80000}
accuracy = {min = 0.9, max = 1}
fits = true
[search]
sampler = "nsga2"
trials = 40
seed = 3
population = 8
[device]
name = "LFE5U-85F"
clock_mhz = 100
[memory]
latency = 20
[synthesis]
confirm = "front"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def small(**sections: Any) -> dict[str, Any]:
    """A study that holds, with other sections; None leaves one out."""
    table = {"network": {"builtin": "ResNet-8"}, "space": {"rows": [4, 8]}, "objectives": ["cycles"], **sections}
    return {name: section for name, section in table.items() if section is not None}


QAT = {"recipe": "qat"}


DIGITS = {"builtin": "digits8"}
