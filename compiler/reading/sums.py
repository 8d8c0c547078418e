"""`Sums`: the accumulators of a layer that nobody rounds, and what real numbers they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor


@dataclass(frozen=True, eq=False)
class Sums:
    """A layer with `raw`: real = scale · sum + offset, each float64 (channels,).

    turned : the file has length and channels of the layer's sequence the other way round
    """

    tensor: Tensor
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    turned: bool
