"""Who wrote which bytes of external memory last."""

from __future__ import annotations

import numpy as np

from .operation import GRANULE, Transfer


class LastWriter:
    """For each granule the index of the STORE that wrote it last."""

    def __init__(self, memory_bytes: int):
        self.index = np.full(memory_bytes // GRANULE + 1, -1, np.int32)

    def read(self, transfer: Transfer) -> int:
        """The last STORE that wrote some of these bytes; −1 if none did."""
        return int(np.maximum.reduce(self.index[transfer.granules]))

    def writers(self, transfer: Transfer) -> list[int]:
        """The STOREs that wrote these bytes last, each of them once, in order."""
        found = self.index[transfer.granules]
        changes = found[1:][found[1:] != found[:-1]]
        return sorted({int(found[0]), *changes.tolist()} - {-1})

    def write(self, transfer: Transfer, index: int) -> None:
        """STORE number `index` writes these bytes."""
        self.index[transfer.granules] = index
