"""`Search`: which points a study asks for next: a pure function of its file and of what it has been told so far.

Each generation has a sampler of its own, whose seed is made of the study's and the generation's number. So nothing but
what was told has to be known to go on, and a study that was stopped asks for what it would have asked for.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..definition.study import Dimension, Study
from .store import Store
from .task import Outcome, canonical

if TYPE_CHECKING:
    import optuna

KIND = "asked"
"""Of the entries of the store that hold a generation's points."""
GENETIC = ("nsga2", "nsga3")
FAILED = "failed"
"""Name of the constraint that a failed point violates."""
_INFLUENCES = ("optuna", "numpy", "scipy", "torch")

Labels = tuple[int, ...]
"""Of each dimension, the index of a label."""


@dataclass(frozen=True)
class Told:
    """What the search learns of a point.

    values : of the objectives, or None where the point has failed or makes no accelerator
    excess : of each constraint, how far beyond its bound; 0 or less where it holds
    """

    labels: Labels
    values: tuple[float, ...] | None
    excess: tuple[float, ...] = ()


def choices(study: Study, labels: Labels) -> dict[str, Any]:
    """{dimension: label}."""
    return {d.name: d.labels[index] for d, index in zip(study.space, labels, strict=True)}


def is_ordered(dimension: Dimension) -> bool:
    """Whether the labels are numbers, between which there is more and less."""
    return all(isinstance(label, int | float) and not isinstance(label, bool) for label in dimension.labels)


