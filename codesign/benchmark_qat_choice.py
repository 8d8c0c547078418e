"""How the settings of the benchmarks on the digits are chosen: by cross-validation inside the training images.

``python -m codesign.benchmark_qat_choice`` prints the tables of docs/performance.md. The test images take no part: a
fifth of the training images validates what the other four fifths have trained, each fifth in its turn.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from rich.console import Console
from sklearn.model_selection import StratifiedKFold
from torch import nn

from emulator import Arithmetic

from . import digits
from .digits import Digits
from .table import Table

FOLDS = 5
SEED = 0
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
EPOCHS = (15, 30)
WIDTHS = (16, 14, 12)
ACTIVATION_BITS = (8, 5, 4)

Train = Callable[..., nn.Module]
"""Called with (float model, data, seed=)."""
Candidates = Mapping[str, Mapping[str, Train]]
"""{candidate: {what it is tried on: training}}."""


def folds(data: Digits, count: int = FOLDS) -> Iterator[Digits]:
    """The training images cut into `count` parts, stratified; each part in turn is what a fold tests with."""
    splits = StratifiedKFold(count, shuffle=True, random_state=SEED).split(data.train_images, data.train_labels)
    for train, validation in splits:
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


def choices() -> dict[str, Candidates]:
    """{question: candidates}."""
    square = {f"W{bits}A{bits}": Arithmetic(weight_bits=bits, activation_bits=bits) for bits in (8, 4)}
    narrow = {f"{width} bits": Arithmetic(accumulator_bits=width) for width in WIDTHS}
    return {
        "QAT, wide accumulator": {
            f"rate {rate:g}, {epochs} epochs": {
                on: partial(digits.train_qat, arithmetic=arithmetic, learning_rate=rate, epochs=epochs)
                for on, arithmetic in square.items()
            }
            for rate in LEARNING_RATES
            for epochs in EPOCHS
        },
        "QAT, narrow accumulator": {
            f"rate {rate:g}": {
                on: partial(digits.train_qat, arithmetic=arithmetic, learning_rate=rate)
                for on, arithmetic in narrow.items()
            }
            for rate in LEARNING_RATES
        },
        "guaranteed mode": {
            f"{bits}-bit activations, {'centered' if center else 'not centered'}, rate {rate:g}": {
                on: partial(
                    digits.train_guaranteed,
                    arithmetic=arithmetic,
                    activation_bits=bits,
                    center=center,
                    learning_rate=rate,
                )
                for on, arithmetic in narrow.items()
            }
            for bits in ACTIVATION_BITS
            for center in (False, True)
            for rate in LEARNING_RATES[1:]
        },
    }


def tables(questions: Mapping[str, Candidates], parts: Sequence[Digits], float_epochs: int) -> Iterator[Table]:
    """A table for each question: the points that each candidate loses, and their mean; the best one is marked."""
    for question, candidates in questions.items():
        found = validation_losses(candidates, parts, float_epochs)
        means = {name: statistics.mean(losses.values()) for name, losses in found.items()}
        best = min(means, key=lambda name: means[name])
        table = Table(f"{question}: points lost on {len(parts)} folds", ("candidate", *found[best], "mean", "best"))
        for name, losses in found.items():
            cells = [f"{loss:.2f}" for loss in (*losses.values(), means[name])]
            table.add(name, *cells, name == best or None)
        yield table


if __name__ == "__main__":
    data = digits.load()
    for table in tables(choices(), list(folds(data)), digits.FLOAT_EPOCHS):
        Console().print(table.rich())
