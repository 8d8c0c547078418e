"""Which points are asked for: the same whatever was interrupted, and an end where there is no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from codesign.study import run_study
from codesign.study.definition.study import Dimension, Search, Study
from codesign.study.engine import run as run_module
from codesign.study.engine import search as search_module
from codesign.study.engine.outputs import write_outputs
from codesign.study.engine.search import Search as Asker
from codesign.study.engine.search import Told
from codesign.study.engine.store import Store
from codesign.study.result import StudyResult
from tests.codesign.study.engine.made_up import Here, MadeUp, study

SEARCHES = {
    "nsga2": Search("nsga2", 30, seed=3, population=6),
    "nsga3": Search("nsga3", 30, seed=3, population=6),
    "tpe": Search("tpe", 24, seed=3, population=6),
}


def labels(result: StudyResult) -> list[dict[str, object]]:
    return [dict(point.point.choices) for point in result.points]


def values(result: StudyResult) -> list[dict[str, float]]:
    return [{name: value.number for name, value in point.values.items()} for point in result.points]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "LocalWorkers", Here)
    monkeypatch.setattr(run_module, "write_outputs", lambda *_: None)  # most of the time, and nothing of the search


class Interrupting(MadeUp):
    """Whose evaluation is interrupted, as by Ctrl-C, when the tasks of so many points have been asked for."""

    points = 0

    def tasks(self, point, done):  # type: ignore[no-untyped-def]
        if not done:
            Interrupting.points -= 1
            if Interrupting.points < 0:
                raise KeyboardInterrupt
        return super().tasks(point, done)


@pytest.mark.parametrize("sampler", SEARCHES)
def test_a_study_that_was_interrupted_asks_for_the_same_points(tmp_path: Path, sampler: str) -> None:
    made = study(SEARCHES[sampler])
    whole = run_study(made, tmp_path / "whole", workers=1, evaluator=MadeUp())
    assert whole.state == "complete" and len({tuple(c.values()) for c in labels(whole)}) == len(whole.points)
    for points in (9, 20):
        Interrupting.points = points
        part = run_study(made, tmp_path / "parts", workers=1, evaluator=Interrupting())
        assert part.state == "interrupted" and len(part.points) < len(whole.points)
        assert all(point.point.choices == whole.points[point.index].point.choices for point in part.points)
    resumed = run_study(made, tmp_path / "parts", workers=2, evaluator=MadeUp())
    assert labels(resumed) == labels(whole) and values(resumed) == values(whole)
    assert [point.front for point in resumed.points] == [point.front for point in whole.points]


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_longer_study_begins_as_the_shorter_one(tmp_path: Path, sampler: str) -> None:
    short = run_study(study(Search(sampler, 10, 1, 6)), tmp_path / "s", workers=1, evaluator=MadeUp())
    log = tmp_path / "log"
    long = run_study(study(Search(sampler, 20, 1, 6)), tmp_path / "s", workers=1, evaluator=MadeUp(log=log))
    assert labels(long)[:10] == labels(short) and len(long.points) == 20
    assert sum(name.startswith("run") for name in MadeUp(log=log).executions()) == 10


def test_a_complete_study_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(SEARCHES["nsga2"])
    first = run_study(made, tmp_path, workers=1, evaluator=MadeUp())
    monkeypatch.setattr(search_module.Search, "_asked", _never)
    assert labels(run_study(made, tmp_path, workers=1, evaluator=MadeUp())) == labels(first)


def _never(*_: object) -> None:
    raise AssertionError("the sampler was asked")


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe"])
def test_a_space_that_is_exhausted_is_the_end(tmp_path: Path, sampler: str) -> None:
    """12 points, 500 trials: duplicates have no entries, and are not computed."""
    log = tmp_path / "log"
    made = study(Search(sampler, 500, seed=2, population=8), bits=(16,))
    result = run_study(made, tmp_path / "s", workers=1, evaluator=MadeUp(log=log))
    assert (result.state, result.planned) == ("complete", 12)
    assert len({tuple(c.values()) for c in labels(result)}) == len(result.points) > 8
    executions = MadeUp(log=log).executions()
    assert len(executions) == len(set(executions))


def _small(one: tuple[int, ...]) -> Told:
    """The second label is minimized."""
    return Told(one, (float(one[1]),))


def _failing(one: tuple[int, ...]) -> Told:
    """The first is, and a second one of 4 or more fails."""
    return Told(one, (float(one[0]),) if one[1] < 4 else None)


def _infeasible(one: tuple[int, ...]) -> Told:
    """The first is, with a constraint against a second one of 4 or more."""
    return Told(one, (float(one[0]),), (float(one[1] - 3),))


def _both(one: tuple[int, ...]) -> Told:
    """The first is, with a constraint against a second one of 4 or more, and one of 6 or more fails."""
    return _infeasible(one) if one[1] < 6 else Told(one, None)


@pytest.mark.parametrize(
    ("sampler", "population", "generations", "tell"),
    [
        *((*genetic, tell) for genetic in (("nsga2", 10, 8), ("nsga3", 10, 8)) for tell in (_small, _failing)),
        ("nsga2", 10, 8, _infeasible),
        *(("tpe", 10, 5, tell) for tell in (_small, _failing, _infeasible)),
        ("gp", 4, 4, _both),  # a Gaussian process for the objective and one for each constraint: seconds
    ],
)
def test_a_search_finds_what_is_good_and_leaves_what_fails(
    tmp_path: Path,
    sampler: str,
    population: int,
    generations: int,
    tell: Callable[[tuple[int, ...]], Told],
) -> None:
    """Three labels of 0 to 7, of which the second should be below 4; a search that has forgotten all says the same."""
    made = _cube(Search(sampler, 999, 5, population))
    search, told = Asker(made, Store(tmp_path / "a")), []
    for _ in range(generations):
        told.append([tell(tuple(one)) for one in search.ask(told)])
    good = sum(one.labels[1] < 4 for one in told[-1])
    assert good > 0.7 * population, [[one.labels for one in generation] for generation in told]
    again = Asker(made, Store(tmp_path / "b")).ask(told[:-1])
    assert [tuple(one) for one in again] == [one.labels for one in told[-1]]


def _cube(search: Search) -> Study:
    names, base = ("rows", "columns", "bus_bytes"), study()
    dimensions = tuple(Dimension(name, tuple(range(8)), ({},) * 8) for name in names)
    return Study("x", base.network, dimensions, base.objectives[:1], search=search)


def test_numbers_are_ordered_for_the_sampler_in_whatever_order_they_stand(tmp_path: Path) -> None:
    made = study(Search("tpe", 9, population=4))
    mixed = Dimension("rows", (32, 1, 8), tuple({"rows": row} for row in (32, 1, 8)))
    asker = Asker(Study("x", made.network, (mixed,), made.objectives[:1], search=made.search), Store(tmp_path))
    assert [asker._labels({"rows": index}) for index in range(3)] == [(1,), (2,), (0,)]
    assert [asker._params((index,))["rows"] for index in range(3)] == [2, 0, 1]


def test_illegal_combinations_are_no_points(tmp_path: Path) -> None:
    """64 rows do not fit into 1 KiB of activations: a grid leaves them out, a sampler goes on."""
    for sampler in ("grid", "nsga2"):
        made = study(Search(sampler, 100, population=6), bits=(16,))
        small = Study(
            "x", made.network, (_rows(8, 32, 64), *made.space[1:]), made.objectives, search=made.search,
            fixed={"activation_scratchpad_bytes": 1000},
        )  # fmt: skip
        result = run_study(small, tmp_path / sampler, workers=1, evaluator=MadeUp())
        assert result.state == "complete" and {config.point.config.rows for config in result.points} <= {8, 32}
        assert len(result.points) == (6 if sampler == "grid" else len(result.points))


def _rows(*rows: int) -> Dimension:
    return Dimension("rows", rows, tuple({"rows": row} for row in rows))


def test_nothing_of_optuna_stays_set(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "write_outputs", write_outputs)
    before = optuna.logging.get_verbosity()
    run_study(study(Search("tpe", 12, population=6)), tmp_path, workers=1, evaluator=MadeUp())
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")
