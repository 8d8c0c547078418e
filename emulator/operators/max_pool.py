"""Max pool: the largest code of each window (contract, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_codes
from .shared.windows import Windows


def max_pool(
    x: NDArray[np.int8],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    *,
    arithmetic: Arithmetic | None = None,
) -> NDArray[np.int8]:
    """Largest code of every window of x (B, H, W, C) int8 → (B, OH, OW, C) int8; padding never wins.

    Scale and zero point stay as they are. With `arithmetic` the codes are checked against activation_bits. Raises
    ``ValueError`` where a window would lie on padding only.
    """
    low, high = (-128, 127)
    if arithmetic is not None:
        check_arithmetic(arithmetic)
        low, high = arithmetic.activation_range
    check_codes("x", x, 4, low, high)
    windows = Windows(x.shape[1:3], kernel, strides, padding, dilations)
    if windows.valid_counts().min(initial=1) == 0:
        raise ValueError(f"padding must leave every window a position on the map, not {tuple(padding)}")
    # −128 loses against every code or equals it, so a padded position never changes the maximum.
    view = windows.view(x, -128)
    result = view[:, :, :, 0, 0].copy()
    for row in range(windows.kernel[0]):
        for column in range(windows.kernel[1]):
            np.maximum(result, view[:, :, :, row, column], out=result)
    return result
