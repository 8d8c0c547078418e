"""TFLite's two paddings."""

from __future__ import annotations

from compiler.reading.windows import Padding, Pair, extent
from compiler.reading.windows import same_padding as padding_of_extents

SAME, VALID = 0, 1


def same_padding(size: Pair, kernel: Pair, strides: Pair, dilations: Pair) -> Padding:
    """(top, left, bottom, right) of TFLite's SAME: as many positions as strides fit, the odd zero last."""
    return padding_of_extents(size, strides, (extent(kernel[0], dilations[0]), extent(kernel[1], dilations[1])))
