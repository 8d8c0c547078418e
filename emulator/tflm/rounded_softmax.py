"""SOFTMAX of int8 codes as LiteRT rounds it: real numbers, then the nearest code."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def rounded_softmax(x: NDArray[np.int8], x_scale: float, beta: float = 1.0) -> NDArray[np.int8]:
    """``clamp(round_half_away(256 · softmax(beta · x)) − 128)`` in float64 over the last axis, shaped as `x`.

    The codes have scale 1/256 and zero point −128. ``ValueError`` where beta · x_scale is no positive finite number.
    """
    step = float(beta) * float(x_scale)
    if not (math.isfinite(step) and step > 0):
        raise ValueError(f"beta times the scale of the input must be positive and finite, not {beta!r} · {x_scale!r}")
    exponential = np.array([math.exp(-step * difference) for difference in range(256)])
    values = exponential[x.max(axis=-1, keepdims=True, initial=-128).astype(np.intp) - x]
    codes = np.floor(256 * values / values.sum(axis=-1, keepdims=True) + 0.5) - 128
    return np.asarray(np.clip(codes, -128, 127), np.int8)
