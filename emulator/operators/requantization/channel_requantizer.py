"""Requantization of sums (rows, channels) by one compiled pass, a multiplier and a shift for each channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arithmetic import Arithmetic
from ...checks import check_clamp, check_integers
from ..shared.optional_library import NUMBA
from .multiplier import MAX_SHIFT
from .rounding import rounding_terms

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Requantization:
    """What `emulator.requantize` takes behind the sums, checked."""

    multiplier: Integers
    shift: Integers
    zero_point: Integers
    y_min: Integers
    y_max: Integers

    def pays_compiled(self, shape: tuple[int, ...]) -> bool:
        """Whether a `ChannelRequantizer` can make codes of sums of that shape, and pays."""
        factors = self.multiplier.shape, self.shift.shape
        clamp = self.zero_point.shape, self.y_min.shape, self.y_max.shape
        by_channel = bool(shape) and all(own in ((), shape[-1:]) for own in factors) and clamp == ((), (), ())
        return by_channel and NUMBA.pays(math.prod(shape))


def check_requantization(
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: ArrayLike,
    y_min: ArrayLike,
    y_max: ArrayLike,
    arithmetic: Arithmetic,
) -> Requantization:
    """The arguments of `emulator.requantize` behind the sums; raises as it does."""
    return Requantization(
        check_integers("multiplier", multiplier, 0, (1 << arithmetic.multiplier_bits) - 1),
        check_integers("shift", shift, 0, MAX_SHIFT),
        *check_clamp(zero_point, y_min, y_max, arithmetic),
    )


class ChannelRequantizer:
    """`emulator.requantize` of sums whose last axis is the channels, by a kernel of Numba."""

    def __init__(self, parameters: Requantization, channels: int, arithmetic: Arithmetic) -> None:
        from .kernels import requantize

        self._kernel: Any = requantize
        shift = parameters.shift
        terms = parameters.multiplier, shift, *rounding_terms(shift, arithmetic.rounding, arithmetic.multiplier_bits)
        self._terms = np.empty((len(terms), channels), np.int64)  # the kernel's type: contiguous, and may be written
        for row, term in zip(self._terms, terms, strict=True):
            row[...] = term
        self._clamp = parameters.zero_point[()], parameters.y_min[()], parameters.y_max[()]

    def __call__(self, sums: NDArray[Any], constant: Integers, codes: NDArray[np.int8]) -> None:
        """codes (R, C), overwritten, of ``sums + constant``; sums (R, C) int32 or int64, constant (C,)."""
        self._kernel(sums, constant, *self._terms, *self._clamp, codes)
