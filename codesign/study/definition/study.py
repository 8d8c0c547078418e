"""`Study`: what a study file says, checked; every part a frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.config import AcceleratorConfig
from emulator.timing import DEFAULT_LATENCY

SAMPLERS = ("grid", "nsga2", "nsga3", "tpe", "gp")
RECIPES = ("ptq", "adaround", "fitted", "qat")
CONFIRM = ("none", "front", "all")
AREA_MODELS = ("shipped", "store")


@dataclass(frozen=True)
class Network:
    """Whose layers are run.

    kind : ``builtin`` (of `codesign.networks`, random weights), ``factory`` (``module:function`` that makes a torch
        module; or the name of a built-in data set's own network) or ``file`` (ONNX or TFLite)
    name : as the study file has it
    digest : SHA-256 of the file, or of the factory's module's source; "" for built-in ones
    """

    kind: str
    name: str
    digest: str = ""


@dataclass(frozen=True)
class Data:
    """What accuracy is measured on: a built-in data set, or ``module:function`` that makes one, or an .npz file.

    kind : ``builtin``, ``factory`` or ``file``
    """

    kind: str
    name: str
    digest: str = ""


@dataclass(frozen=True)
class Training:
    """How a point's network gets its codes.

    recipe : one of `RECIPES`, the kind of a `TrainingRecipe`; None: a dimension of the space chooses it
    options : its other fields but the seed, which is the study's, all by name
    """

    recipe: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dimension:
    """One axis of the space: a choice sets one field or several at once.

    name : the field's path ("rows", "arithmetic.accumulator_bits", "weight_budget"), or a free name where choices are
        tables
    labels : of each choice, different texts or numbers, as shown and as the search sees them
    choices : of each: field path → value
    """

    name: str
    labels: tuple[Any, ...]
    choices: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Objective:
    """A measure and its direction, ``minimize`` or ``maximize``."""

    measure: str
    direction: str


@dataclass(frozen=True)
class Constraint:
    """A measure and its bounds, either of them None."""

    measure: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Search:
    """How points are chosen.

    sampler : one of `SAMPLERS`; ``grid`` takes every combination
    trials : points to evaluate at most, cached and failed ones included; None: all of a grid
    population : points that are asked at once, evaluated in parallel and told in order
    """

    sampler: str = "grid"
    trials: int | None = None
    seed: int = 0
    population: int = 16


@dataclass(frozen=True)
class Study:
    """A study file, checked.

    file : the study's file; None for one that was made in Python
    folder : what relative paths are resolved against, and where factories' modules are looked for first
    further : networks that every point runs beside `network`, all of its kind
    fixed : field path → value for all points ("rows", "arithmetic.overflow", …); the others are `AcceleratorConfig`'s
    latency : of the external memory, cycles
    seed : of the training
    clock_mhz : of all points, or None: predicted or measured
    device : of `synthesis.devices`, for ``fits``
    confirm : whose area is synthesized for real: one of `CONFIRM`
    area_model : what the model of area is fitted on: the syntheses that come with the package, or those of the folder's
        store too, as it is when the study first begins there
    place : whether those are placed and routed too, for their clock
    energy_table, liberty : paths, or None for the built-in table, and for no ASIC figures
    """

    name: str
    network: Network
    space: tuple[Dimension, ...]
    objectives: tuple[Objective, ...]
    data: Data | None = None
    training: Training | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()
    search: Search = field(default_factory=Search)
    seed: int = 0
    latency: int = DEFAULT_LATENCY
    clock_mhz: float | None = None
    device: str = "LFE5U-85F"
    confirm: str = "none"
    area_model: str = "shipped"
    place: bool = False
    energy_table: Path | None = None
    liberty: Path | None = None
    file: Path | None = None
    folder: Path = Path()
    further: tuple[Network, ...] = ()

    @property
    def networks(self) -> tuple[Network, ...]:
        """All that a point runs, by different names."""
        return (self.network, *self.further)


@dataclass(frozen=True)
class Point:
    """One combination of the space's choices.

    choices : dimension → label
    config : the accelerator; its arithmetic is that of the training
    weight_budget, activation_budget : bytes for `qat.search_bits`, or None: all layers have the arithmetic's bits
    recipe : one of `RECIPES`, or None: there is no training
    """

    choices: Mapping[str, Any]
    config: AcceleratorConfig
    weight_budget: int | None = None
    activation_budget: int | None = None
    recipe: str | None = None
