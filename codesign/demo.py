"""The demo: handwritten digits, from a float network to the codes in the RTL's memory, every code compared."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import qat
from compiler import load_onnx
from emulator import AcceleratorConfig, Arithmetic, run_graph_counts

from . import digits
from .console import OnStep, Phases
from .execution import Execution
from .execution.comparison import mismatches
from .execution.progress import run_machine, run_rtl

CONFIG = AcceleratorConfig(arithmetic=Arithmetic(accumulator_bits=12))
"""8×8 elements and an accumulator that is deliberately too narrow for an ordinary quantized network."""

WIDTHS = (8, 10, 12, 14, 16, 20)
"""Accumulator widths of the plot; the config's own is added to them."""

WIDTH_EPOCHS = 5
"""Epochs of QAT for a width that is only a point of the plot: a third of the usual, which keeps the demo short."""


@dataclass(frozen=True)
class WidthPoint:
    """Accuracies, 0 to 1, of one accumulator width, and the epochs of its QAT."""

    accumulator_bits: int
    ptq: float
    fitted: float
    qat: float
    qat_epochs: int


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo found. Accuracies are shares of the test images, 0 to 1.

    fitted_accuracy : of PTQ whose scales are fitted to the accumulator, which QAT starts from
    widths : ascending, the config's own width among them
    execution : the QAT network in emulator (all images), machine and RTL (`rtl_images` of them)
    torch_emulator : {layer: codes of all test images that differ}
    ptq_overflows : {layer: sums that overflowed in the PTQ network, all test images}
    predictions : "PTQ", "QAT" → the digits that torch sees in all images; "RTL" → in the first `rtl_images`
    """

    config: AcceleratorConfig
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    float_accuracy: float
    ptq_accuracy: float
    fitted_accuracy: float
    qat_accuracy: float
    widths: tuple[WidthPoint, ...]
    execution: Execution
    torch_emulator: dict[str, int]
    ptq_overflows: dict[str, int]
    predictions: dict[str, NDArray[np.int64]]
    seconds: dict[str, float]

    def _accuracy(self, codes: NDArray[np.int8]) -> float:
        return float((codes.argmax(1) == self.test_labels[: len(codes)]).mean())

    @property
    def emulator_accuracy(self) -> float:
        """Over all test images."""
        return self._accuracy(self.execution.outputs["output"])

    @property
    def machine_accuracy(self) -> float:
        """Over the images that ran in the machine."""
        assert self.execution.machine is not None
        return self._accuracy(self.execution.machine.outputs["output"])

    @property
    def rtl_accuracy(self) -> float:
        """Over the images that ran in the RTL."""
        assert self.execution.rtl is not None
        return self._accuracy(self.execution.rtl.outputs["output"])

    @property
    def rtl_images(self) -> int:
        """Images that ran in machine and RTL."""
        assert self.execution.rtl is not None
        return len(self.execution.rtl.cycles_per_sample)

    @property
    def mismatches(self) -> dict[str, int]:
        """{"torch_emulator", "emulator_machine", "machine_rtl": codes of all layers that differ}."""
        pairs = {"torch_emulator": self.torch_emulator} | self.execution.layer_mismatches()
        return {pair: sum(found.values()) for pair, found in pairs.items()}

    @property
    def cycles(self) -> dict[str, int]:
        """{"machine", "rtl": cycles of all images that ran}."""
        assert self.execution.machine is not None and self.execution.rtl is not None
        return {"machine": self.execution.machine.cycles, "rtl": self.execution.rtl.cycles}

    @property
    def holds(self) -> bool:
        """Whether nothing differs anywhere: codes, counters, memory, cycles of each image."""
        return not any(self.torch_emulator.values()) and self.execution.holds

    @property
    def is_wide(self) -> bool:
        """Whether the accumulator is so wide that not even the PTQ network's sums overflow."""
        return not any(self.ptq_overflows.values())

    def layers(self) -> list[dict[str, Any]]:
        """One entry a layer: its counts over all test images and its mismatches."""
        return [
            row
            | {
                "ptq_overflows": self.ptq_overflows[row["name"]],
                "mismatches": {"torch_emulator": self.torch_emulator[row["name"]]} | row["mismatches"],
            }
            for row in self.execution.layer_rows()
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "float_accuracy": self.float_accuracy,
            "ptq_accuracy": self.ptq_accuracy,
            "fitted_accuracy": self.fitted_accuracy,
            "qat_accuracy": self.qat_accuracy,
            "emulator_accuracy": self.emulator_accuracy,
            "rtl_accuracy": self.rtl_accuracy,
            "test_images": len(self.test_labels),
            "rtl_images": self.rtl_images,
            "mismatches": self.mismatches,
            "other_mismatches": self.execution.other_mismatches(),
            "cycles": self.cycles,
            "cycles_per_image": self.cycles["rtl"] / self.rtl_images,
            "utilization": self.execution.utilization(),
            "accuracy_by_width": [asdict(point) for point in self.widths],
            "layers": self.layers(),
            "config": self.config.as_dict(),
            "seconds": self.seconds,
            "holds": self.holds,
        }


