"""Constants of a file: plain arrays, and codes with the scale and zero point that make them real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant's values, in the file's own element type (int4 and uint4 are those of ml_dtypes)."""

    values: NDArray[Any]

    @property
    def integers(self) -> NDArray[np.int64]:
        """The values as int64; ``ValueError`` for a type that is no integer."""
        if np.issubdtype(self.values.dtype, np.inexact):
            raise ValueError(f"integers are needed, not {self.values.dtype}")
        return self.values.astype(np.int64)

    @property
    def scalar(self) -> Any:
        """The only element; ``ValueError`` if there are more or none."""
        if self.values.size != 1:
            raise ValueError(f"a constant of one element is needed, not one of shape {self.values.shape}")
        return self.values.reshape(()).item()


@dataclass(frozen=True, eq=False)
class QuantizedConstant:
    """A constant of codes with their scale and zero point.

    codes : int64, as in the file except that unsigned types are shifted to signed ones (uint8: −128)
    scale : float32, one or one per index of `axis`; zero_point : int64, shaped as scale, shifted as the codes
    """

    codes: NDArray[np.int64]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int

    @property
    def real(self) -> NDArray[np.float32]:
        """The float32 values that the codes stand for."""
        shape = [-1 if i == self.axis else 1 for i in range(self.codes.ndim)] if self.scale.ndim else []
        scale, zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)
        return np.asarray((self.codes - zero_point).astype(np.float32) * scale)
