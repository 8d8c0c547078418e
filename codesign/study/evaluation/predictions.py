"""What a study's area model is fitted on: the syntheses that ship, and on request those of the folder's store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from emulator.config import config_from_dict

from ...synthesis.area import Area
from ...synthesis.area_model import AreaModel, Measured, load_model
from ..definition.study import Study
from ..engine.store import Store
from ..engine.task import Outcome, Task, canonical
from ..plain import to_plain
from .sources import sources
from .tasks import HARDWARE, SYNTHESIS, hardware_task

KIND = "known"
"""Of the entries of the store that hold the syntheses that a study began with."""


@cache
def shipped_model() -> AreaModel:
    """Fitted on what comes with the package."""
    return load_model()


def known_syntheses(study: Study, store: Store) -> tuple[Measured, ...]:
    """The syntheses of the store, of the installed RTL by the installed tools, as they were when the study first began.

    A study makes syntheses itself. With those, one that was stopped would predict other areas when it goes on, and ask
    for other points. So the store keeps what the study began with, for as long as it asks the same; how many points it
    asks for, how it is called and where its files are does not matter.
    """
    if study.area_model == "shipped":
        return ()
    asked = replace(
        study, name="", file=None, folder=Path(), energy_table=None, liberty=None,
        search=replace(study.search, trials=None),
    )  # fmt: skip
    key = hashlib.sha256(canonical(to_plain(asked)).encode()).hexdigest()
    kept = store.get(KIND, key)
    if kept is None:
        kept = Outcome({"syntheses": [one.as_dict() for one in _current(store)]})
        store.put(KIND, key, kept)
    return tuple(Measured.from_dict(table) for table in kept.values["syntheses"])


def _current(store: Store) -> list[Measured]:
    """Of all syntheses in the store, by key, those that would be the same today."""
    found = []
    for key in store.keys(SYNTHESIS):
        outcome = store.get(SYNTHESIS, key)
        if outcome is None or outcome.failure is not None:
            continue
        values = outcome.values
        if Task(SYNTHESIS, {"hardware": values.get("hardware")}).key(sources(SYNTHESIS)) != key:
            continue
        own = hardware_task(config_from_dict(values["config"]))
        hardware = store.get(HARDWARE, own.key(sources(HARDWARE)))
        if hardware is not None and hardware.values.get("key") == values["hardware"]:
            found.append(Measured.of(_area(values)))
    return found


def _area(values: Mapping[str, Any]) -> Area:
    parts = {
        name: (part["instances"], {resource: part[resource] for resource in values["resources"]})
        for name, part in values["parts"].items()
    }
    return Area(config_from_dict(values["config"]), values["resources"], parts)
