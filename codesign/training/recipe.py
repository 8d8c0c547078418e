"""What is done to a network for an arithmetic, as one checked record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from emulator.arithmetic import check_choice, check_integer

KINDS = ("ptq", "adaround", "fitted", "qat")
"""Min-max post-training quantization; PTQ+, with equalized layers, weight scales of least squared error, learned
roundings and corrected biases; min-max with scales raised until the training data's sums fit the accumulator; training
through the accumulator, from there."""
MOST = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """How a network is trained in float and then made ready for an arithmetic.

    kind : one of `KINDS`
    float_epochs, float_learning_rate : of the float network, with Adam
    epochs, learning_rate : of quantization-aware training; no other kind looks at them
    batch : inputs of a step, and of a batch of calibration
    calibration : so many of the training data, the first, set scales, roundings and corrections
    distillation : weight in QAT's loss of the float network's answers, 0 to 1; the labels' is the rest
    seed : of parameters, of the order of the data, and of AdaRound's draws
    """

    kind: str = "qat"
    float_epochs: int = 10
    epochs: int = 10
    batch: int = 64
    calibration: int = 1024
    float_learning_rate: float = 1e-2
    learning_rate: float = 3e-3
    distillation: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        for name, least in (("float_epochs", 0), ("epochs", 0), ("batch", 2), ("calibration", 1)):
            check_integer(name, getattr(self, name), least, MOST)
        for name in ("float_learning_rate", "learning_rate"):
            if not (_is_number(getattr(self, name)) and 0 < getattr(self, name) < math.inf):
                raise ValueError(f"{name} must be a positive number, not {getattr(self, name)!r}")
        if not (_is_number(self.distillation) and 0 <= self.distillation <= 1):
            raise ValueError(f"distillation must be a number from 0 to 1, not {self.distillation!r}")
        check_integer("seed", self.seed, 0, (1 << 63) - 1)

    def float_part(self) -> dict[str, Any]:
        """What the float network depends on besides its data: recipes that agree in it share that network."""
        return {name: getattr(self, name) for name in ("float_epochs", "float_learning_rate", "batch", "seed")}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
