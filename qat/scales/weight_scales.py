"""Scales of weights: from the largest magnitude or the range, or those of the least squared error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emulator import Arithmetic, weight_scale

from .grid import power_of_two_above
from .settings import LayerSettings

FRACTIONS = 80  # of the scale from the whole range, which the search tries

Scales = NDArray[np.float32]
ZeroPoints = NDArray[np.int64]


def weight_scales(
    weight: NDArray[np.float32], arithmetic: Arithmetic, settings: LayerSettings, bits: int
) -> tuple[Scales, ZeroPoints]:
    """Scales and zero points, (channels,) or one scalar each, of weights (channels, …) with codes of `bits` bits.

    The zero points are 0 unless the settings say otherwise; then the codes span the range of the weights and 0.
    With ``settings.weight_observer = "mse"`` the scales are, of 80 fractions of the whole range's, those with the least
    squared error between weights and codes, the largest among equal ones; with power-of-two scales their errors are
    compared after rounding up. Raises ``ValueError`` for weights that are not finite.
    """
    rows = weight.reshape(len(weight) if settings.per_channel else 1, -1)
    shape = weight.shape[:1] if settings.per_channel else ()
    if settings.symmetric_weights:
        whole = weight_scale(weight, arithmetic, 0 if settings.per_channel else None, bits).reshape(-1)
    else:
        whole = _range_scale(rows, bits)

    def parameters(scale: Scales) -> tuple[Scales, ZeroPoints]:
        if settings.scale == "power_of_two":
            scale = power_of_two_above(scale)
        if settings.symmetric_weights:
            return scale, np.zeros(len(scale), np.int64)
        return scale, _zero_points(rows, scale, bits)

    if settings.weight_observer == "min_max":
        best = parameters(whole)
    else:
        best = _least_error(rows.astype(np.float64), whole, parameters, code_range(settings.symmetric_weights, bits))
    return np.asarray(best[0].reshape(shape), np.float32), best[1].reshape(shape)


def code_range(symmetric: bool, bits: int) -> tuple[int, int]:
    """Smallest and largest code of weights; the smallest of all is left out where the zero point is 0."""
    limit = (1 << (bits - 1)) - 1
    return -limit - (not symmetric), limit


def _least_error(
    rows: NDArray[np.float64],
    whole: Scales,
    parameters: Callable[[Scales], tuple[Scales, ZeroPoints]],
    limits: tuple[int, int],
) -> tuple[Scales, ZeroPoints]:
    best, least = (whole, np.zeros(len(whole), np.int64)), np.full(len(rows), np.inf)
    for fraction in range(FRACTIONS, 0, -1):
        found = parameters((whole * np.float32(fraction / FRACTIONS)).astype(np.float32))
        steps, zeros = found[0][:, None].astype(np.float64), found[1][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            codes = np.clip(np.rint(rows / steps), limits[0] - zeros, limits[1] - zeros)
            error = np.square(codes * steps - rows).sum(1)
        better = error < least
        best = np.where(better, found[0], best[0]), np.where(better, found[1], best[1])
        least = np.where(better, error, least)
    return best


def _range_scale(rows: NDArray[np.float32], bits: int) -> Scales:
    """(channels,): the width from smallest to largest weight, and 0, over 2^bits − 1; zeros take the largest other."""
    width = rows.max(axis=1, initial=0).astype(np.float64) - rows.min(axis=1, initial=0)
    with np.errstate(over="ignore", under="ignore"):
        scales = (width / ((1 << bits) - 1)).astype(np.float32)
    if not np.isfinite(scales).all():
        raise ValueError("w must be finite")
    return np.asarray(np.where(scales > 0, scales, scales.max(initial=0) or np.float32(1)), np.float32)


def _zero_points(rows: NDArray[np.float32], scale: Scales, bits: int) -> ZeroPoints:
    """The zero points with which the codes begin at the smallest weight, or at 0."""
    least, most = code_range(False, bits)
    with np.errstate(divide="ignore", over="ignore"):
        lowest = np.rint(-rows.min(axis=1, initial=0).astype(np.float64) / scale)
    return np.asarray(np.clip(least + lowest, least, most), np.int64)
