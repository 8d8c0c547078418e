"""What the model of area is fitted on: the store's syntheses of this RTL, the same ones for all of a study's runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codesign.study.definition import Study, points, study_from_dict
from codesign.study.engine.store import Store
from codesign.study.engine.task import Outcome, Task
from codesign.study.evaluation import StudyEvaluator, evaluator
from codesign.study.evaluation.measured import OTHER_RTL
from codesign.study.evaluation.predictions import known_syntheses
from codesign.study.evaluation.sources import sources
from codesign.study.evaluation.tasks import hardware_task
from codesign.synthesis.area_model import shipped
from emulator import AcceleratorConfig

TABLE = {
    "network": {"builtin": "ResNet-8"},
    "space": {"rows": [3, 5]},
    "objectives": ["cycles", "luts"],
    "search": {"sampler": "nsga2", "trials": 9},
    "synthesis": {"model": "store"},
}
STUDY = study_from_dict(TABLE)
OTHERS = {"FFs": 10, "BRAMs": 0, "DSPs": 0}


def synthesized(store: Store, config: AcceleratorConfig, luts: int, known: str = "", code: str = "") -> None:
    """Put into a store what its synthesis of `config` would be, known by `known`, of the source `code`."""
    hardware = f"hardware of {config.rows}"
    store.put("hardware", hardware_task(config).key(sources("hardware")), Outcome({"key": hardware}))
    task = Task("synthesis", {"hardware": known or hardware})
    part = {"LUTs": luts, **OTHERS}
    values = {
        "hardware": known or hardware, "config": config.as_dict(), "resources": part,
        "parts": {"array": {"instances": 1, **part}, "load": {"instances": 2, **part}},
    }  # fmt: skip
    store.put("synthesis", task.key(code or sources("synthesis")), Outcome(values))


def test_syntheses_of_the_installed_rtl_and_tools_are_known(tmp_path: Path) -> None:
    store = Store(tmp_path)
    synthesized(store, AcceleratorConfig(rows=3), 70)
    synthesized(store, AcceleratorConfig(rows=5), 80, known="an older RTL's")
    synthesized(store, AcceleratorConfig(rows=6), 90, code="an older tool's")
    store.put("synthesis", "0" * 64, Outcome({}, failure="no"))
    (one,) = known_syntheses(STUDY, store)
    assert one.config.rows == 3 and one.total("LUTs") == 2 * 70
    assert known_syntheses(replace(STUDY, area_model="shipped"), store) == ()


def test_a_study_predicts_from_what_it_began_with(tmp_path: Path) -> None:
    store = Store(tmp_path)
    synthesized(store, AcceleratorConfig(rows=3), 70)
    first = known_syntheses(STUDY, store)
    synthesized(store, AcceleratorConfig(rows=5), 80)
    longer = replace(STUDY, name="longer", folder=tmp_path, search=replace(STUDY.search, trials=20))
    assert known_syntheses(STUDY, Store(tmp_path)) == known_syntheses(longer, store) == first
    other = study_from_dict({**TABLE, "space": {"rows": [3, 7]}})
    assert sorted(one.config.rows for one in known_syntheses(other, store)) == [3, 5]


def test_the_model_is_fitted_on_them_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    at = next(points(STUDY))
    before = StudyEvaluator(STUDY).values(at, {})["luts"]
    synthesized(store, at.config, 3 * int(before.number))
    after = StudyEvaluator(STUDY).informed(store).values(at, {})["luts"]
    assert after.number != before.number and after.error != before.error
    assert after.source == f"area model of {len(shipped()) + 1} syntheses"


@pytest.mark.parametrize(("found", "told"), [("an older RTL", (OTHER_RTL,)), (None, (OTHER_RTL,)), ("", ())])
def test_another_rtl_than_that_of_the_syntheses_is_told(
    monkeypatch: pytest.MonkeyPatch, found: str | None, told: tuple[str, ...]
) -> None:
    """Found out once, by a task, where the RTL's source is not that of the syntheses to the byte."""
    monkeypatch.setattr(evaluator, "measured_on_these_sources", lambda: False)
    of = StudyEvaluator(STUDY)
    first, second = points(STUDY)
    task = of.tasks(first, {})["rtl"]
    assert task.key("") == of.tasks(second, {})["rtl"].key("")
    from codesign.synthesis import area_model

    same = area_model._shipped()["rtl"]
    done = {"rtl": Outcome({"fingerprint": same if found == "" else found})}
    assert of.details(first, done).notes == told
    assert of.details(first, {**done, "synthesis": Outcome({})}).notes == ()
    assert list(StudyEvaluator(every()).tasks(first, {})) == ["run", "hardware"]


def test_an_array_beyond_all_that_were_synthesized_is_told() -> None:
    study = study_from_dict({**TABLE, "space": {"rows": [16, 17]}})
    within, beyond = points(study)
    assert StudyEvaluator(study).details(within, {}).notes == ()
    (note,) = StudyEvaluator(study).details(beyond, {}).notes
    assert note.startswith("areas of arrays with more than 16 rows or 16 columns are extrapolated")
    assert StudyEvaluator(study).details(beyond, {"synthesis": Outcome({})}).notes == ()


def every() -> Study:
    return replace(STUDY, confirm="all")
