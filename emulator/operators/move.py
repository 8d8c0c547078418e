"""Moving codes: transpose, concat, slice and pad compute nothing (contract, section 4).

An input whose scale or zero point differs from the output's goes through `rescale` first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..checks import check_codes, check_int

Codes = NDArray[np.int8]


def transpose(x: Codes, axes: Sequence[int]) -> Codes:
    """`x` (batch, …) with axis i of the result being axis ``axes[i]``; the batch axis stays: ``axes[0]`` is 0."""
    check_codes("x", x, None, -128, 127)
    if sorted(axes) != list(range(x.ndim)) or axes[0] != 0:
        raise ValueError(f"axes must be a permutation of the {x.ndim} axes that begins with 0, not {tuple(axes)}")
    return np.ascontiguousarray(x.transpose(tuple(axes)))


def concat(xs: Sequence[Codes], axis: int) -> Codes:
    """The arrays one after the other along `axis`, which is not the batch axis; their other axes are equal."""
    if not xs:
        raise ValueError("xs must hold at least one array, not none")
    for index, x in enumerate(xs):
        check_codes(f"xs[{index}]", x, xs[0].ndim, -128, 127)
    place = _axis(xs[0], axis)
    for index, x in enumerate(xs):
        if x.shape[:place] + x.shape[place + 1 :] != xs[0].shape[:place] + xs[0].shape[place + 1 :]:
            raise ValueError(f"xs[{index}] must have the shape {xs[0].shape} but for axis {axis}, not {x.shape}")
    return np.concatenate(xs, axis=place)


def slice_codes(x: Codes, axis: int, start: int, stop: int, step: int = 1) -> Codes:
    """Elements start, start + step, … below `stop` along `axis`; 0 ≤ start < stop ≤ size, step ≥ 1."""
    check_codes("x", x, None, -128, 127)
    place = _axis(x, axis)
    size = x.shape[place]
    check_int("start", start, 0, size - 1)
    check_int("stop", stop, start + 1, size)
    check_int("step", step, 1, size)
    return np.ascontiguousarray(x[(slice(None),) * place + (slice(start, stop, step),)])


def pad(x: Codes, padding: tuple[int, int, int, int], zero_point: int) -> Codes:
    """A feature map (batch, height, width, channels) with rows and columns of real 0 around it.

    padding : top, left, bottom, right, each at least 0
    zero_point : the code of 0, which fills them
    """
    check_codes("x", x, 4, -128, 127)
    check_int("zero_point", zero_point, -128, 127)
    top, left, bottom, right = (check_int("padding", value, 0, 1 << 20) for value in padding)
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=zero_point)


def _axis(x: Codes, axis: int) -> int:
    """`axis` counted from the front; never the batch axis."""
    if not -x.ndim < axis < x.ndim or axis == 0:
        raise ValueError(f"axis must be one of the {x.ndim} axes but the batch's, not {axis}")
    return axis % x.ndim
