"""Checks at the door of the operators: one sentence that names the argument, ``TypeError`` or ``ValueError``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arithmetic import Arithmetic

INT64_LOW, INT64_HIGH = -(1 << 63), (1 << 63) - 1


def check_arithmetic(arithmetic: object) -> None:
    """Raise ``TypeError`` unless `arithmetic` is an `Arithmetic`."""
    if not isinstance(arithmetic, Arithmetic):
        raise TypeError(f"arithmetic must be an Arithmetic, not {arithmetic!r}")


def check_range(name: str, values: NDArray[Any], low: int, high: int) -> None:
    """Raise ``ValueError`` naming the first element of the integer array `values` outside low … high."""
    if values.size == 0 or (int(values.min()) >= low and int(values.max()) <= high):
        return
    where = tuple(int(i) for i in np.argwhere((values < low) | (values > high))[0])
    place = f" at index {where[0] if len(where) == 1 else where}" if where else ""
    raise ValueError(f"{name} must be from {low} to {high}, not {int(values[where])}{place}")


def check_codes(name: str, codes: object, ndim: int | None, low: int, high: int) -> NDArray[np.int8]:
    """`codes` if it is an int8 array with `ndim` axes (any number for None) and all elements in low … high."""
    if not isinstance(codes, np.ndarray) or codes.dtype != np.int8:
        found = f"{codes.dtype} array" if isinstance(codes, np.ndarray) else type(codes).__name__
        raise TypeError(f"{name} must be an int8 array, not {found}")
    if ndim is not None and codes.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not shape {codes.shape}")
    if low > -128 or high < 127:
        check_range(name, codes, low, high)
    return codes


def check_integers(name: str, values: object, low: int = INT64_LOW, high: int = INT64_HIGH) -> NDArray[np.int64]:
    """`values`, an integer or an array of integers (no bool, no float), as int64 with all elements in low … high."""
    if type(values) is int and low <= values <= high:
        return np.array(values, np.int64)
    try:
        array = np.asarray(values)
    except (OverflowError, ValueError):
        raise TypeError(f"{name} must be an integer or an array of integers, not {values!r}") from None
    if array.dtype == np.object_ and array.size and all(type(v) is int for v in array.flat):
        culprit = next(v for v in array.flat if not INT64_LOW <= v <= INT64_HIGH)
        raise ValueError(f"{name} must be from {low} to {high}, not {culprit}")
    if array.size == 0 and not isinstance(values, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        shown = f"{array.dtype} array" if isinstance(values, np.ndarray) else repr(values)
        raise TypeError(f"{name} must be an integer or an array of integers, not {shown}")
    if array.dtype != np.int64 or low > INT64_LOW or high < INT64_HIGH:
        check_range(name, array, low, high)
    return array.astype(np.int64, copy=False)


def check_int(name: str, value: object, low: int, high: int) -> int:
    """`value`, a Python or NumPy integer (no bool), as an ``int`` in low … high."""
    if type(value) is int and low <= value <= high:
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= int(value) <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {int(value)}")
    return int(value)


def check_ints(name: str, values: object, count: int, low: int) -> tuple[int, ...]:
    """`values`, a sequence of `count` integers ≥ low, as a tuple."""
    if not isinstance(values, (tuple, list, np.ndarray)) or len(values) != count:
        raise ValueError(f"{name} must be {count} integers, not {values!r}")
    if isinstance(values, tuple) and all(type(v) is int and low <= v <= 1 << 31 for v in values):
        return values
    return tuple(check_int(f"{name}[{i}]", v, low, 1 << 31) for i, v in enumerate(values))


def check_scale(name: str, scale: object) -> NDArray[np.float32]:
    """`scale`, a number or an array, as float32; every element must be positive and finite after that rounding."""
    if type(scale) is float and 1e-37 < scale < 1e37:  # most are; no rounding makes them 0 or infinite
        return np.asarray(scale, np.float32)
    array = np.asarray(scale)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a float32 or an array of float32, not {scale!r}")
    with np.errstate(over="ignore", under="ignore"):
        scales = array.astype(np.float32)
    good = np.isfinite(scales) & (scales > 0)
    if not good.all():
        raise ValueError(f"{name} must be positive finite float32, not {array[~good].flat[0]!r}")
    return scales


def check_broadcast(shape: tuple[int, ...], **arrays: NDArray[Any]) -> None:
    """Raise ``ValueError`` naming the first of `arrays` that does not broadcast with `shape` and those before it."""
    for name, array in arrays.items():
        try:
            shape = np.broadcast_shapes(shape, array.shape)
        except ValueError:
            raise ValueError(f"{name} must have a shape that broadcasts with {shape}, not {array.shape}") from None


def check_clamp(
    zero_point: object, y_min: object, y_max: object, arithmetic: Arithmetic
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """An output's zero point and clamp as int64 arrays: codes of `activation_bits`, y_min ≤ y_max."""
    low, high = arithmetic.activation_range
    zero = check_integers("zero_point", zero_point, low, high)
    least = check_integers("y_min", y_min, low, high)
    most = check_integers("y_max", y_max, low, high)
    if (least > most).any():
        raise ValueError(f"y_min must be at most y_max, not {y_min!r} with y_max {y_max!r}")
    return zero, least, most
