"""Numba kernels of the depthwise walk; this module imports Numba, so it is imported only where a kernel runs.

x : (B, H, W, C) int8, the padded maps; zero : their zero point
w : (kernel height, kernel width, C) int16, weights less their zero points; bias : (C,) int64
window : (OH, OW, vertical stride, horizontal stride, vertical dilation, horizontal dilation)
first : of the (B, OH, OW) positions, the one of the sums' first row
acc : (R, C) int32 (at most 31 bits) or int64, becomes the sums; flag : as acc, nonzero where a step left low … high
low, high : of acc's type, the P-bit range

The compiler makes SIMD lanes of the channels. A sum is brought back into P bits after every step, also where it could
not overflow: that costs less than finding out.
"""

from __future__ import annotations

from typing import Any

from .walk_kernels import compiled_kernel, compiled_step, saturate_step, wrap_step


@compiled_step
def _pixel(x: Any, position: Any, window: Any) -> Any:
    """(map, its row, its column) where the window of that position begins."""
    image, rest = divmod(position, window[0] * window[1])
    row, column = divmod(rest, window[1])
    return x[image], row * window[2], column * window[3]


@compiled_step
def _walk(
    step: Any, x: Any, zero: Any, w: Any, bias: Any, window: Any, first: Any, acc: Any, flag: Any, low: Any, high: Any
) -> None:
    rows, channels = acc.shape
    for row in range(rows):
        image, top, left = _pixel(x, first + row, window)
        for c in range(channels):
            acc[row, c] = bias[c]
            flag[row, c] = 0
        for i in range(w.shape[0]):
            for j in range(w.shape[1]):
                codes, weights = image[top + i * window[4], left + j * window[5]], w[i, j]
                for c in range(channels):
                    a, f = step(acc[row, c], flag[row, c], codes[c] - zero, weights[c], low, high)
                    acc[row, c] = a
                    flag[row, c] = f


@compiled_kernel
def saturate(
    x: Any, zero: Any, w: Any, bias: Any, window: Any, first: Any, acc: Any, flag: Any, low: Any, high: Any
) -> None:
    """Saturating sums."""
    _walk(saturate_step, x, zero, w, bias, window, first, acc, flag, low, high)


@compiled_kernel
def wrap(
    x: Any, zero: Any, w: Any, bias: Any, window: Any, first: Any, acc: Any, flag: Any, low: Any, high: Any
) -> None:
    """Wrapping sums."""
    _walk(wrap_step, x, zero, w, bias, window, first, acc, flag, low, high)
