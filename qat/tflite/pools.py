"""Average and maximum pools."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from ..integers.geometry import Window
from ..integers.tensor import QuantizedTensor
from ..layers.pools import MaxPool
from ..layers.raw_pool import RawAveragePool
from .windows import SAME, VALID, same_padding
from .writer import TfliteWriter


def write_average_pool(
    writer: TfliteWriter, layer: RawAveragePool, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """AVERAGE_POOL_2D, which never counts padding."""
    tensor = writer.codes[layer.sources[0]]
    padding = _padding(writer, tensor, layer.window)
    if padding is None:
        raise ValueError(
            f"its padding must be TFLite's VALID or SAME where it does not count, not {layer.window.padding} on either "
            "side: pad in front of the pool, or let the padding count"
        )
    # The mean of legal codes is legal.
    writer.put(layer.name, "AVERAGE_POOL_2D", [tensor], y, **_options(layer.window, padding))


def write_max_pool(
    writer: TfliteWriter, layer: MaxPool, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """MAX_POOL_2D, with the smallest code around the map where TFLite has no such padding."""
    if layer.window.dilations != (1, 1):
        raise ValueError("its dilation must be 1: TFLite's maximum has none")
    tensor = writer.codes[layer.sources[0]]
    padding = _padding(writer, tensor, layer.window)
    if padding is None:
        top, left, bottom, right = layer.window.sides
        _, height, width, depth = writer.shape(tensor)
        shape = (1, height + top + bottom, width + left + right, depth)
        pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        smallest = np.array([-128], np.int8)
        tensor = writer.framed(f"{layer.name}/padded", tensor, shape, pads, smallest)
        padding = VALID
    writer.put(layer.name, "MAX_POOL_2D", [tensor], y, **_options(layer.window, padding))


def _padding(writer: TfliteWriter, tensor: str, window: Window) -> int | None:
    """TFLite's padding that is this window's, None if neither is."""
    if not any(window.sides):
        return VALID
    size = writer.shape(tensor)[1:3]
    same = same_padding(size, window.kernel, window.strides, window.dilations)
    return SAME if window.sides == same else None


def _options(window: Window, padding: int) -> dict[str, Any]:
    return {
        "Padding": padding,
        "StrideH": window.strides[0],
        "StrideW": window.strides[1],
        "FilterHeight": window.kernel[0],
        "FilterWidth": window.kernel[1],
    }
