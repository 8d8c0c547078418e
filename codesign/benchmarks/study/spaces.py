"""The studies that the benchmark runs."""

from __future__ import annotations

from typing import Any

from ...study.definition import Study, study_from_dict

WIDTHS = (8, 10, 12, 14, 16, 20)
"""Accumulator bits."""
ARRAYS = tuple(
    (rows, columns)
    for rows in (2, 4, 6, 8, 12, 16)
    for columns in (2, 4, 6, 8, 12, 16)
    if rows + columns not in (4, 32)
)
"""(rows, columns) of 34 arrays."""


def hardware_study(arrays: int = len(ARRAYS), widths: int = len(WIDTHS)) -> Study:
    """MLPerf Tiny's ResNet-8 on so many arrays with so many accumulators: cycles, energy and area, no training."""
    objectives = {"cycles": "minimize", "energy_uj": "minimize", "luts": "minimize"}
    return study_from_dict(
        {"network": {"builtin": "ResNet-8"}, "space": _space(arrays, widths), "objectives": objectives}
    )


def training_study(
    data: str = "digits28", arrays: int = len(ARRAYS), widths: int = len(WIDTHS), **training: Any
) -> Study:
    """A data set's own network, trained through each accumulator, on so many arrays: accuracy and cycles.

    training : keys of ``[training]``
    """
    return study_from_dict(
        {
            "data": {"builtin": data},
            "training": {"recipe": "qat", **training},
            "space": _space(arrays, widths),
            "objectives": {"accuracy": "maximize", "cycles": "minimize"},
        }
    )


def _space(arrays: int, widths: int) -> dict[str, Any]:
    return {
        "array": [{"rows": rows, "columns": columns} for rows, columns in ARRAYS[:arrays]],
        "arithmetic": {"accumulator_bits": list(WIDTHS[:widths])},
    }
