"""Between the layouts of codes: channels last as they are stored, and that of the model file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .nodes import Tensor


def to_nhwc(codes: NDArray[Any]) -> NDArray[Any]:
    """Logical (batch, channels, …) → stored (batch, …, channels); vectors unchanged."""
    return np.ascontiguousarray(np.moveaxis(codes, 1, -1))


def to_logical(codes: NDArray[Any]) -> NDArray[Any]:
    """Stored (batch, …, channels) → logical (batch, channels, …); vectors unchanged."""
    return np.ascontiguousarray(np.moveaxis(codes, -1, 1))


def logical_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Logical shape (channels, …) of a stored one (…, channels), both without the batch axis."""
    return (*shape[-1:], *shape[:-1])


def stored_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Stored shape (…, channels) of a logical one (channels, …), both without the batch axis."""
    return (*shape[1:], *shape[:1])


def to_file_layout(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any]:
    """Stored (batch, …, channels) codes of `tensor` in the layout of the model file."""
    return codes if tensor.channels_last else to_logical(codes)


def from_file_layout(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any]:
    """Codes of `tensor` in the layout of the model file → stored (batch, …, channels)."""
    return np.ascontiguousarray(codes) if tensor.channels_last else to_nhwc(codes)


def file_shape(tensor: Tensor) -> tuple[int, ...]:
    """Shape of `tensor` in the layout of the model file, without the batch axis."""
    return tensor.shape if tensor.channels_last else logical_shape(tensor.shape)


def map_size(tensor: Tensor) -> tuple[int, int]:
    """(height, width) of a map, (1, length) of a sequence."""
    height, width = (1, *tensor.shape[:-1])[-2:]
    return height, width
