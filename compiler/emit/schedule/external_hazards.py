"""Who wrote which bytes of external memory last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .operation import Transfer

GRANULE = 4
"""Bytes that are taken as one; more would make a column block's codes wait for those of the next one."""


def granules(transfer: Transfer) -> NDArray[np.int64]:
    """Indices of the granules that a transfer touches, some of them more than once."""
    line = np.arange(transfer.lines, dtype=np.int64) * transfer.line_stride
    pixel = np.arange(transfer.pixels, dtype=np.int64) * transfer.pixel_stride
    first = (transfer.address + line[:, None] + pixel).reshape(-1)
    last = (first + transfer.pixel_bytes - 1) // GRANULE
    first //= GRANULE
    most = int((last - first).max()) + 1
    spread = first[:, None] + np.arange(most)
    return np.asarray(np.minimum(spread, last[:, None]).reshape(-1))


class LastWriter:
    """For each granule the index of the STORE that wrote it last."""

    def __init__(self, memory_bytes: int):
        self.index = np.full(memory_bytes // GRANULE + 1, -1, np.int32)

    def read(self, transfer: Transfer) -> int:
        """The last STORE that wrote some of these bytes; −1 if none did."""
        return int(self.index[granules(transfer)].max())

    def writers(self, transfer: Transfer) -> list[int]:
        """The STOREs that wrote these bytes last, each of them once."""
        found = np.unique(self.index[granules(transfer)])
        return [int(index) for index in found if index >= 0]

    def write(self, transfer: Transfer, index: int) -> None:
        """STORE number `index` writes these bytes."""
        self.index[granules(transfer)] = index