class Search:
    """The generations of a study, one after the other."""

    def __init__(self, study: Study, store: Store) -> None:
        self._study, self._store = study, store
        self._orders = [
            sorted(range(len(d.labels)), key=d.labels.__getitem__) if is_ordered(d) else list(range(len(d.labels)))
            for d in study.space
        ]
        self._replayed: optuna.Study | None = None
        self._generations = 0  # that the replayed study has been told
        self._open: list[optuna.Trial] = []  # of the next one

    def ask(self, told: Sequence[Sequence[Told]]) -> Iterable[Labels]:
        """The points of the next generation, duplicates of earlier ones included; none where there is no more.

        A grid is one generation, in the order of `definition.points.combinations`.

        told : of each generation so far, what all its points gave, in the order in which they were asked for
        """
        if self._study.search.sampler == "grid":
            ranges = [range(len(dimension.labels)) for dimension in self._study.space]
            return [] if told else itertools.product(*ranges)
        key = self._key(told)
        asked = self._recorded(key)
        if asked is None:
            with _quiet(self._study.search.sampler):
                asked = self._asked(told)
            self._store.put(KIND, key, Outcome({"asked": [list(labels) for labels in asked]}))
        return asked

    def _key(self, told: Sequence[Sequence[Told]]) -> str:
        """Of all that the answer depends on; `trials` is not of it, so a longer study begins as the shorter one."""
        search = self._study.search
        versions = {name: importlib.metadata.version(name) for name in _INFLUENCES}
        space = [[dimension.name, list(dimension.labels)] for dimension in self._study.space]
        directions = [objective.direction for objective in self._study.objectives]
        history = [[[list(t.labels), t.values, list(t.excess)] for t in generation] for generation in told]
        parts = [versions, search.sampler, search.seed, search.population, space, directions, history]
        return hashlib.sha256(canonical(parts).encode()).hexdigest()

    def _recorded(self, key: str) -> list[Labels] | None:
        outcome = self._store.get(KIND, key)
        if outcome is None:
            return None
        return [tuple(int(index) for index in labels) for labels in outcome.values["asked"]]

    def _asked(self, told: Sequence[Sequence[Told]]) -> list[Labels]:
        if self._study.search.sampler in GENETIC:
            asked = self._bred(told)
        else:
            study = self._new(len(told))
            everything = list(itertools.chain.from_iterable(told))
            for one, values, excess in zip(everything, *self._completed(everything), strict=True):
                study.add_trial(_trial(self._params(one.labels), self._distributions(), values, excess))
            asked = self._ask_all(study)
        return [self._labels(trial.params) for trial in asked]

    def _ask_all(self, study: optuna.Study) -> list[optuna.Trial]:
        return [study.ask(self._distributions()) for _ in range(self._study.search.population)]

    def _bred(self, told: Sequence[Sequence[Told]]) -> list[optuna.Trial]:
        """The next generation of a study in which the earlier ones came about: it keeps who is whose parent."""
        if self._replayed is None or self._generations >= len(told):
            self._replayed, self._generations = self._new(0), 0
            self._open = self._ask_all(self._replayed)
        for number in range(self._generations, len(told)):
            values, excess = self._completed(list(itertools.chain.from_iterable(told[: number + 1])))
            first = -len(self._open)
            for trial, value, over in zip(self._open, values[first:], excess[first:], strict=True):
                for name, beyond in over.items():
                    trial.set_constraint(name, beyond)
                self._replayed.tell(trial, value)
            self._replayed.sampler = self._sampler(number + 1)
            self._open = self._ask_all(self._replayed)
        self._generations = len(told)
        return self._open

    def _completed(self, told: Sequence[Told]) -> tuple[list[list[float]], list[dict[str, float]]]:
        """Values and constraints as the sampler is to see them: what failed is as bad as the worst, and infeasible."""
        known = [one for one in told if one.values is not None]
        signs = [-1 if objective.direction == "minimize" else 1 for objective in self._study.objectives]
        worst = [
            sign * min((sign * one.values[i] for one in known if one.values is not None), default=0.0)
            for i, sign in enumerate(signs)
        ]
        bounds = max((len(one.excess) for one in known), default=0)
        most = [max(0.0, *(one.excess[i] for one in known)) for i in range(bounds)]
        values = [list(worst if one.values is None else one.values) for one in told]
        excess = [{str(i): over for i, over in enumerate(most if one.values is None else one.excess)} for one in told]
        # A Gaussian process is fitted to every constraint, so this one is there only where it tells something.
        if len(known) < len(told) or self._study.search.sampler in GENETIC:
            for one, over in zip(told, excess, strict=True):
                over[FAILED] = float(one.values is None)
        return values, excess

    def _new(self, generation: int) -> optuna.Study:
        import optuna

        directions = [objective.direction for objective in self._study.objectives]
        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(), sampler=self._sampler(generation), directions=directions
        )

    def _sampler(self, generation: int) -> optuna.samplers.BaseSampler:
        import optuna

        search = self._study.search
        seed = int(np.random.SeedSequence([search.seed, generation]).generate_state(1)[0])
        if search.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        if search.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)
        genetic = {"nsga2": optuna.samplers.NSGAIISampler, "nsga3": optuna.samplers.NSGAIIISampler}
        return genetic[search.sampler](seed=seed, population_size=search.population)

    def _distributions(self) -> dict[str, Any]:
        import optuna

        return {
            dimension.name: optuna.distributions.IntDistribution(0, len(dimension.labels) - 1)
            if is_ordered(dimension)
            else optuna.distributions.CategoricalDistribution(range(len(dimension.labels)))
            for dimension in self._study.space
        }

    def _params(self, labels: Labels) -> dict[str, int]:
        pairs = zip(self._study.space, self._orders, labels, strict=True)
        return {dimension.name: order.index(index) for dimension, order, index in pairs}

    def _labels(self, params: Mapping[str, int]) -> Labels:
        pairs = zip(self._study.space, self._orders, strict=True)
        return tuple(order[params[dimension.name]] for dimension, order in pairs)


def _trial(
    params: Mapping[str, int], distributions: Mapping[str, Any], values: list[float], excess: Mapping[str, float]
) -> optuna.trial.FrozenTrial:
    import optuna

    return optuna.create_trial(
        params=dict(params), distributions=dict(distributions), values=values, constraints=dict(excess)
    )


@contextmanager
def _quiet(sampler: str) -> Iterator[None]:
    """Nothing on standard error, and one thread: sums of several are not the same on every machine."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch, threads = None, 1
    if sampler == "gp":
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
        if torch is not None:
            torch.set_num_threads(threads)
