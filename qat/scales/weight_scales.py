"""Scales of weights: from the largest magnitude, or those of the least squared error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emulator import Arithmetic, weight_scale

from .grid import power_of_two_above
from .settings import LayerSettings

FRACTIONS = 80  # of the scale from the largest magnitude, which the search tries


def weight_scales(
    weight: NDArray[np.float32], arithmetic: Arithmetic, settings: LayerSettings, bits: int
) -> NDArray[np.float32]:
    """Scales (channels,), or one scalar, of weights (channels, …) with codes of `bits` bits.

    With ``settings.weight_observer = "mse"`` they are, of 80 fractions of the min-max scale, those with the least
    squared error between weights and codes, the largest among equal ones; with power-of-two scales their errors are
    compared after rounding up. Raises ``ValueError`` for weights that are not finite.
    """
    largest = weight_scale(weight, arithmetic, 0 if settings.per_channel else None, bits)
    if settings.weight_observer == "min_max":
        return largest
    rows = weight.reshape(len(weight) if settings.per_channel else 1, -1).astype(np.float64)
    limit = (1 << (bits - 1)) - 1
    best, least = largest.reshape(-1), np.full(len(rows), np.inf)
    for fraction in range(FRACTIONS, 0, -1):
        scale = (largest.reshape(-1) * np.float32(fraction / FRACTIONS)).astype(np.float32)
        if settings.scale == "power_of_two":
            scale = power_of_two_above(scale)
        steps = scale[:, None].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.square(np.clip(np.rint(rows / steps), -limit, limit) * steps - rows).sum(1)
        better = error < least
        best, least = np.where(better, scale, best), np.where(better, error, least)
    return np.asarray(best.reshape(largest.shape), np.float32)
