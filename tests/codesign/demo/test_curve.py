"""The curve: which points it has, and that a second process gives the accuracies that this one would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from codesign.datasets import load_builtin
from codesign.datasets.networks import network
from codesign.demo.curve import CurveTraining, Trainer, axis, others, width
from codesign.demo.result import CurvePoint
from codesign.study.engine.task import Outcome, Task
from codesign.training import TrainingRecipe
from codesign.training.fit import accuracy
from codesign.training.point import TrainedPoint, train_float, train_point
from emulator import Arithmetic

NAMES = ("weight_bits", "activation_bits", "accumulator_bits")
OWN = Arithmetic(accumulator_bits=8, weight_bits=2, activation_bits=3)


def codes(arithmetic: Arithmetic) -> tuple[int, int, int]:
    return arithmetic.weight_bits, arithmetic.activation_bits, arithmetic.accumulator_bits


@pytest.mark.parametrize(
    ("own", "by", "expected"),
    [
        (OWN, "codes", [(4, 4, 8), (3, 3, 8), (2, 2, 8)]),
        (replace(OWN, weight_bits=3), "codes", [(4, 4, 8), (2, 2, 8)]),
        (Arithmetic(accumulator_bits=14), "accumulator", [(8, 8, 12), (8, 8, 17), (8, 8, 20)]),
        (Arithmetic(accumulator_bits=9), "accumulator", [(8, 8, 12), (8, 8, 15)]),  # none has 7 bits
        (Arithmetic.tflm(), "accumulator", [(8, 8, 30)]),  # multipliers of 31 bits leave room for 32
    ],
)
def test_points(own: Arithmetic, by: str, expected: list[tuple[int, int, int]]) -> None:
    found = others(own, by)
    assert [codes(other) for other in found] == expected
    assert all(replace(other, **dict(zip(NAMES, codes(own), strict=True))) == own for other in found)


@pytest.mark.parametrize(("gain", "by"), [(0.0, "codes"), (-0.2, "codes"), (0.005, "codes"), (0.02, "accumulator")])
def test_accumulators_where_fitting_to_them_gains(gain: float, by: str) -> None:
    model = torch.nn.Identity()
    assert axis(TrainedPoint(model, 1.0, 0.5), TrainedPoint(model, 1.0, 0.5 + gain)) == by


def test_points_are_sorted_by_products_then_weights() -> None:
    points = [arithmetic(*bits) for bits in ((4, 4, 8), (2, 3, 8), (3, 2, 8), (2, 2, 9), (2, 2, 8))]
    assert [codes(point) for point in sorted(points, key=width)] == [
        (2, 2, 8),
        (2, 2, 9),
        (2, 3, 8),
        (3, 2, 8),
        (4, 4, 8),
    ]


def arithmetic(weights: int, activations: int, accumulator: int) -> Arithmetic:
    return Arithmetic(weight_bits=weights, activation_bits=activations, accumulator_bits=accumulator)


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """A hundred images of 8×8, so that AdaRound takes the most of the time."""
    whole = load_builtin("digits8")
    few = {
        f"{part}_{what}": getattr(whole, f"{part}_{what}")[:100]
        for part in ("train", "validation", "test")
        for what in ("inputs", "labels")
    }
    return Trainer("digits8", replace(whole, **few), TrainingRecipe(float_epochs=4, calibration=32))


def test_a_second_process_gives_the_same(trainer: Trainer) -> None:
    state = train_float(lambda: network("digits8"), trainer.data, trainer.recipe)
    with CurveTraining(trainer) as training:
        training.begin([OWN], state, 1)
        training.served.result(300)  # this process does nothing until the other has done all
        (point,) = training.finish(lambda done, total: pytest.fail("nothing is left to this process"))
    assert (point.arithmetic, point.qat_epochs) == (OWN, 1)
    images, labels = torch.from_numpy(trainer.data.test_inputs), trainer.data.test_labels
    for kind in ("ptq", "fitted", "qat"):
        model = train_point(
            lambda: network("digits8"), trainer.data, OWN, replace(trainer.recipe, kind=kind, epochs=1),
            float_state=state,
        ).model  # fmt: skip
        assert getattr(point, kind) == accuracy(model, images, torch.from_numpy(labels)), kind


class Quick(Trainer):
    """Knows the accuracy without training."""

    def execute(self, task: Task) -> Outcome:
        known = {"ptq": 0.1, "fitted": 0.2, "adaround": 0.3, "qat": 0.4}
        return Outcome({kind: known[kind] for kind in task.arguments["kinds"]})


def test_this_process_helps(trainer: Trainer) -> None:
    steps: list[tuple[int, int]] = []
    with CurveTraining(Quick(trainer.name, trainer.data, trainer.recipe)) as training:
        training.begin([OWN, Arithmetic()], b"", 3)  # long before the other process is there
        points = training.finish(lambda done, total: steps.append((done, total)))
    assert points == [CurvePoint(own, 0.1, 0.2, 0.3, 0.4, 3) for own in (OWN, Arithmetic())]
    assert steps == [(done, 4) for done in range(1, 5)]


def test_a_failed_training_is_an_error(trainer: Trainer) -> None:
    bad = replace(trainer.data, train_inputs=np.zeros((100, 3, 8, 8), np.float32))
    with CurveTraining(replace(trainer, data=bad)) as training, pytest.raises((RuntimeError, ValueError)):
        training.begin([OWN], b"none", 1)
        training.finish(lambda done, total: None)


def test_a_curve_that_is_not_begun_ends(trainer: Trainer) -> None:
    with pytest.raises(KeyError), CurveTraining(trainer):
        raise KeyError("what the first process does goes wrong")
