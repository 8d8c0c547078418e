"""`QuantizedTensor`: what flows between the layers of a prepared model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class QuantizedTensor:
    """Codes in a form that gradients flow through.

    centered : float32, the exact integers code − zero_point, in torch's layout: (batch, channels, height, width),
    (batch, channels, length) or (batch, length)
    scale : float32 scalar tensor; the real value is centered · scale
    zero_point : the code of the real number 0
    y_min, y_max : the legal codes
    map_shape : (channels, …) of the map or sequence that a flattened vector was, if it is stored in another order
    """

    centered: Tensor
    scale: Tensor
    zero_point: int
    y_min: int
    y_max: int
    map_shape: tuple[int, ...] | None = None

    @property
    def codes(self) -> Tensor:
        """The codes as int8, without gradient."""
        return (self.centered.detach() + self.zero_point).to(torch.int8)

    def stored_codes(self) -> NDArray[np.int8]:
        """The codes as a NumPy array, a flattened map in its stored order (row, column, channel)."""
        return stored_order(self.codes, self.map_shape)

    @property
    def real(self) -> Tensor:
        """The dequantized values, ``(code − zero_point) · scale`` in float32."""
        return self.centered * self.scale

    @property
    def extremes(self) -> tuple[int, int]:
        """Smallest and largest legal value of `centered`; 0 is always included, as padding contributes it."""
        return min(self.y_min - self.zero_point, 0), max(self.y_max - self.zero_point, 0)


def stored_order(codes: Tensor, map_shape: tuple[int, ...] | None) -> NDArray[np.int8]:
    """`codes` as a NumPy array; (n, length) of a flattened (channels, …) map with its channels last."""
    if map_shape is not None:
        codes = codes.reshape(-1, *map_shape).movedim(1, -1).flatten(1)
    array: NDArray[np.int8] = codes.contiguous().cpu().numpy()
    return array


def as_int(values: Tensor, kind: type[np.integer[Any]]) -> NDArray[Any]:
    """Exact integers of any tensor type as a NumPy array of the integer type `kind`."""
    return np.ascontiguousarray(values.detach().cpu().numpy()).astype(kind)


def as_map(x: Tensor) -> Tensor:
    """A sequence (batch, channels, length) as a map of height 1; a map as it is."""
    return x.unsqueeze(2) if x.ndim == 3 else x
