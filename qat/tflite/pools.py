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
from .writer import TfliteWriter, file_shape


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
    """MAX_POOL_2D, or where it is dilated a MAXIMUM of taps; −128 around the map where TFLite has no such padding."""
    window, tensor = layer.window, writer.codes[layer.sources[0]]
    padding = _padding(writer, tensor, window) if window.dilations == (1, 1) else None
    if padding is None:
        tensor, padding = _framed(writer, f"{layer.name}/padded", tensor, window), VALID
    if window.dilations == (1, 1):
        writer.put(layer.name, "MAX_POOL_2D", [tensor], y, **_options(window, padding))
    else:
        writer.codes[layer.name] = _maximum_of_taps(writer, layer.name, tensor, window, y)


def _framed(writer: TfliteWriter, name: str, tensor: str, window: Window) -> str:
    """The map with the window's padding, of the smallest code, which never wins."""
    if not any(window.padding):
        return tensor
    vertical, horizontal = window.padding
    _, height, width, depth = writer.shape(tensor)
    shape = (1, height + 2 * vertical, width + 2 * horizontal, depth)
    pads = np.array([[0, 0], [vertical] * 2, [horizontal] * 2, [0, 0]], np.int32)
    return writer.framed(name, tensor, shape, pads, np.array([-128], np.int8))


def _maximum_of_taps(writer: TfliteWriter, name: str, tensor: str, window: Window, y: QuantizedTensor) -> str:
    """The map of each tap of a dilated kernel, and the larger ones of them."""
    shape, result = file_shape(y), ""
    for tap, (i, j) in enumerate(np.ndindex(*window.kernel)):
        first = (i * window.dilations[0], j * window.dilations[1])
        last = [
            start + (size - 1) * step + 1 for start, size, step in zip(first, shape[1:3], window.strides, strict=True)
        ]
        steps = (1, *window.strides, 1)
        part = writer.sliced(f"{name}/tap{tap}", tensor, (0, *first, 0), (1, *last, shape[3]), steps)
        if tap:
            final = tap == window.area - 1
            part = writer.operator(
                "MAXIMUM", [result, part], writer.tensor(name if final else f"{name}/to{tap}", shape, y)
            )
        result = part
    return result


def _padding(writer: TfliteWriter, tensor: str, window: Window) -> int | None:
    """TFLite's padding that is this window's, None if neither is."""
    if not any(window.sides):
        return VALID
    _, height, width, _ = writer.shape(tensor)
    same = same_padding((height, width), window.kernel, window.strides, window.dilations)
    return SAME if window.sides == same else None


def _options(window: Window, padding: int) -> dict[str, Any]:
    return {
        "Padding": padding,
        "StrideH": window.strides[0],
        "StrideW": window.strides[1],
        "FilterHeight": window.kernel[0],
        "FilterWidth": window.kernel[1],
    }
