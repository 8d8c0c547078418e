"""What bounds some cycles: the rule by itself."""

from __future__ import annotations

import pytest

from codesign.execution.profile import Bound, find_bound
from codesign.execution.profile.table import short_bound

IDLE = {"array": 0.1, "post_processing": 0.05, "reads": 0.05, "writes": 0.05}


@pytest.mark.parametrize(
    ("shares", "used", "kind", "reason", "short"),
    [
        (
            {"array": 0.9},
            0.9,
            "compute",
            "the array busy for 90 % of the cycles, 90 % of its elements in use",
            "compute: array 90 %",
        ),
        (
            {"array": 0.95},
            0.5,
            "shape",
            "shape; the array busy for 95 % of the cycles, 50 % of its elements in use",
            "shape: 50 % of array",
        ),
        (
            {"array": 0.6},
            0.61,
            "latency",
            "latency between dependent steps; the array busy for 60 % of the cycles, 61 % of its elements in use",
            "latency: array 60 %",
        ),
        ({"array": 0.95}, None, "compute", "the array busy for 95 % of the cycles", "compute: array 95 %"),
        ({"reads": 1.0}, 0.1, "bus", "reads busy for 100 % of the cycles", "bus: reads 100 %"),
        ({"writes": 0.92}, 1.0, "bus", "writes busy for 92 % of the cycles", "bus: writes 92 %"),
        (
            {"reads": 0.89},
            0.1,
            "latency",
            "latency between dependent steps; reads busy for 89 % of the cycles",
            "latency: reads 89 %",
        ),
        (
            {"post_processing": 0.93},
            None,
            "compute",
            "post-processing busy for 93 % of the cycles",
            "compute: post 93 %",
        ),
    ],
)
def test_the_busiest_resource_decides(
    shares: dict[str, float], used: float | None, kind: str, reason: str, short: str
) -> None:
    found = find_bound(IDLE | shares, used)
    assert (found.kind, found.reason, short_bound(found)) == (kind, reason, short)
    assert found == Bound(kind, *shares, *shares.values(), used if "array" in shares else None)
