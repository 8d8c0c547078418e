"""Between real numbers and codes, on the host (contract, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_int, check_scale


def quantize(x: ArrayLike, scale: ArrayLike, zero_point: int, low: int = -128, high: int = 127) -> NDArray[np.int8]:
    """``clamp(zero_point + round_half_even(x / scale), low, high)``, the division in float32 (ONNX QuantizeLinear).

    x : float, rounded to float32 first; ±inf clamps, NaN is a ``ValueError``
    scale : positive finite float32, a number or an array that broadcasts with x
    """
    values = _float32("x", x)
    scales = check_scale("scale", scale)
    zero = check_int("zero_point", zero_point, -128, 127)
    least, most = check_int("low", low, -128, 127), check_int("high", high, -128, 127)
    if least > most:
        raise ValueError(f"low must be at most high, not {low!r} with high {high!r}")
    # The clamp before the conversion keeps the sum with the zero point exact in float32 and within int8.
    return (np.clip(_divide(values, scales), least - zero, most - zero) + np.float32(zero)).astype(np.int8)


def dequantize(codes: NDArray[Any], scale: ArrayLike, zero_point: int) -> NDArray[np.float32]:
    """``(codes − zero_point) · scale`` in float32; codes: int8, scale: positive finite float32."""
    if not isinstance(codes, np.ndarray) or codes.dtype != np.int8:
        raise TypeError(f"codes must be an int8 array, not {getattr(codes, 'dtype', type(codes).__name__)}")
    zero = check_int("zero_point", zero_point, -128, 127)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray((codes.astype(np.int16) - np.int16(zero)).astype(np.float32) * check_scale("scale", scale))


def weight_scale(
    w: ArrayLike, arithmetic: Arithmetic, axis: int | None = 0, bits: int | None = None
) -> NDArray[np.float32]:
    """Symmetric min-max scales of float weights: max|w| / (2^(bits−1) − 1) per channel along `axis`, in float32.

    axis : the output channels; None for one scale for all. bits : 2 … weight_bits, weight_bits if None.
    A channel of zero weights takes the largest scale among the other channels, 1 if there is none.
    """
    values = _float32("w", w)
    limit = np.float32(_weight_limit(arithmetic, bits))
    magnitude = np.abs(values)
    if axis is None:
        largest = np.asarray(magnitude.max(initial=0))
    else:
        largest = np.moveaxis(magnitude, axis, 0).reshape(values.shape[axis], -1).max(axis=1, initial=0)
    with np.errstate(under="ignore"):
        scales = np.asarray(largest / limit, np.float32)
    if not np.isfinite(scales).all():
        raise ValueError("w must be finite")
    return np.asarray(np.where(scales > 0, scales, scales.max(initial=0) or np.float32(1)), np.float32)


def quantize_weight(
    w: ArrayLike, scale: ArrayLike, arithmetic: Arithmetic, axis: int | None = 0, bits: int | None = None
) -> NDArray[np.int8]:
    """``clamp(round_half_even(w / scale))`` in float32, codes −(2^(bits−1) − 1) … 2^(bits−1) − 1.

    scale : float32 scalar, or one per channel along `axis`. bits : 2 … weight_bits, weight_bits if None.
    """
    values = _float32("w", w)
    scales = check_scale("scale", scale)
    limit = _weight_limit(arithmetic, bits)
    if scales.ndim == 1 and axis is not None:
        if scales.shape[0] != values.shape[axis]:
            raise ValueError(f"scale must have {values.shape[axis]} elements, one per channel, not {scales.shape[0]}")
        scales = scales.reshape([-1 if i == axis % values.ndim else 1 for i in range(values.ndim)])
    elif scales.size != 1:
        raise ValueError(f"scale must be a number or one per channel, not shape {scales.shape}")
    return np.clip(_divide(values, scales), -limit, limit).astype(np.int8)


def quantize_bias(bias: ArrayLike, x_scale: ArrayLike, w_scale: ArrayLike, arithmetic: Arithmetic) -> NDArray[np.int64]:
    """``round_half_even(bias / (sx·sw))`` in float64, one per channel, not clamped.

    Raises ``ValueError`` where the result does not even fit int64. `clamp_bias` brings it into min(P, 32) bits.
    """
    check_arithmetic(arithmetic)
    values = np.asarray(bias, np.float64)
    scales = check_scale("x_scale", x_scale).astype(np.float64) * check_scale("w_scale", w_scale).astype(np.float64)
    rounded = np.rint(values / scales)
    if not (np.abs(rounded) < 2.0**63).all():
        raise ValueError("bias must be finite and below 2^63 · x_scale · w_scale in magnitude")
    return rounded.astype(np.int64)


def clamp_bias(bias: NDArray[np.int64], arithmetic: Arithmetic) -> NDArray[np.int64]:
    """`bias` clamped to the min(P, 32) signed bits that a stored bias has."""
    check_arithmetic(arithmetic)
    return np.clip(bias, *arithmetic.bias_range)


def _weight_limit(arithmetic: Arithmetic, bits: int | None) -> int:
    check_arithmetic(arithmetic)
    width = arithmetic.weight_bits if bits is None else check_int("bits", bits, 2, arithmetic.weight_bits)
    return (1 << (width - 1)) - 1


def _float32(name: str, values: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be an array of floats, not {array.dtype}")
    with np.errstate(over="ignore", under="ignore"):
        array = array.astype(np.float32, copy=False)
    if np.isnan(array).any():
        raise ValueError(f"{name} must not contain NaN")
    return array


def _divide(values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):
        return np.rint(np.divide(values, scales, dtype=np.float32))
