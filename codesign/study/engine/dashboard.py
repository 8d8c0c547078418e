"""`write_dashboard`: a result as the storage that the Optuna dashboard shows."""

from __future__ import annotations

import json
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import replacing
from ..definition.study import Dimension
from ..result import PointResult, StudyResult
from . import scores
from .search import is_ordered

if TYPE_CHECKING:
    import optuna

DIGEST = "lockstep:digest"
"""The study's attribute that says of which result a storage is."""


def write_dashboard(result: StudyResult, digest: str, file: Path) -> None:
    """Write ``optuna.db``, whole or not at all, unless it is of this result already. No trial of it is running.

    digest : of the result; what a dashboard adds to the file, as somebody's notes, does not change it
    """
    if _has(file, digest):
        return
    import optuna
    from sqlalchemy.pool import StaticPool

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # In memory first: in a file, each of some thousand insertions would wait for the disk.
            storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"poolclass": StaticPool})
            study = optuna.create_study(
                storage=storage,
                study_name=result.study.name,
                directions=[objective.direction for objective in result.study.objectives],
                sampler=optuna.samplers.RandomSampler(seed=0),  # nobody asks it
            )
            study.set_metric_names([objective.measure for objective in result.study.objectives])
            study.set_user_attr(DIGEST, digest)
            study.add_trials([_trial(result, point) for point in result.points])
        connection = storage.engine.raw_connection()
        with replacing(file) as temporary, closing(sqlite3.connect(temporary)) as copy:
            connection.driver_connection.backup(copy)
        connection.close()
        storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(verbosity)


def _trial(result: StudyResult, point: PointResult) -> optuna.trial.FrozenTrial:
    import optuna

    study = result.study
    params = {d.name: point.point.choices[d.name] if is_ordered(d) else _text(point, d) for d in study.space}
    attributes: dict[str, Any] = {"index": point.index, "command": point.command}
    attributes |= {measure: value.number for measure, value in point.values.items()}
    state, values, over = optuna.trial.TrialState.FAIL, None, {}
    if point.failure is None:
        state, values = optuna.trial.TrialState.COMPLETE, list(scores.objectives(study, point.values))
        over = {str(index): beyond for index, beyond in enumerate(scores.excess(study, point.values))}
    else:
        attributes["failure"] = point.failure
    return optuna.create_trial(
        state=state,
        params=params,
        distributions={dimension.name: _distribution(dimension) for dimension in study.space},
        values=values,
        constraints=over or None,
        user_attrs=attributes,
    )


def _text(point: PointResult, dimension: Dimension) -> str:
    return str(point.point.choices[dimension.name])


def _distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    import optuna

    labels = dimension.labels
    if not is_ordered(dimension):
        return optuna.distributions.CategoricalDistribution([str(label) for label in labels])
    if all(isinstance(label, int) for label in labels):
        return optuna.distributions.IntDistribution(min(labels), max(labels))
    return optuna.distributions.FloatDistribution(min(labels), max(labels))


def _has(file: Path, digest: str) -> bool:
    if not file.is_file():
        return False
    query = "select value_json from study_user_attributes where key = ?"
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return [json.loads(value) for (value,) in database.execute(query, [DIGEST])] == [digest]
    except (sqlite3.Error, ValueError):
        return False
