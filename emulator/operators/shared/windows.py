"""Sliding windows over NHWC feature maps, shared by convolution and pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import check_ints


class Windows:
    """Geometry of kernel, strides, padding and dilations over one map size.

    size : (height, width) of the map; kernel, strides, dilations : (vertical, horizontal), at least 1
    padding : (top, left, bottom, right), at least 0
    output : (OH, OW), number of window positions

    Raises ``ValueError`` naming the argument, also where no window fits.
    """

    def __init__(
        self,
        size: Sequence[int],
        kernel: Sequence[int],
        strides: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
    ) -> None:
        self.size = (int(size[0]), int(size[1]))
        self.kernel = check_ints("kernel", kernel, 2, 1)
        self.strides = check_ints("strides", strides, 2, 1)
        self.padding = check_ints("padding", padding, 4, 0)
        self.dilations = check_ints("dilations", dilations, 2, 1)
        self.extent = tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))
        top, left, bottom, right = self.padding
        self.padded = (self.size[0] + top + bottom, self.size[1] + left + right)
        if self.extent[0] > self.padded[0] or self.extent[1] > self.padded[1]:
            raise ValueError(
                f"kernel must fit the padded map of {self.padded[0]}×{self.padded[1]}, "
                f"not cover {self.extent[0]}×{self.extent[1]}"
            )
        self.output = tuple((p - e) // s + 1 for p, e, s in zip(self.padded, self.extent, self.strides, strict=True))
        self.count = self.output[0] * self.output[1]

    def pad(self, x: NDArray[Any], fill: int) -> NDArray[Any]:
        """x (B, H, W, C) with `fill` around it; x itself where there is no padding."""
        if not any(self.padding):
            return x
        top, left = self.padding[:2]
        padded = np.full((x.shape[0], *self.padded, x.shape[3]), fill, x.dtype)
        padded[:, top : top + self.size[0], left : left + self.size[1]] = x
        return padded

    def view(self, x: NDArray[Any], fill: int) -> NDArray[Any]:
        """Read-only view (B, OH, OW, kernel height, kernel width, C) of x (B, H, W, C) padded with `fill`."""
        if self.kernel == self.strides == (1, 1) and not any(self.padding):
            return x[:, :, :, None, None]
        windows = np.lib.stride_tricks.sliding_window_view(self.pad(x, fill), self.extent, axis=(1, 2))
        windows = windows[:, :: self.strides[0], :: self.strides[1], :, :: self.dilations[0], :: self.dilations[1]]
        return windows.transpose(0, 1, 2, 4, 5, 3)

    def inside(self, axis: int) -> NDArray[np.bool_]:
        """(positions, kernel size) along one axis: whether that tap of the window there lies on the map."""
        first = np.arange(self.output[axis]) * self.strides[axis] - self.padding[axis]
        taps = first[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis]
        return (taps >= 0) & (taps < self.size[axis])

    def valid_counts(self) -> NDArray[np.int64]:
        """(OH, OW): how many positions of each window lie on the map and not on padding."""
        rows, columns = (self.inside(axis).sum(axis=1) for axis in range(2))
        counts: NDArray[np.int64] = rows[:, None] * columns
        return counts

    def blocks(self, batch: int, bytes_each: int, limit: int) -> Iterator[tuple[slice, tuple[slice, ...]]]:
        """Pieces of the (B, OH, OW) positions of at most about `limit` bytes.

        Yields (rows, positions): the slice of the flattened positions and the slices of the three axes.
        """
        height, width = self.output
        images = max(1, limit // max(1, bytes_each * self.count))
        lines = height if images > 1 or bytes_each * self.count <= limit else max(1, limit // (bytes_each * width))
        for image in range(0, batch, images):
            for line in range(0, height, lines):
                block = (slice(image, min(batch, image + images)), slice(line, min(height, line + lines)))
                if lines == height:
                    rows = slice(block[0].start * self.count, block[0].stop * self.count)
                else:
                    first = image * self.count + line * width
                    rows = slice(first, first + (block[1].stop - line) * width)
                yield rows, block
