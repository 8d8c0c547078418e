"""TFLite's two paddings."""

from __future__ import annotations

from collections.abc import Sequence

SAME, VALID = 0, 1


def same_padding(
    size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of TFLite's SAME: as many positions as strides fit, the odd zero last."""
    before, after = [], []
    for length, taps, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-length // stride) - 1) * stride + (taps - 1) * dilation + 1 - length, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before[0], before[1], after[0], after[1]
