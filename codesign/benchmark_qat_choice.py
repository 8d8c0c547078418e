"""How the settings of the benchmarks on the digits are chosen: by cross-validation inside the training images.

``python -m codesign.benchmark_qat_choice`` prints the tables of docs/performance.md. The test images take no part: a
fifth of the training images validates what the other four fifths have trained, each fifth in its turn.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from rich.console import Console
from sklearn.model_selection import RepeatedStratifiedKFold
from torch import nn

from emulator import Arithmetic

from . import digits
from .digits import Digits
from .table import Table

FOLDS, REPEATS = 5, 2
SEED = 0
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
NARROW = (14, 12)
"""Accumulator widths in bits."""
NARROW_FOLDS = 3
"""Only the first ones, where one training takes long."""
ACTIVATION_BITS = (8, 5, 4)

Train = Callable[..., nn.Module]
"""Called with (float model, data, seed=)."""
Candidates = Mapping[str, Mapping[str, Train]]
"""{candidate: {what it is tried on: training}}."""


@dataclass(frozen=True)
class Question:
    """What is to be chosen, from which candidates, on how many folds."""

    title: str
    candidates: Candidates
    folds: int


def questions() -> list[Question]:
    """What was asked for the benchmark's settings; the candidates' other settings are the defaults of `digits`."""
    square = {f"W{bits}A{bits}": Arithmetic(weight_bits=bits, activation_bits=bits) for bits in (8, 4)}
    narrow = {f"{width} bits": Arithmetic(accumulator_bits=width) for width in NARROW}

    def rates(tried_on: Mapping[str, Arithmetic]) -> Candidates:
        return {
            f"rate {rate:g}": {
                on: partial(digits.train_qat, arithmetic=arithmetic, learning_rate=rate)
                for on, arithmetic in tried_on.items()
            }
            for rate in LEARNING_RATES
        }

    guaranteed = {
        f"{bits}-bit activations, {'centered' if center else 'not centered'}": {
            on: partial(digits.train_guaranteed, arithmetic=arithmetic, activation_bits=bits, center=center)
            for on, arithmetic in narrow.items()
        }
        for bits in ACTIVATION_BITS
        for center in (False, True)
    }
    return [
        Question("QAT, 32-bit accumulator", rates(square), FOLDS * REPEATS),
        Question("QAT, narrow accumulator", rates(narrow), NARROW_FOLDS),
        Question("guaranteed mode", guaranteed, NARROW_FOLDS),
    ]


def folds(data: Digits, count: int = FOLDS, repeats: int = REPEATS) -> Iterator[Digits]:
    """The training images cut into `count` parts, stratified, `repeats` times; each part is what a fold tests with."""
    splitter = RepeatedStratifiedKFold(n_splits=count, n_repeats=repeats, random_state=SEED)
    for train, validation in splitter.split(data.train_images, data.train_labels):
        chosen = (torch.from_numpy(indices) for indices in (train, validation))
        yield Digits(*(part[c] for c in chosen for part in (data.train_images, data.train_labels)))


def validation_losses(
    candidates: Candidates, parts: Sequence[Digits], float_epochs: int
) -> dict[str, dict[str, float]]:
    """{candidate: {what it is tried on: percentage points lost to the float model, mean over the folds}}.

    A fold's number is the seed of its float model and of every training that starts from it.
    """
    lost: dict[str, dict[str, list[float]]] = {name: {on: [] for on in tried} for name, tried in candidates.items()}
    for seed, part in enumerate(parts):
        model = digits.train_float(part, epochs=float_epochs, seed=seed)
        reached = digits.accuracy(model, part.test_images, part.test_labels)
        for name, tried in candidates.items():
            for on, train in tried.items():
                trained = train(model, part, seed=seed)
                lost[name][on].append(reached - digits.accuracy(trained, part.test_images, part.test_labels))
    return {name: {on: 100 * statistics.mean(losses) for on, losses in tried.items()} for name, tried in lost.items()}


def answer(question: Question, data: Digits, float_epochs: int = digits.FLOAT_EPOCHS) -> Table:
    """The points that each candidate loses and their mean; the best candidate is marked."""
    parts = list(folds(data))[: question.folds]
    found = validation_losses(question.candidates, parts, float_epochs)
    means = {name: statistics.mean(losses.values()) for name, losses in found.items()}
    best = min(means, key=lambda name: means[name])
    table = Table(f"{question.title}: points lost, {len(parts)} folds", ("candidate", *found[best], "mean", "best"))
    for name, losses in found.items():
        table.add(name, *(f"{loss:.2f}" for loss in (*losses.values(), means[name])), name == best or None)
    return table


if __name__ == "__main__":
    for question in questions():
        Console().print(answer(question, digits.load()).rich())
