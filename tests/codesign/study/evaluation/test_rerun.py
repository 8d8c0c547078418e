"""`rerun`: a point alone, in the simulated RTL too; what differs is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign.execution.execution import Execution
from codesign.study.definition import Network, point, study_from_dict
from codesign.study.evaluation import rerun
from emulator.machine.result import Result

STUDY = study_from_dict(
    {
        "network": {"builtin": "autoencoder"},
        "hardware": {"columns": 8, "weight_scratchpad_bytes": 16384},
        "memory": {"latency": 5},
        "space": {"rows": [8, 64], "activation_scratchpad_bytes": [1024, 16384]},
        "objectives": ["cycles"],
    }
)
POINT = point(STUDY, {"rows": 8, "activation_scratchpad_bytes": 16384})


def with_rtl(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[int]:
    """Let the machine stand for the RTL, with a fault; the latencies that it was run with."""
    latencies = []

    def run_rtl(self: Execution, on_progress: object = None) -> Result:
        assert self.machine is not None
        latencies.append(self.latency)
        self.rtl = replace(
            self.machine, **{name: change(getattr(self.machine, name)) for name, change in changes.items()}
        )
        return self.rtl

    monkeypatch.setattr(Execution, "run_rtl", run_rtl)
    return latencies


def test_a_point_without_rtl_is_what_the_study_has() -> None:
    kinds: list[str] = []
    found = rerun(STUDY, POINT, on_task=kinds.append)
    assert kinds == ["run"] and found.holds and found.mismatches is None and found.rtl_cycles is None
    assert found.values["cycles"].number == sum(row["cycles"] for row in found.details.layers)


def test_the_rtl_is_compared_at_the_studys_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    latencies = with_rtl(monkeypatch)
    found = rerun(STUDY, POINT, rtl=True)
    assert latencies == [5]
    assert found.mismatches is not None and set(found.mismatches.values()) == {0}
    assert found.holds and found.rtl_cycles == found.values["cycles"].number


def other_cycles(cycles: int) -> int:
    return cycles + 3


def other_memory(memory: bytes) -> bytes:
    return bytes([memory[0] ^ 1]) + memory[1:]


def other_layers(layers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    first = next(iter(layers))
    return {**layers, first: layers[first] ^ np.int8(1)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cycles": other_cycles}, {"machine_rtl_cycles": 3, "study_rtl_cycles": 3}),
        ({"memory": other_memory}, {"machine_rtl_memory": 1}),
        ({"layers": other_layers}, {"machine_rtl_codes": 128}),
    ],
)
def test_what_differs_is_told(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], told: dict[str, int]) -> None:
    with_rtl(monkeypatch, **change)
    found = rerun(STUDY, POINT, rtl=True)
    assert found.mismatches is not None and not found.holds
    assert {name: count for name, count in found.mismatches.items() if count} == told


def test_every_network_of_several_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    latencies = with_rtl(monkeypatch, cycles=other_cycles)
    study = replace(STUDY, further=(Network("builtin", "DS-CNN"),))
    found = rerun(study, POINT, rtl=True)
    assert latencies == [5, 5] and found.mismatches is not None
    assert found.mismatches["machine_rtl_cycles"] == 6 and found.rtl_cycles == found.values["cycles"].number + 6


def test_a_point_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rtl(monkeypatch)
    study = study_from_dict(
        {
            "network": {"builtin": "ResNet-8"},
            "hardware": {"arithmetic": {"accumulator_bits": 12}},
            "space": {"operand_scratchpad_bytes": [128]},
            "objectives": ["cycles"],
        }
    )
    found = rerun(study, point(study, {"operand_scratchpad_bytes": 128}), rtl=True)
    assert found.failure is not None and found.failure.startswith("layer 'pool': its window of 64 positions")
    assert not found.holds and found.mismatches is None and "cycles" not in found.values
