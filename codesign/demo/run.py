"""Running the demo: train, quantize in each way, export, and take the test images through every implementation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

import qat
from compiler import load_onnx
from emulator import AcceleratorConfig, Arithmetic, run_graph_counts

from ..console import OnStep, Phases
from ..datasets import load_builtin
from ..datasets.networks import network
from ..execution import Execution
from ..execution.comparison import mismatches
from ..execution.progress import run_machine, run_rtl
from ..training import TrainingRecipe
from ..training.fit import accuracy, answers, one_thread
from ..training.point import TrainedPoint, train_float, train_point
from ..training.state import load_state
from .curve import CurveTraining, Trainer, axis, others, width
from .result import CurvePoint, Demo

DATA = "digits28"
CONFIG = AcceleratorConfig(arithmetic=Arithmetic(accumulator_bits=8, weight_bits=2, activation_bits=3))
"""8×8 elements, weights of 2 bits, activations of 3, an accumulator of 8: chosen by validation accuracy, as a point at
which QAT comes near the float network and nothing that works without training does; see docs/performance.md."""

RECIPE = TrainingRecipe(float_epochs=8, epochs=8)
CURVE_EPOCHS = 3
"""Epochs of QAT for another point of the curve: fewer, which keeps the demo short; PTQ+ has all of its steps there."""

IMAGES = 100
"""Test images that go through machine and RTL unless another number is asked for."""


def run_demo(
    config: AcceleratorConfig,
    file: Path,
    phases: Phases,
    *,
    images: int | None = None,
    recipe: TrainingRecipe = RECIPE,
    curve_epochs: int = CURVE_EPOCHS,
) -> Demo:
    """Train, quantize, export to `file`, and run the test images everywhere.

    images : how many of the 1 000 test images go through machine and RTL; None: `IMAGES`
    recipe : of the float network and of QAT for the config; curve_epochs : of QAT for each other point of the curve

    Nothing is chosen by the test images: split, recipe and seed are fixed beforehand.

    Raises ``ValueError`` where there are not so many images.
    """
    arithmetic = config.arithmetic
    data = load_builtin(DATA)
    test_images, test_labels = torch.from_numpy(data.test_inputs), torch.from_numpy(data.test_labels)
    if images is not None and not 1 <= images <= len(test_labels):
        raise ValueError(f"images must be from 1 to {len(test_labels)}, all test images, not {images}")

    def test(model: torch.nn.Module) -> float:
        return accuracy(model, test_images, test_labels)

    def make() -> torch.nn.Module:
        return network(DATA)

    def made(kind: str, before: TrainedPoint | None = None, on_step: OnStep | None = None) -> TrainedPoint:
        return train_point(
            make, data, arithmetic, replace(recipe, kind=kind),
            float_state=state, before=None if before is None else before.model, on_step=on_step,
        )  # fmt: skip

    with one_thread(), CurveTraining(Trainer(DATA, data, recipe)) as training:  # the curve's worker takes the other
        with phases.phase("train the float network") as on_step:
            state = train_float(make, data, recipe, on_step=on_step)
            model = make()
            load_state(model, state)
            float_accuracy = test(model)
        with phases.phase("PTQ, min-max and fitted"):
            ptq = made("ptq")
            fitted = made("fitted", ptq)
            curve = axis(ptq, fitted)
            training.begin(others(arithmetic, curve), state, curve_epochs)
            ptq_accuracy, fitted_accuracy = test(ptq.model), test(fitted.model)
        with phases.phase("PTQ+, which learns its roundings"):
            adaround_accuracy = test(made("adaround").model)
        with phases.phase("QAT") as on_step:
            trained = made("qat", fitted, on_step).model
            qat_accuracy = test(trained)
        with phases.phase("export, read and run in the emulator"):
            qat.export_onnx(trained, file)
            inputs = {"input": data.test_inputs}
            execution = Execution(load_onnx(file), config, inputs)
            torch_emulator = mismatches(qat.codes(trained, test_images), execution.layers)
            overflows = [_overflows(untrained.model, inputs) for untrained in (ptq, fitted)]
        ran = min(IMAGES, len(test_labels)) if images is None else images
        run_machine(execution, phases, ran)
        run_rtl(execution, phases, ran)
        with phases.phase("the curve’s other points") as on_step:
            points = training.finish(on_step)
    accuracies = ptq_accuracy, fitted_accuracy, adaround_accuracy, qat_accuracy
    points.append(CurvePoint(arithmetic, *accuracies, recipe.epochs))
    assert execution.rtl is not None
    seen = {"PTQ": ptq.model, "fitted": fitted.model, "QAT": trained}
    return Demo(
        config=config,
        test_images=data.test_inputs,
        test_labels=data.test_labels,
        float_accuracy=float_accuracy,
        ptq_accuracy=ptq_accuracy,
        fitted_accuracy=fitted_accuracy,
        adaround_accuracy=adaround_accuracy,
        qat_accuracy=qat_accuracy,
        curve=curve,
        points=tuple(sorted(points, key=lambda point: width(point.arithmetic), reverse=True)),
        execution=execution,
        torch_emulator=torch_emulator,
        ptq_overflows=overflows[0],
        fitted_overflows=overflows[1],
        predictions={name: answers(model, test_images).numpy() for name, model in seen.items()}
        | {"RTL": execution.rtl.outputs["output"].argmax(1)},
        seconds=phases.seconds,
    )


def _overflows(model: qat.PreparedModel, inputs: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """{layer: sums that overflow}, by the emulator."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
        file = Path(temporary) / "ptq.onnx"
        qat.export_onnx(model, file)
        _, counts = run_graph_counts(load_onnx(file), inputs)
    return {name: int(found.overflows.sum()) for name, found in counts.items()}
