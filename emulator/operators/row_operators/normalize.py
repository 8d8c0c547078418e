"""Layer norm and RMS norm of codes: exact sums, an integer reciprocal root for each row (contract, section 15)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import Arithmetic
from ..requantization.requantize import requantize_unchecked
from .normalization_parameters import FRACTION_BITS, GAMMA_BITS, NormalizationParameters
from .rows import bit_length, check_length, check_rows, floor_root, row_multiplier_bits

Integers = NDArray[np.int64]
ROOT_BITS = 16
MANTISSA_BITS = 28


def layer_norm(x: NDArray[np.int8], parameters: NormalizationParameters, arithmetic: Arithmetic) -> NDArray[np.int8]:
    """γ · (v − mean) / √(var + ε) + β over the last axis, v = sx · (x − zx): int8 codes, shaped as `x`.

    x : (…, N) int8 codes of activation_bits, N = parameters.length; the variance is that of N, not of N − 1

    Rounded by the arithmetic's rounding; with one to the nearest, a code is at most 0.6 from the real value of the
    dequantized codes. A constant row gives β. Raises ``TypeError`` or ``ValueError`` naming the argument.
    """
    return layer_norm_with_clips(x, parameters, arithmetic)[0]


def layer_norm_with_clips(
    x: NDArray[np.int8], parameters: NormalizationParameters, arithmetic: Arithmetic
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """`layer_norm`, and per element whether the output clipped."""
    centered = _centered(x, parameters, arithmetic)
    return _normalize(centered, centered.sum(axis=-1, keepdims=True), parameters, arithmetic)


def rms_norm(x: NDArray[np.int8], parameters: NormalizationParameters, arithmetic: Arithmetic) -> NDArray[np.int8]:
    """γ · v / √(mean of v² + ε) + β over the last axis, v = sx · (x − zx): as `layer_norm` without the mean.

    A row of zeros gives β.
    """
    return rms_norm_with_clips(x, parameters, arithmetic)[0]


def rms_norm_with_clips(
    x: NDArray[np.int8], parameters: NormalizationParameters, arithmetic: Arithmetic
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """`rms_norm`, and per element whether the output clipped."""
    return _normalize(_centered(x, parameters, arithmetic), np.zeros((), np.int64), parameters, arithmetic)


def reciprocal_root(spread: Integers, epsilon: int) -> tuple[Integers, Integers]:
    """(root, exponent) with root / 2^(16 + exponent) = 1 / √(spread + epsilon / 2^16), rounded to the nearest.

    spread : 0 … 2^40 − 1; epsilon : 0 … 2^61; root : 2^15 … 2^16 − 1; exponent : 0 … 22. Both are 0 where `spread` is.
    """
    none = spread == 0
    radicand = np.where(none, 1 << FRACTION_BITS, (spread << FRACTION_BITS) + epsilon)
    exponent = (bit_length(radicand) - (FRACTION_BITS + 1)) >> 1
    places = MANTISSA_BITS - 2 - FRACTION_BITS - 2 * exponent
    mantissa = (radicand << np.maximum(places, 0)) >> np.maximum(-places, 0)
    twice = floor_root((1 << (MANTISSA_BITS + 2 * ROOT_BITS)) // mantissa, ROOT_BITS + 2)
    root = np.minimum((twice + 1) >> 1, (1 << ROOT_BITS) - 1)
    return np.where(none, 0, root), np.where(none, 0, exponent)


def _centered(x: NDArray[np.int8], parameters: NormalizationParameters, arithmetic: Arithmetic) -> Integers:
    codes = check_rows(x, arithmetic)
    if not isinstance(parameters, NormalizationParameters):
        raise TypeError(f"parameters must be a NormalizationParameters, not {parameters!r}")
    parameters.check(arithmetic)
    check_length(codes.shape, parameters.length)
    return codes.astype(np.int64) - parameters.x_zero_point


def _normalize(
    centered: Integers, total: Integers, parameters: NormalizationParameters, arithmetic: Arithmetic
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Codes and clips of rows x − zx whose sum, or 0 for RMS norm, is `total`."""
    squares = (centered * centered).sum(axis=-1, keepdims=True)
    root, exponent = reciprocal_root(parameters.length * squares - total * total, parameters.epsilon)
    places = ROOT_BITS + GAMMA_BITS - row_multiplier_bits(arithmetic)
    multiplier = (root * np.abs(parameters.gamma)) >> places
    difference = (parameters.length * centered - total) * np.sign(parameters.gamma)
    scaled = ((difference * multiplier) << places) >> (exponent + parameters.gamma_shift)
    clamp = parameters.zero_point, parameters.y_min, parameters.y_max
    one, shift = np.array(1, np.int64), np.array(FRACTION_BITS, np.int64)
    return requantize_unchecked(scaled + parameters.beta, one, shift, *clamp, arithmetic)