def run_demo(
    config: AcceleratorConfig,
    file: Path,
    phases: Phases,
    *,
    images: int | None = None,
    widths: Sequence[int] = WIDTHS,
    float_epochs: int = digits.FLOAT_EPOCHS,
    qat_epochs: int = digits.QAT_EPOCHS,
    width_epochs: int = WIDTH_EPOCHS,
) -> Demo:
    """Train, quantize, export to `file`, and run the test images everywhere.

    images : how many of the 360 test images go through machine and RTL; None: all
    widths : accumulator widths for which a network is trained besides the config's own
    float_epochs, qat_epochs, width_epochs : of the float network, of QAT for the config, of QAT for each other width

    Nothing is chosen by the test images: the split, the epochs and the seeds are fixed beforehand.

    Raises ``ValueError`` where there are not so many images.
    """
    arithmetic = config.arithmetic
    data = digits.load()
    if images is not None and not 1 <= images <= len(data.test_images):
        raise ValueError(f"images must be from 1 to {len(data.test_images)}, all test images, not {images}")

    def test(model: torch.nn.Module) -> float:
        return digits.accuracy(model, data.test_images, data.test_labels)

    with phases.phase("train the float network") as on_step:
        model = digits.train_float(data, epochs=float_epochs, on_step=on_step)
    with phases.phase(f"PTQ for {arithmetic.accumulator_bits} bits"):
        ptq = digits.calibrated(model, data, arithmetic)
        ptq_accuracy, fitted_accuracy = test(ptq), test(digits.fitted(model, data, arithmetic))
    with phases.phase(f"QAT for {arithmetic.accumulator_bits} bits") as on_step:
        trained = digits.train_qat(model, data, arithmetic, epochs=qat_epochs, on_step=on_step)
        qat_accuracy = test(trained)
    points = [WidthPoint(arithmetic.accumulator_bits, ptq_accuracy, fitted_accuracy, qat_accuracy, qat_epochs)]
    others = [width for width in widths if width != arithmetic.accumulator_bits]
    with phases.phase("PTQ and QAT for other widths") as on_step:
        for index, width in enumerate(others):
            narrow = replace(arithmetic, accumulator_bits=width)
            step = _part(on_step, index, len(others))
            retrained = digits.train_qat(model, data, narrow, epochs=width_epochs, on_step=step)
            accuracies = (test(make(model, data, narrow)) for make in (digits.calibrated, digits.fitted))
            points.append(WidthPoint(width, *accuracies, test(retrained), width_epochs))
    with phases.phase("export, read and run in the emulator"):
        qat.export_onnx(trained, file)
        inputs = {"input": data.test_images.numpy()}
        execution = Execution(load_onnx(file), config, inputs)
        torch_emulator = mismatches(qat.codes(trained, data.test_images), execution.layers)
        with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
            qat.export_onnx(ptq, Path(temporary) / "ptq.onnx")
            _, ptq_counts = run_graph_counts(load_onnx(Path(temporary) / "ptq.onnx"), inputs)
    run_machine(execution, phases, images)
    run_rtl(execution, phases, images)
    assert execution.rtl is not None
    with torch.no_grad():
        seen = {"PTQ": ptq(data.test_images), "QAT": trained(data.test_images)}
    return Demo(
        config=config,
        test_images=data.test_images.numpy(),
        test_labels=data.test_labels.numpy(),
        float_accuracy=test(model),
        ptq_accuracy=ptq_accuracy,
        fitted_accuracy=fitted_accuracy,
        qat_accuracy=qat_accuracy,
        widths=tuple(sorted(points, key=lambda point: point.accumulator_bits)),
        execution=execution,
        torch_emulator=torch_emulator,
        ptq_overflows={name: int(counts.overflows.sum()) for name, counts in ptq_counts.items()},
        predictions={name: logits.argmax(1).numpy() for name, logits in seen.items()}
        | {"RTL": execution.rtl.outputs["output"].argmax(1)},
        seconds=phases.seconds,
    )


def _part(on_step: OnStep, index: int, parts: int) -> OnStep:
    """Progress of part `index` of several equal ones."""
    return lambda done, steps: on_step(index * steps + done, parts * steps)
