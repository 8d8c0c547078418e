"""MEAN of TFLM: the division by n is part of the multiplier."""

from __future__ import annotations

from .multiplier import scale_multiplier


def mean_multiplier(x_scale: float, y_scale: float, n: int) -> tuple[int, int]:
    """(multiplier, shift) for requantizing Σ (x − zx) over n positions with `double` rounding (contract, section 10).

    The multiplier of sx/sy, shifted left by e = ⌊log2 n⌋ bits and divided by n, rounds towards zero; e is at most 32
    and at most 31 + the multiplier's exponent. shift : 0 … 62; ``ValueError`` where sx/sy is 2^31 or more.
    """
    multiplier, exponent = scale_multiplier(float(x_scale) / float(y_scale))
    if exponent > 31:
        raise ValueError(f"scale of the input must be below 2^31 times the output's {y_scale!r}, not {x_scale!r}")
    bits = min(n.bit_length() - 1, 32, 31 + exponent)
    return (multiplier << bits) // n, 31 - exponent + bits
