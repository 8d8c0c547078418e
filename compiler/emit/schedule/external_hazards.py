"""Who wrote which bytes of external memory last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .operation import Transfer

GRANULE = 8
"""Bytes that are taken as one; of more, a column block's codes would wait for those of the next one."""


def granules(transfer: Transfer) -> slice | NDArray[np.int64]:
    """Indices of the granules that a transfer touches, some of them more than once."""
    if transfer.lines * transfer.pixels == 1:
        return slice(transfer.address // GRANULE, (transfer.address + transfer.pixel_bytes - 1) // GRANULE + 1)
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
        """The STOREs that wrote these bytes last, each of them once, in order."""
        found = self.index[granules(transfer)]
        changes = found[1:][found[1:] != found[:-1]]
        return sorted({int(found[0]), *changes.tolist()} - {-1})

    def write(self, transfer: Transfer, index: int) -> None:
        """STORE number `index` writes these bytes."""
        self.index[granules(transfer)] = index
