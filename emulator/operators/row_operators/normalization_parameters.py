"""What layer norm and RMS norm are computed with: epsilon, gamma and beta as integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arithmetic import Arithmetic
from ...checks import check_arithmetic, check_clamp, check_int, check_integers, check_scale
from .rows import MAX_LENGTH

FRACTION_BITS = 16
"""Epsilon counts in 2^−16 of a row's N² · variance, beta in 2^−16 of a code."""
GAMMA_BITS = 16
MAX_GAMMA_SHIFT = 24
MAX_EPSILON = 1 << 61
BETA_BITS = 32


@dataclass(frozen=True, eq=False)
class NormalizationParameters:
    """Integers of one layer norm or RMS norm over rows of N codes; `make_normalization` computes them.

    x_zero_point : the input's zero point
    epsilon : 0 … 2^61, 2^16 · N² · ε / sx²
    gamma, gamma_shift : (N,) int64, −(2^16 − 1) … 2^16 − 1 and 0 … 24: γ / sy = gamma / 2^gamma_shift
    beta : (N,) int64, 32 signed bits: 2^16 · β / sy
    zero_point, y_min ≤ y_max : the output's codes

    Raises ``TypeError`` or ``ValueError`` naming the field.
    """

    x_zero_point: int
    epsilon: int
    gamma: NDArray[np.int64]
    gamma_shift: NDArray[np.int64]
    beta: NDArray[np.int64]
    zero_point: int
    y_min: int
    y_max: int

    def __post_init__(self) -> None:
        check_int("epsilon", self.epsilon, 0, MAX_EPSILON)
        largest, half = (1 << GAMMA_BITS) - 1, 1 << (BETA_BITS - 1)
        gamma = check_integers("gamma", self.gamma, -largest, largest)
        if gamma.ndim != 1 or not 1 <= gamma.shape[0] <= MAX_LENGTH:
            raise ValueError(f"gamma must have shape (N,) with N from 1 to {MAX_LENGTH}, not {gamma.shape}")
        shift = check_integers("gamma_shift", self.gamma_shift, 0, MAX_GAMMA_SHIFT)
        beta = check_integers("beta", self.beta, -half, half - 1)
        for name, array in (("gamma_shift", shift), ("beta", beta)):
            if array.shape != gamma.shape:
                raise ValueError(f"{name} must have shape {gamma.shape}, that of gamma, not {array.shape}")

    @property
    def length(self) -> int:
        """N, how many codes a row has."""
        return int(self.gamma.shape[0])

    def check(self, arithmetic: Arithmetic) -> None:
        """Raise ``ValueError`` unless zero points and clamp are codes of `arithmetic`."""
        check_int("x_zero_point", self.x_zero_point, *arithmetic.activation_range)
        check_clamp(self.zero_point, self.y_min, self.y_max, arithmetic)


def make_normalization(
    length: int,
    x_scale: float,
    x_zero_point: int,
    y_scale: float,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    epsilon: float = 1e-5,
) -> NormalizationParameters:
    """Parameters of γ · (v − mean) / √(var + ε) + β, or of γ · v / √(mean of v² + ε) + β, with v = sx · (x − zx).

    length : N, 1 … 4096; scales : positive finite float32; zero points, y_min ≤ y_max : codes of activation_bits
    gamma, beta : (N,) floats, |γ| < 2^16 · sy and |β| < 2^15 · sy; None: γ = 1, β = 0
    epsilon : float64, 0 … 2^45 · (sx / N)²

    Raises ``TypeError`` or ``ValueError`` naming the argument, and the index of the first element at fault.
    """
    check_arithmetic(arithmetic)
    count = check_int("length", length, 1, MAX_LENGTH)
    zero = check_int("x_zero_point", x_zero_point, *arithmetic.activation_range)
    check_clamp(zero_point, y_min, y_max, arithmetic)
    scale = float(check_scale("y_scale", y_scale))
    with np.errstate(over="ignore", under="ignore"):
        factors = _vector("gamma", 1.0 if gamma is None else gamma, count) / scale
        terms = _vector("beta", 0.0 if beta is None else beta, count) / scale * (1 << FRACTION_BITS)
    _, exponent = np.frexp(factors)
    shift = np.clip(GAMMA_BITS - exponent.astype(np.int64), 0, MAX_GAMMA_SHIFT)
    codes = np.rint(np.ldexp(factors, shift))
    carried = (np.abs(codes) == 1 << GAMMA_BITS) & (shift > 0)
    codes, shift = np.where(carried, codes / 2, codes), shift - carried
    _refuse(np.abs(codes) >= 1 << GAMMA_BITS, f"gamma must be below 2^{GAMMA_BITS} · y_scale in magnitude", gamma)
    terms = np.rint(terms)
    outside = (terms < -(1 << (BETA_BITS - 1))) | (terms >= 1 << (BETA_BITS - 1))
    _refuse(outside, f"beta must be below 2^{BETA_BITS - 1 - FRACTION_BITS} · y_scale in magnitude", beta)
    whole = _epsilon(epsilon, Fraction(float(check_scale("x_scale", x_scale))) / count)
    gammas, betas = codes.astype(np.int64), terms.astype(np.int64)
    return NormalizationParameters(zero, whole, gammas, shift, betas, zero_point, y_min, y_max)


def _epsilon(epsilon: float, step: Fraction) -> int:
    """ε in 2^−16 of step², ties to even; step : sx / N."""
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be a finite number of at least 0, not {epsilon!r}")
    whole = round(Fraction(epsilon) / step**2 * (1 << FRACTION_BITS))
    if whole > MAX_EPSILON:
        largest = float(step**2 * MAX_EPSILON / (1 << FRACTION_BITS))
        raise ValueError(f"epsilon must be at most 2^45 · (x_scale / length)^2 = {largest:.6g}, not {epsilon!r}")
    return whole


def _vector(name: str, values: ArrayLike, length: int) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be an array of floats, not {array.dtype}")
    array = array.astype(np.float64)
    if array.shape not in ((), (length,)):
        raise ValueError(f"{name} must have shape {(length,)}, an element for each of a row, not {array.shape}")
    _refuse(~np.isfinite(array), f"{name} must be finite", array)
    return np.broadcast_to(array, (length,))


def _refuse(bad: NDArray[np.bool_], rule: str, values: ArrayLike | None) -> None:
    if not bad.any():
        return
    array = np.asarray(1.0 if values is None else values)
    index = int(np.argmax(bad))
    place, value = (f" at index {index}", array[index]) if array.ndim else ("", array)
    raise ValueError(f"{rule}, not {float(value)!r}{place}")
