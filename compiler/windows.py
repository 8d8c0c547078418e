"""Kernel, strides, padding and dilations of an ONNX window operator, with auto_pad and ceil_mode worked out.

A sequence is a map of height 1, over which a 1-D operator's window has height 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor, map_size

from .onnx_tensor import check_elements
from .operator_node import Operator

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
MAX_SIZE = 1 << 20  # of a map's side, a kernel, a stride, a dilation, a padding: far above any use
COUNTS = {1: "one integer", 2: "two integers", 4: "four integers"}


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


def window_geometry(op: Operator, x: Tensor, kernel: tuple[int, ...]) -> WindowGeometry:
    """Geometry of a Conv, MaxPool or AveragePool node with a kernel as in the file on a map or a sequence.

    Raises ``ValueError`` for a vector, negative padding, an auto_pad that the standard does not know, and where no
    window fits.
    """
    axes = spatial_axes(x)
    if len(kernel) != axes or not all(1 <= k <= MAX_SIZE for k in kernel):
        raise ValueError(f"kernel_shape must be {COUNTS[axes]} from 1 to {MAX_SIZE} ({axes}-D), not {kernel}")
    size, kernel = map_size(x), _pair(kernel)
    strides, dilations = (_pair(_steps(op, name, axes)) for name in ("strides", "dilations"))
    extent = (_extent(kernel[0], dilations[0]), _extent(kernel[1], dilations[1]))
    counted = _padding(op, axes, size, strides, extent)
    rows = _output(op, size[0], counted[0] + counted[2], extent[0], strides[0], counted[0])
    columns = _output(op, size[1], counted[1] + counted[3], extent[1], strides[1], counted[1])
    # The bottom and right edges move so that the last window of ceil_mode just fits.
    bottom = max(counted[2], (rows - 1) * strides[0] + extent[0] - size[0] - counted[0])
    right = max(counted[3], (columns - 1) * strides[1] + extent[1] - size[1] - counted[1])
    padding = (counted[0], counted[1], bottom, right)
    padded = (size[0] + counted[0] + bottom, size[1] + counted[1] + right)
    if max(padded) > MAX_SIZE:
        raise ValueError(f"the padded map must have at most {MAX_SIZE} rows and columns, not {padded}")
    check_elements(padded, "the padded map")
    return WindowGeometry(size, kernel, strides, padding, counted, dilations, (rows, columns))


def _pair(values: tuple[int, ...]) -> Pair:
    return values[-2] if len(values) > 1 else 1, values[-1]


def _steps(op: Operator, name: str, axes: int) -> tuple[int, ...]:
    values = op.integers(name)
    if values is None:
        return (1,) * axes
    if len(values) != axes or not all(1 <= v <= MAX_SIZE for v in values):
        raise ValueError(f"{name} must be {COUNTS[axes]} from 1 to {MAX_SIZE}, not {values}")
    return values


def _extent(kernel: int, dilation: int) -> int:
    return (kernel - 1) * dilation + 1


def _padding(op: Operator, axes: int, size: Pair, strides: Pair, extent: Pair) -> Padding:
    automatic = op.text("auto_pad", "NOTSET")
    pads = op.integers("pads")
    if automatic not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {automatic!r}")
    if automatic == "NOTSET":
        pads = (0,) * (2 * axes) if pads is None else pads
        if len(pads) != 2 * axes or not all(0 <= p <= MAX_SIZE for p in pads):
            raise ValueError(f"pads must be {COUNTS[2 * axes]} from 0 to {MAX_SIZE}, not {pads}")
        top, left, bottom, right = pads if axes == 2 else (0, pads[0], 0, pads[1])
        return top, left, bottom, right
    if pads is not None and any(pads):
        raise ValueError(f"pads must be left out beside auto_pad {automatic}, not {pads}")
    if automatic == "VALID":
        return 0, 0, 0, 0
    totals = [max((-(-s // t) - 1) * t + e - s, 0) for s, t, e in zip(size, strides, extent, strict=True)]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    first, last = (small, large) if automatic == "SAME_UPPER" else (large, small)
    return first[0], first[1], last[0], last[1]


def _output(op: Operator, size: int, padding: int, extent: int, stride: int, before: int) -> int:
    room = size + padding - extent
    if room < 0:
        raise ValueError(f"kernel must fit the padded map of {size + padding}, not cover {extent} (with its dilation)")
    if not op.integer("ceil_mode", 0):
        return room // stride + 1
    count = -(-room // stride) + 1
    # ONNX: a last window that would start behind the map and its leading padding is left out.
    return count - 1 if (count - 1) * stride >= size + before else count
