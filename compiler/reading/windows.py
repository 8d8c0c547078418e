"""Kernel, strides, padding and dilations of a window operator, with the padding that ceil_mode adds worked out.

A sequence is a map of height 1, over which a 1-D operator's window has height 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor

from .sizes import check_elements

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
MAX_SIZE = 1 << 20  # of a map's side, a kernel, a stride, a dilation, a padding: far above any use


@dataclass(frozen=True)
class WindowGeometry:
    """The geometry of one operator on one map size: (vertical, horizontal) pairs, padding (top, left, bottom, right).

    padding : the operator's own, and at the bottom and right what ceil_mode adds
    counted : the operator's own padding alone, which is what count_include_pad counts
    output : (height, width) of the result
    """

    size: Pair
    kernel: Pair
    strides: Pair
    padding: Padding
    counted: Padding
    dilations: Pair
    output: Pair

    def counts(self, include_padding: bool) -> NDArray[np.int64]:
        """(out height, out width): positions of each window that lie on the map, or on it and its own padding."""
        top, left, bottom, right = self.counted if include_padding else (0, 0, 0, 0)
        rows = self._inside(0, self.size[0] + bottom, -top)
        columns = self._inside(1, self.size[1] + right, -left)
        return np.asarray(np.multiply.outer(rows, columns), np.int64)

    def check_covered(self) -> None:
        """Raise ``ValueError`` if a window lies on padding only."""
        if not (self._inside(0, self.size[0], 0).all() and self._inside(1, self.size[1], 0).all()):
            raise ValueError(f"pads must leave every window a position on the map, not {self.counted}")

    def _inside(self, axis: int, end: int, start: int) -> NDArray[np.int64]:
        """How many of each window's rows (or columns) lie in start … end − 1."""
        first = np.arange(self.output[axis], dtype=np.int64) * self.strides[axis] - self.padding[axis]
        dilation = self.dilations[axis]
        lowest = np.maximum(-((first - start) // dilation), 0)
        highest = np.minimum((end - 1 - first) // dilation, self.kernel[axis] - 1)
        return np.asarray(np.maximum(highest - lowest + 1, 0), np.int64)


def spatial_axes(x: Tensor) -> int:
    """How many axes of a map or a sequence a window covers, 2 or 1; ``ValueError`` for a vector."""
    if len(x.shape) not in (2, 3):
        raise ValueError(
            "only 1-D and 2-D windows are supported; the input must be (batch, channels, length) or "
            "(batch, channels, height, width)"
        )
    return len(x.shape) - 1


def window_geometry(
    size: Pair, kernel: Pair, strides: Pair, padding: Padding, dilations: Pair, ceil_mode: bool = False
) -> WindowGeometry:
    """Geometry of a window on a map of that size; with `ceil_mode` a last window may hang over the end.

    Raises ``ValueError`` where no window fits, and where the padded map is too large.
    """
    extents = extent(kernel[0], dilations[0]), extent(kernel[1], dilations[1])
    rows = _output(ceil_mode, size[0], padding[0] + padding[2], extents[0], strides[0], padding[0])
    columns = _output(ceil_mode, size[1], padding[1] + padding[3], extents[1], strides[1], padding[1])
    # The bottom and right edges move so that the last window of ceil_mode just fits.
    bottom = max(padding[2], (rows - 1) * strides[0] + extents[0] - size[0] - padding[0])
    right = max(padding[3], (columns - 1) * strides[1] + extents[1] - size[1] - padding[1])
    padded = (size[0] + padding[0] + bottom, size[1] + padding[1] + right)
    if max(padded) > MAX_SIZE:
        raise ValueError(f"the padded map must have at most {MAX_SIZE} rows and columns, not {padded}")
    check_elements(padded, "the padded map")
    return WindowGeometry(
        size, kernel, strides, (padding[0], padding[1], bottom, right), padding, dilations, (rows, columns)
    )


def extent(kernel: int, dilation: int) -> int:
    """Positions that a dilated kernel covers, its gaps included."""
    return (kernel - 1) * dilation + 1


def same_padding(size: Pair, strides: Pair, extents: Pair, upper: bool = True) -> Padding:
    """Padding that gives ceil(size / stride) positions; `upper`: an odd one lies at the bottom or right."""
    totals = [max((-(-s // t) - 1) * t + e - s, 0) for s, t, e in zip(size, strides, extents, strict=True)]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    first, last = (small, large) if upper else (large, small)
    return first[0], first[1], last[0], last[1]


def _output(ceil_mode: bool, size: int, padding: int, extent: int, stride: int, before: int) -> int:
    room = size + padding - extent
    if room < 0:
        raise ValueError(f"kernel must fit the padded map of {size + padding}, not cover {extent} (with its dilation)")
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    # ONNX: a last window that would start behind the map and its leading padding is left out.
    return count - 1 if (count - 1) * stride >= size + before else count
