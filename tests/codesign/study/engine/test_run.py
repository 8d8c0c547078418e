"""A study from its first point to its confirmed front, by a made-up evaluation."""

from __future__ import annotations

import itertools
import json
import shlex
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

from codesign.study import read_study, run_study
from codesign.study.definition import find_study, reference
from codesign.study.definition.study import Constraint, Search
from codesign.study.engine import run
from codesign.study.engine.folder import config_toml
from codesign.study.engine.processes.workers import Done
from codesign.study.engine.record import result_as_dict
from codesign.study.engine.status import Status
from codesign.study.result import StudyResult
from codesign.study.result_file import read_result
from emulator import AcceleratorConfig, Arithmetic
from emulator.config import config_from_dict
from tests.codesign.study.engine.made_up import BITS, COLUMNS, ROWS, Here, MadeUp, accuracy, best, cycles, luts, study

ALL = list(itertools.product(ROWS, COLUMNS, BITS))


def names(result: StudyResult) -> list[tuple[int, int, int]]:
    configs = [point.point.config for point in result.points]
    return [(config.rows, config.columns, config.arithmetic.accumulator_bits) for config in configs]


def found(result: StudyResult) -> list[object]:
    """All that must not depend on who computed it, when and where."""
    points = result_as_dict(result)["points"]
    return [{key: value for key, value in point.items() if key not in ("cached", "command")} for point in points]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes: for what does not depend on who does the work."""
    monkeypatch.setattr(run, "LocalWorkers", Here)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, Path, MadeUp]:
    folder = tmp_path_factory.mktemp("grid")
    evaluator = MadeUp(log=folder / "log")
    return run_study(study(), folder / "study", workers=2, evaluator=evaluator), folder / "study", evaluator


def test_a_grid_is_every_combination_in_order(grid: tuple[StudyResult, Path, MadeUp]) -> None:
    result = grid[0]
    assert (result.state, result.planned) == ("complete", 36)
    assert names(result) == ALL
    assert [point.index for point in result.points] == list(range(36))
    for (rows, columns, bits), point in zip(ALL, result.points, strict=True):
        assert point.values["cycles"].number == cycles(rows, columns)
        assert point.values["accuracy"].number == accuracy(bits)


def test_equal_tasks_are_done_once(grid: tuple[StudyResult, Path, MadeUp]) -> None:
    executions = grid[2].executions()
    assert len(executions) == len(set(executions))
    assert sorted(name for name in executions if name.startswith("train")) == [f"train-{bits}" for bits in BITS]
    assert sum(name.startswith("run") for name in executions) == 36


def test_the_front_is_confirmed_until_it_stays(grid: tuple[StudyResult, Path, MadeUp]) -> None:
    """Square arrays need more than is estimated, which takes some off the front and may put others there."""
    result, _, evaluator = grid
    costs = {}
    for (rows, columns, bits), point in zip(ALL, result.points, strict=True):
        confirmed = f"area-{rows}-{columns}-{bits}" in evaluator.executions()
        area = luts(rows, columns, bits) if confirmed else rows * columns * bits
        costs[rows, columns, bits] = (cycles(rows, columns), area, -accuracy(bits))
        assert point.values["luts"].number == area
        assert (point.values["luts"].kind == "exact") == confirmed
        assert confirmed or not point.front
        assert (point.test_accuracy is not None) == confirmed
    assert {name for name, point in zip(ALL, result.points, strict=True) if point.front} == best(costs)
    off = [p for p in result.points if p.values["luts"].kind == "exact" and not p.front]
    assert off, "the example must have a point that its confirmation takes off the front"


def test_the_folder_has_what_is_promised(grid: tuple[StudyResult, Path, MadeUp]) -> None:
    result, folder, _ = grid
    record = json.loads((folder / "result.json").read_text())
    assert [point["index"] for point in record["points"] if point["front"]] == record["front"]
    assert len(list((folder / "points").iterdir())) == 36
    config = config_from_dict(tomllib.loads((folder / "points" / "0035" / "config.toml").read_text()))
    assert config == result.points[35].point.config
    assert (folder / "points" / "0035" / "model.onnx").read_bytes() == b"\x00model" * 20
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]


def test_the_dashboards_storage_has_every_trial_finished(grid: tuple[StudyResult, Path, MadeUp]) -> None:
    result, folder, _ = grid
    stored = optuna.load_study(
        study_name="made up", storage=f"sqlite:///{folder / 'optuna.db'}", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    assert stored.metric_names == ["cycles", "luts", "accuracy"]
    assert {trial.state for trial in stored.trials} == {optuna.trial.TrialState.COMPLETE}
    assert [trial.values for trial in stored.trials] == [
        [point.values[measure].number for measure in ("cycles", "luts", "accuracy")] for point in result.points
    ]
    assert [trial.params["rows"] for trial in stored.trials] == [name[0] for name in ALL]


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers_gives_the_same(
    grid: tuple[StudyResult, Path, MadeUp], tmp_path: Path, workers: int
) -> None:
    # The first points take longer than the others, so that they end out of order.
    evaluator = MadeUp({"run-4-4-12": 0.3, "train-16": 0.2, "run-8-8-16": "print"})
    assert found(run_study(study(), tmp_path / "s", workers=workers, evaluator=evaluator)) == found(grid[0])


def test_the_second_run_computes_nothing(grid: tuple[StudyResult, Path, MadeUp]) -> None:
    first, folder, evaluator = grid
    names = ("result.json", "report.html", "points.csv", "points.parquet", "optuna.db", "points/0035/config.toml")
    before, times = evaluator.executions(), [(folder / name).stat().st_mtime_ns for name in names]
    again = run_study(study(), folder, workers=2, evaluator=evaluator)
    assert evaluator.executions() == before
    assert found(again) == found(first)
    assert all(point.cached for point in again.points) and not any(point.cached for point in first.points)
    assert [(folder / name).stat().st_mtime_ns for name in names] == times
    page = (folder / "report.html").read_bytes()
    (folder / "report.html").write_text("mine")  # what is not as it was written is written again
    (folder / "points.csv").unlink()
    run_study(study(), folder, workers=2, evaluator=evaluator)
    assert len((folder / "report.html").read_bytes()) > len(page) // 2 and (folder / "points.csv").exists()


@pytest.mark.usefixtures("here")
def test_a_changed_study_computes_what_changed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run_study(study(bits=(12,)), tmp_path / "s", workers=1, evaluator=MadeUp(log=log))
    before = len(MadeUp(log=log).executions())
    result = run_study(study(bits=(12, 20)), tmp_path / "s", workers=1, evaluator=MadeUp(log=log))
    added = MadeUp(log=log).executions()[before:]
    assert added and all(name.endswith("-20") for name in added)
    assert [point.cached for point in result.points] == [True, False] * 12
    before += len(added)
    run_study(study(bits=(12,)), tmp_path / "s", workers=1, evaluator=MadeUp(log=log, version={"train": "2"}))
    assert MadeUp(log=log).executions()[before:] == ["train-12"]  # what its sources' change touches
    assert len(list((tmp_path / "s" / "points").iterdir())) == 12  # and no point of the larger study is left


@pytest.mark.usefixtures("here")
def test_a_failing_point_is_recorded_and_the_study_goes_on(tmp_path: Path) -> None:
    evaluator = MadeUp({"run-8-4-16": "fail", "train-12": "raise"}, log=tmp_path / "log")
    result = run_study(study(), tmp_path / "s", workers=2, evaluator=evaluator)
    failed = {name: point.failure for name, point in zip(names(result), result.points, strict=True) if point.failure}
    assert failed.pop((8, 4, 16)) == "run-8-4-16 must not be, but is"
    assert set(failed) == {(rows, columns, 12) for rows in ROWS for columns in COLUMNS}
    assert set(failed.values()) == {"train: unexpected KeyError: 'train-12'"}
    assert result.state == "complete" and result.front
    assert not any(point.front for point in result.points if point.failure)
    before = evaluator.executions()
    run_study(study(), tmp_path / "s", workers=2, evaluator=evaluator)
    again = evaluator.executions()[len(before) :]
    assert again == ["train-12"]  # a failure is an outcome; an exception may not come again
    states = [trial.state.name for trial in optuna.load_study(
        study_name="made up", storage=f"sqlite:///{tmp_path / 's' / 'optuna.db'}",
        sampler=optuna.samplers.RandomSampler(seed=0),
    ).trials]  # fmt: skip
    assert (states.count("FAIL"), states.count("COMPLETE")) == (13, 23)


@pytest.mark.usefixtures("here")
def test_a_number_that_is_none_is_its_points_failure(tmp_path: Path) -> None:
    evaluator = MadeUp({"run-4-4-12": "odd", "run-4-4-16": "nan"})
    result = run_study(study(), tmp_path / "s", workers=1, evaluator=evaluator)
    assert [point.failure for point in result.points[:3]] == [
        "cycles must be a finite number, not inf",
        "run: unexpected ValueError: Out of range float values are not JSON compliant",
        None,
    ]
    assert "cycles" not in result.points[0].values and "luts" in result.points[0].values
    assert not any(point.failure for point in result.points[3:])
    assert [point.failure for point in read_result(tmp_path / "s").points] == [p.failure for p in result.points]


@pytest.mark.usefixtures("here")
def test_a_study_none_of_whose_points_can_be_had_has_its_page(tmp_path: Path) -> None:
    result = run_study(study(), tmp_path, workers=1, evaluator=MadeUp({"train": "fail"}))
    assert (result.state, result.front, len(result.points)) == ("complete", (), 36)
    assert "No point is on the front." in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("here")
def test_a_study_file_that_goes_while_it_runs_is_kept(tmp_path: Path) -> None:
    file, folder = tmp_path / "größe.toml", tmp_path / "a folder – ü"
    file.write_text("# mine\n")
    made = replace(study(bits=(12,)), file=file)

    def remove(status: Status) -> None:
        file.unlink(missing_ok=True)

    (tmp_path / "link").symlink_to(folder)
    folder.mkdir()
    result = run_study(made, tmp_path / "link", workers=1, on_status=remove, evaluator=MadeUp())
    assert (folder / "study.toml").read_text() == "# mine\n"
    assert shlex.split(result.points[3].command) == [
        "lockstep", "study", str(file), "-o", str(tmp_path / "link"), "--point", "3",
    ]  # fmt: skip
    again = run_study(replace(made, file=None), folder, workers=1, evaluator=MadeUp())
    assert again.points[3].command.startswith("lockstep study 'made up' -o '")


def test_a_built_in_study_is_known_by_its_name() -> None:
    built_in = read_study(find_study("tiny_arrays"))
    assert reference(built_in) == "tiny_arrays"


@pytest.mark.usefixtures("here")
def test_a_constraint_bounds_the_front(tmp_path: Path) -> None:
    limits = (Constraint("luts", high=2000), Constraint("accuracy", low=0.5))
    result = run_study(study(constraints=limits), tmp_path / "s", workers=1, evaluator=MadeUp())
    point = result.points[0]  # 4 × 4 with 12 bits
    assert point.violations == ("accuracy must be at least 0.5, not 0.375",)
    assert result.points[-1].violations == ("luts must be at most 2000, not 10240",)
    assert result.front and not any(point.violations for point in result.front)


@pytest.mark.usefixtures("here")
def test_a_grid_can_be_cut_short(tmp_path: Path) -> None:
    result = run_study(study(Search("grid", trials=5)), tmp_path / "s", workers=1, evaluator=MadeUp())
    assert names(result) == ALL[:5] and result.planned == 5


@pytest.mark.usefixtures("here")
def test_the_time_left_is_of_the_search_and_not_of_the_workers_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that goes on by 100 seconds before the first point and by 1 with each task, of which a point has one."""
    monkeypatch.setattr(run, "STATUS_SECONDS", 0.0)
    now, told = [0.0], list[Status]()
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now[0]))
    evaluator = MadeUp()

    class Slow(Here):
        def wait(self) -> list[Done]:
            now[0] += 1.0 if now[0] else 100.0
            return super().wait()

    monkeypatch.setattr(run, "LocalWorkers", Slow)
    run_study(study(bits=(12,)), tmp_path, workers=1, on_status=told.append, evaluator=evaluator)
    search = [status for status in told if status.phase == "search"]
    assert {status.remaining for status in search if status.finished < 2} == {None}
    assert all(status.remaining == 12 - status.finished for status in search if status.finished >= 2)
    assert {status.remaining for status in told if status.phase == "confirmation"} == {None}


def test_a_written_config_is_read_as_itself() -> None:
    config = AcceleratorConfig(rows=4, counters=False, arithmetic=Arithmetic(accumulator_bits=20, rounding="half_even"))
    assert config_from_dict(tomllib.loads(config_toml(config))) == config
