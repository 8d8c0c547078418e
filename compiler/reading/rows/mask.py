"""Masks of attention as files write them, constants in front of a softmax, as the integers 0 and 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Mask:
    """What stands at some places of a softmax's input beside, or in place of, its scores.

    hidden : bool; values : float64, of the same shape, which counts where `hidden` is
    added : the values are added to the scores; otherwise they stand in their place
    """

    hidden: NDArray[np.bool_]
    values: NDArray[np.float64]
    added: bool

    def integers(self, shape: tuple[int, ...], place: int, x: Tensor, beta: float, y_scale: float) -> NDArray[np.int8]:
        """1 where an element counts, of a shape that broadcasts to `shape` (without the batch) with its axis
        ``place - 1`` moved to its end.

        x, beta : the scores are beta · sx · (x − zx)

        Raises ``ValueError`` where the elements that are hidden could have, in a row together, the probability of half
        a code, and where all of a row are hidden.
        """
        hidden, values = without_batch(self.hidden, len(shape)), without_batch(self.values, len(shape))
        try:
            np.broadcast_to(hidden, shape)
        except ValueError:
            raise ValueError(
                f"a mask must broadcast to {shape} (without the batch), not have the shape {self.hidden.shape}"
            ) from None
        length = shape[place - 1]
        step = beta * x.scale
        reach = step * (x.y_max - x.y_min) if self.added else step * (x.zero_point - x.y_min)
        most = math.log(y_scale / 2 / length) - reach
        wrong = values[hidden & ~(values < most)]
        if wrong.size:
            raise ValueError(
                f"a mask must hold {'0 or ' if self.added else ''}numbers below {most:.4g}, so that what it hides has "
                f"a probability of less than half a code, not {wrong.max():g}; have the quantizer put a QuantizeLinear "
                "between it and the Softmax"
            )
        full = np.broadcast_to(hidden, (*hidden.shape[: place - 1], length, *hidden.shape[place:]))
        if full.all(axis=place - 1).any():
            raise ValueError("a mask must leave at least one element of every row, not hide all of one")
        return np.moveaxis(~hidden, place - 1, -1).astype(np.int8)


def without_batch(array: NDArray[Scalar], axes: int) -> NDArray[Scalar]:
    """With exactly so many axes: sizes of 1 in front as they are missing, and the batch's dropped where it is 1."""
    if array.ndim == axes + 1:
        if array.shape[0] != 1:
            raise ValueError(f"a mask must be the same for every sample, not of a batch of {array.shape[0]}")
        return array.reshape(array.shape[1:])
    return array.reshape((1,) * (axes - array.ndim) + array.shape) if array.ndim < axes else array
