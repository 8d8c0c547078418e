"""What the layers of a graph must hold, in exact arithmetic, and data to run them on."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

SX = 0.03125 * 1.1
F32 = np.float32


def multiplier_of(scale: float, bits: int = 24) -> tuple[int, int]:
    """(multiplier, shift) of the contract's section 3, in exact rational arithmetic."""
    exact, exponent = Fraction(scale), 0
    while exact / Fraction(2) ** exponent >= 1:
        exponent += 1
    while exact / Fraction(2) ** exponent < Fraction(1, 2):
        exponent -= 1
    multiplier, shift = round(exact / Fraction(2) ** exponent * 2**bits), bits - exponent
    return (multiplier // 2, shift - 1) if multiplier == 2**bits else (multiplier, shift)


def images(shape: tuple[int, ...], seed: int = 1, spread: float = 3.0) -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(seed).normal(0, spread, shape).astype(F32)}
