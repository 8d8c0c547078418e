"""`Counterparts`: which tensor of a model file holds a layer's codes, and how the same codes look there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emulator.graph import Graph, Tensor, to_logical, to_nhwc


class Counterparts:
    """Layers of a graph and tensors of the file that it was read from.

    held : {input or layer: tensor of the file that holds its codes}; layers without one are not there
    """

    def __init__(self, graph: Graph) -> None:
        self.tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in (*graph.inputs, *graph.nodes)}
        codes: Mapping[str, str] = graph.metadata.get("codes", {})
        self.held = {name: held for name, held in codes.items() if name in self.tensors}
        self._orders: Mapping[str, tuple[int, ...]] = graph.metadata.get("orders", {})

    def to_file(self, name: str, codes: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
        """Codes of a layer as the file's tensor of type `dtype` (int8 or uint8) holds them."""
        if name in self._orders:  # the vector of a feature map: channel first in the file
            codes = to_logical(codes.reshape(-1, *self._orders[name])).reshape(codes.shape)
        return (codes.astype(np.int16) + 128).astype(np.uint8) if np.dtype(dtype) == np.uint8 else codes

    def from_file(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """A tensor of the file as the codes of a layer."""
        codes = (array.astype(np.int16) - 128).astype(np.int8) if array.dtype == np.uint8 else array
        if name in self._orders:
            height_to_channels = self._orders[name]
            logical = height_to_channels[-1:] + tuple(height_to_channels[:-1])
            codes = to_nhwc(codes.reshape(-1, *logical)).reshape(codes.shape)
        return codes

    def layers(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """{layer: its codes} of those layers whose tensor is among the file's `arrays` and holds codes."""
        found = {name: arrays[held] for name, held in self.held.items() if held in arrays}
        return {name: self.from_file(name, array) for name, array in found.items() if array.dtype.kind in "iu"}
