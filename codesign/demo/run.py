"""Running the demo: train, quantize in each way, export, and take the test images through every implementation."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

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
from ..training.point import train_float, train_point
from ..training.state import load_state
from .result import Demo, WidthPoint

DATA = "digits28"
CONFIG = AcceleratorConfig(arithmetic=Arithmetic(accumulator_bits=8, weight_bits=2, activation_bits=3))
"""8×8 elements, weights of 2 bits, activations of 3, an accumulator of 8: chosen by validation accuracy, as a point at
which QAT comes near the float network and nothing that works without training does; see docs/performance.md."""

WIDTHS = (8, 10, 12)
"""Accumulator widths of the plot; the config's own is added to them. At 12 bits hardly a sum overflows."""

RECIPE = TrainingRecipe(float_epochs=8, epochs=8)
WIDTH_EPOCHS = 3
"""Epochs of QAT for a width that is only a point of the plot: fewer, which keeps the demo short."""

IMAGES = 200
"""Test images that go through machine and RTL unless another number is asked for."""


def run_demo(
    config: AcceleratorConfig,
    file: Path,
    phases: Phases,
    *,
    images: int | None = None,
    widths: Sequence[int] = WIDTHS,
    recipe: TrainingRecipe = RECIPE,
    width_epochs: int = WIDTH_EPOCHS,
) -> Demo:
    """Train, quantize, export to `file`, and run the test images everywhere.

    images : how many of the 1 000 test images go through machine and RTL; None: `IMAGES`
    widths : accumulator widths for which a network is trained besides the config's own
    recipe : of the float network and of QAT for the config; width_epochs : of QAT for each other width

    Nothing is chosen by the test images: split, recipe and seed are fixed beforehand.

    Raises ``ValueError`` where there are not so many images.
    """
    arithmetic = config.arithmetic
    data = load_builtin(DATA)
    test_images, test_labels = torch.from_numpy(data.test_inputs), torch.from_numpy(data.test_labels)
    if images is not None and not 1 <= images <= len(test_labels):
        raise ValueError(f"images must be from 1 to {len(test_labels)}, all test images, not {images}")

    def test(model: torch.nn.Module) -> float:
        with one_thread():
            return accuracy(model, test_images, test_labels)

    def make() -> torch.nn.Module:
        return network(DATA)

    def made(
        kind: str, to: Arithmetic, epochs: int = recipe.epochs, on_step: OnStep | None = None
    ) -> qat.PreparedModel:
        chosen = replace(recipe, kind=kind, epochs=epochs)
        return train_point(make, data, to, chosen, float_state=state, on_step=on_step).model

    with phases.phase("train the float network") as on_step:
        state = train_float(make, data, recipe, on_step=on_step)
        model = make()
        load_state(model, state)
        float_accuracy = test(model)
    with phases.phase(f"PTQ for {arithmetic.accumulator_bits} bits"):
        ptq, fitted = made("ptq", arithmetic), made("fitted", arithmetic)
        ptq_accuracy, fitted_accuracy = test(ptq), test(fitted)
    with phases.phase("PTQ+, which learns its roundings"):
        adaround_accuracy = test(made("adaround", arithmetic))
    with phases.phase(f"QAT for {arithmetic.accumulator_bits} bits") as on_step:
        trained = made("qat", arithmetic, on_step=on_step)
        qat_accuracy = test(trained)
    points = [WidthPoint(arithmetic.accumulator_bits, ptq_accuracy, fitted_accuracy, qat_accuracy, recipe.epochs)]
    others = [width for width in widths if width != arithmetic.accumulator_bits]
    with phases.phase("the same for other widths") as on_step:
        for index, width in enumerate(others):
            other = replace(arithmetic, accumulator_bits=width)
            step = _part(on_step, index, len(others))
            retrained = test(made("qat", other, width_epochs, step))
            untrained = (test(made(kind, other)) for kind in ("ptq", "fitted"))
            points.append(WidthPoint(width, *untrained, retrained, width_epochs))
    with phases.phase("export, read and run in the emulator"):
        qat.export_onnx(trained, file)
        inputs = {"input": data.test_inputs}
        execution = Execution(load_onnx(file), config, inputs)
        torch_emulator = mismatches(qat.codes(trained, test_images), execution.layers)
        overflows = []
        with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
            for untrained_model in (ptq, fitted):
                qat.export_onnx(untrained_model, Path(temporary) / "ptq.onnx")
                _, counts = run_graph_counts(load_onnx(Path(temporary) / "ptq.onnx"), inputs)
                overflows.append({name: int(found.overflows.sum()) for name, found in counts.items()})
    ran = min(IMAGES, len(test_labels)) if images is None else images
    run_machine(execution, phases, ran)
    run_rtl(execution, phases, ran)
    assert execution.rtl is not None
    seen = {"PTQ": ptq, "fitted": fitted, "QAT": trained}
    return Demo(
        config=config,
        test_images=data.test_inputs,
        test_labels=data.test_labels,
        float_accuracy=float_accuracy,
        ptq_accuracy=ptq_accuracy,
        fitted_accuracy=fitted_accuracy,
        adaround_accuracy=adaround_accuracy,
        qat_accuracy=qat_accuracy,
        widths=tuple(sorted(points, key=lambda point: point.accumulator_bits)),
        execution=execution,
        torch_emulator=torch_emulator,
        ptq_overflows=overflows[0],
        fitted_overflows=overflows[1],
        predictions={name: answers(model, test_images).numpy() for name, model in seen.items()}
        | {"RTL": execution.rtl.outputs["output"].argmax(1)},
        seconds=phases.seconds,
    )


def _part(on_step: OnStep, index: int, parts: int) -> OnStep:
    """Progress of part `index` of several equal ones."""
    return lambda done, steps: on_step(index * steps + done, parts * steps)
