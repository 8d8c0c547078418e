"""Records of int64 fields: what the registers of the compiled cycle loop are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]


def record(*names: str) -> np.dtype[np.void]:
    """A record of int64 fields with these names."""
    return np.dtype([(name, np.int64) for name in names])
