"""How the settings of the benchmarks on the digits are chosen: by cross-validation inside the training images.

``python -m codesign.benchmarks.qat_choice`` prints the tables of docs/performance.md. The test images take no part: a
fifth of the training images validates what the other four fifths have trained, each fifth in its turn.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from rich.console import Console
from sklearn.model_selection import RepeatedStratifiedKFold
from torch import nn

from emulator import Arithmetic

from .. import digits
from ..digits import Digits
from ..table import Table

FOLDS, REPEATS = 5, 2
SEED = 0
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
DISTILLATION = (0.0, 0.5, 1.0)
NARROW = (14, 12)
"""Accumulator widths in bits."""
NARROW_FOLDS = 3
"""Only the first ones, where one training takes long."""
ACTIVATION_BITS = (8, 5, 4)
MEASURES = ("lost", "changed")

Train = Callable[..., nn.Module]
"""Called with (float model, data, seed=)."""
Candidates = Mapping[str, Mapping[str, Train]]
"""{candidate: {what it is tried on: training}}."""


@dataclass(frozen=True)
class Question:
    """What is to be chosen, from which candidates, on how many folds, and by the least of which measure.

    A fold has so few images that the points lost hardly tell good candidates apart. The share of answers that are not
    the float model's does, and the points lost are never more.
    """

    title: str
    candidates: Candidates
    folds: int
    measure: Literal["lost", "changed"] = "lost"


def questions() -> list[Question]:
    """What was asked for the benchmark's settings; the candidates' other settings are the defaults of `digits`."""
    square = {f"W{bits}A{bits}": Arithmetic(weight_bits=bits, activation_bits=bits) for bits in (8, 4)}
    narrow = {f"{width} bits": Arithmetic(accumulator_bits=width) for width in NARROW}

    def rates(tried_on: Mapping[str, Arithmetic], distillation: float = 0.0) -> Candidates:
        return {
            f"rate {rate:g}" + f", distillation {distillation:g}" * (distillation > 0): {
                on: partial(digits.train_qat, arithmetic=arithmetic, learning_rate=rate, distillation=distillation)
                for on, arithmetic in tried_on.items()
            }
            for rate in LEARNING_RATES
        }

    distilled = {name: tried for weight in DISTILLATION for name, tried in rates(square, weight).items()}
    guaranteed = {
        f"{bits}-bit activations, {'centered' if center else 'not centered'}": {
            on: partial(digits.train_guaranteed, arithmetic=arithmetic, activation_bits=bits, center=center)
            for on, arithmetic in narrow.items()
        }
        for bits in ACTIVATION_BITS
        for center in (False, True)
    }
    return [
        Question("QAT, 32-bit accumulator", distilled, FOLDS * REPEATS, "changed"),
        Question("QAT, narrow accumulator", rates(narrow), NARROW_FOLDS),
        Question("guaranteed mode", guaranteed, NARROW_FOLDS),
    ]


def folds(data: Digits, count: int = FOLDS, repeats: int = REPEATS) -> Iterator[Digits]:
    """The training images cut into `count` parts, stratified, `repeats` times; each part is what a fold tests with."""
    splitter = RepeatedStratifiedKFold(n_splits=count, n_repeats=repeats, random_state=SEED)
    for train, validation in splitter.split(data.train_images, data.train_labels):
        chosen = (torch.from_numpy(indices) for indices in (train, validation))
        yield Digits(*(part[c] for c in chosen for part in (data.train_images, data.train_labels)))


def validate(
    candidates: Candidates, parts: Sequence[Digits], float_epochs: int
) -> dict[str, dict[str, dict[str, float]]]:
    """{measure: {candidate: {what it is tried on: percentage points, mean over the folds}}}.

    Measures are the accuracy ``lost`` to the float model, and the answers ``changed`` from the float model's. A fold's
    number is the seed of its float model and of every training that starts from it.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {
        measure: {name: {on: [] for on in tried} for name, tried in candidates.items()} for measure in MEASURES
    }
    for seed, part in enumerate(parts):
        model = digits.train_float(part, epochs=float_epochs, seed=seed)
        expected = digits.answers(model, part.test_images)
        for name, tried in candidates.items():
            for on, train in tried.items():
                answers = digits.answers(train(model, part, seed=seed), part.test_images)
                right = [(given == part.test_labels).float().mean().item() for given in (expected, answers)]
                found["lost"][name][on].append(right[0] - right[1])
                found["changed"][name][on].append((answers != expected).float().mean().item())
    return {
        measure: {
            name: {on: 100 * statistics.mean(values) for on, values in tried.items()} for name, tried in names.items()
        }
        for measure, names in found.items()
    }


def answer(question: Question, data: Digits, float_epochs: int = digits.FLOAT_EPOCHS) -> Table:
    """Each candidate's measures, and the mean of the one that decides; the best candidate is marked.

    Of equal candidates the one that loses fewer points is the best.
    """
    parts = list(folds(data))[: question.folds]
    found = validate(question.candidates, parts, float_epochs)
    means = {
        name: tuple(statistics.mean(found[measure][name].values()) for measure in (question.measure, "lost"))
        for name in question.candidates
    }
    best = min(means, key=lambda name: tuple(round(mean, 6) for mean in means[name]))
    measures = dict.fromkeys(("lost", question.measure))
    columns = [f"{on}, {measure}" for measure in measures for on in found[measure][best]]
    title = f"{question.title}: percentage points, {len(parts)} folds"
    table = Table(title, ("candidate", *columns, "mean", "best"))
    for name, (mean, _) in means.items():
        values = [value for measure in measures for value in found[measure][name].values()]
        table.add(name, *(f"{value:.2f}" for value in (*values, mean)), name == best or None)
    return table


if __name__ == "__main__":
    for question in questions():
        Console().print(answer(question, digits.load()).rich())
