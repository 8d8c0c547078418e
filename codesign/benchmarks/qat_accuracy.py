"""What quantization to 8 and to 4 bits costs the digits network in accuracy."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from emulator import Arithmetic

from .. import digits
from .rows import row

SEEDS = range(5)
MOST_LOST = ((8, 0.3), (4, 1.5))
"""(Bits of weights and activations, percentage points)."""
CHOSEN = {"learning_rate": 3e-3, "distillation": 1.0}
"""Of `digits.train_qat`, inside the training images: see `benchmarks.qat_choice`."""


def rows(
    data: digits.Digits,
    *,
    seeds: Iterable[int] = SEEDS,
    float_epochs: int = digits.FLOAT_EPOCHS,
    qat_epochs: int = digits.QAT_EPOCHS,
) -> list[dict[str, Any]]:
    """Percentage points of accuracy on the test images that the digits network loses by QAT: means over `seeds`."""
    reached: dict[int, list[float]] = {bits: [] for bits in (32, 8, 4)}
    for seed in seeds:
        model = digits.train_float(data, epochs=float_epochs, seed=seed)
        reached[32].append(digits.accuracy(model, data.test_images, data.test_labels))
        for bits, _ in MOST_LOST:
            arithmetic = Arithmetic(weight_bits=bits, activation_bits=bits)
            trained = digits.train_qat(model, data, arithmetic, epochs=qat_epochs, seed=seed, **CHOSEN)
            reached[bits].append(digits.accuracy(trained, data.test_images, data.test_labels))
    means = {bits: 100 * statistics.mean(accuracies) for bits, accuracies in reached.items()}
    count = len(reached[32])
    return [row(f"digits, float, {count} seeds: accuracy", means[32], "%")] + [
        row(f"digits, W{bits}A{bits}, {count} seeds: accuracy lost", lost, "points", f"≤ {most}", lost <= most)
        for bits, most in MOST_LOST
        for lost in [means[32] - means[bits]]
    ]
