"""What the demo found: accuracies, codes, cycles, and whether all executions agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emulator import AcceleratorConfig, Arithmetic

from ..execution import Execution

Curve = Literal["codes", "accumulator"]
"""What the points of a curve differ in: the bits of weights and activations, or those of the accumulator."""


@dataclass(frozen=True)
class CurvePoint:
    """Accuracies, 0 to 1, with one arithmetic, and the epochs of its QAT; PTQ+ has no accumulator in mind."""

    arithmetic: Arithmetic
    ptq: float
    fitted: float
    adaround: float
    qat: float
    qat_epochs: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fields = {field: value for field, value in vars(self).items() if field != "arithmetic"}
        widths = ("weight_bits", "activation_bits", "accumulator_bits")
        return {width: getattr(self.arithmetic, width) for width in widths} | fields


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo found. Accuracies are shares of the test images, 0 to 1.

    fitted_accuracy : of PTQ whose scales are fitted to the accumulator, which QAT starts from
    adaround_accuracy : of PTQ+, with equalization, learned roundings and corrected biases
    curve : what the points of `points` differ in; points : from wide to narrow, the config's own among them
    execution : the QAT network in emulator (all images), machine and RTL (`rtl_images` of them)
    torch_emulator : {layer: codes of all test images that differ}
    ptq_overflows, fitted_overflows : {layer: sums that overflowed in that network, all test images}
    predictions : "PTQ", "fitted", "QAT" → the digits that torch sees in all images; "RTL" → in the first `rtl_images`
    """

    config: AcceleratorConfig
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    float_accuracy: float
    ptq_accuracy: float
    fitted_accuracy: float
    adaround_accuracy: float
    qat_accuracy: float
    curve: Curve
    points: tuple[CurvePoint, ...]
    execution: Execution
    torch_emulator: dict[str, int]
    ptq_overflows: dict[str, int]
    fitted_overflows: dict[str, int]
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
    def best_ptq_accuracy(self) -> float:
        """Of the best network that was not trained for the accelerator."""
        return max(self.ptq_accuracy, self.fitted_accuracy, self.adaround_accuracy)

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
                "fitted_overflows": self.fitted_overflows[row["name"]],
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
            "adaround_accuracy": self.adaround_accuracy,
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
            "curve": self.curve,
            "accuracy_by_width": [point.as_dict() for point in self.points],
            "layers": self.layers(),
            "config": self.config.as_dict(),
            "seconds": self.seconds,
            "holds": self.holds,
        }
