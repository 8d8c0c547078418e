"""Fused activations as the legal codes of a layer."""

from __future__ import annotations

import math

import numpy as np

from emulator.arithmetic import Arithmetic

_BOUNDS = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def activation_range(activation: str, scale: float, zero_point: int, arithmetic: Arithmetic) -> tuple[int, int]:
    """(y_min, y_max): zero point + round_half_away(float32(bound / scale)), within the codes."""
    if activation not in _BOUNDS:
        known = ", ".join(_BOUNDS)
        raise ValueError(f"the fused activation must be one of {known}, not {activation}; let it be an operator")
    low, high = arithmetic.activation_range
    least, most = _BOUNDS[activation]
    y_min = low if least is None else max(low, code_of(least, scale, zero_point))
    y_max = high if most is None else min(high, code_of(most, scale, zero_point))
    if y_min > y_max:
        raise ValueError(f"no code of scale {scale} and zero point {zero_point} is inside {activation}")
    return y_min, y_max


def code_of(bound: float, scale: float, zero_point: int) -> int:
    """Code of a real number, rounded as TFLite rounds the bounds of activations; beyond ±2^30 that."""
    with np.errstate(over="ignore"):
        quotient = float(np.float32(bound) / np.float32(scale))
    magnitude = math.floor(min(abs(quotient), 2.0**30) + 0.5)
    return zero_point + (magnitude if quotient >= 0 else -magnitude)
