"""Codes in another shape or order, selected, or framed by zeros."""

from __future__ import annotations

import numpy as np
from torch import nn

from ..integers.tensor import QuantizedTensor
from ..layers.moves import Pad, Reshape, Slice, Transpose
from ..layers.orders import Gather, PixelShuffle, PixelUnshuffle
from .writer import TfliteWriter, file_axis, file_shape


def write_reshape(
    writer: TfliteWriter, layer: Reshape, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """RESHAPE, between two TRANSPOSEs where the channels do not stay last."""
    (x,) = inputs
    tensor = writer.logical(layer.sources[0], x, layer.name)
    if y.map_shape is None:
        if x.centered.ndim > 2:
            tensor = writer.transposed(f"{layer.name}/logical", tensor, (0, 3, 1, 2))
        if y.centered.ndim > 2:
            _, height, width, channels = file_shape(y)
            tensor = writer.reshaped(f"{layer.name}/reshaped", tensor, (1, channels, height, width))
            writer.codes[layer.name] = writer.transposed(layer.name, tensor, (0, 2, 3, 1))
            return
    writer.codes[layer.name] = writer.reshaped(layer.name, tensor, file_shape(y))


def write_transpose(
    writer: TfliteWriter, layer: Transpose, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """TRANSPOSE."""
    (x,) = inputs
    rank = x.centered.ndim - 1
    tensor = writer.logical(layer.sources[0], x, layer.name)
    if rank == 1:
        writer.codes[layer.name] = tensor
        return
    axes = [0, 1, 2, 3]
    for axis, source in enumerate(layer.axes):
        if axis:
            axes[file_axis(axis, rank)] = file_axis(source % (rank + 1), rank)
    writer.codes[layer.name] = writer.transposed(layer.name, tensor, axes)


def write_slice(
    writer: TfliteWriter, layer: Slice, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """STRIDED_SLICE."""
    (x,) = inputs
    tensor = writer.logical(layer.sources[0], x, layer.name)
    shape = writer.shape(tensor)
    begin, end, strides = [0] * len(shape), [*shape], [1] * len(shape)
    axis = file_axis(layer.axis % x.centered.ndim, x.centered.ndim - 1)
    begin[axis], end[axis], strides[axis] = layer.places.start, layer.places.stop, layer.places.step
    writer.codes[layer.name] = writer.sliced(layer.name, tensor, begin, end, strides)


def write_pad(
    writer: TfliteWriter, layer: Pad, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """PAD."""
    top, left, bottom, right = layer.padding
    pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    tensor = writer.codes[layer.sources[0]]
    writer.codes[layer.name] = writer.moved(layer.name, "PAD", tensor, file_shape(y), pads)


def write_gather(
    writer: TfliteWriter, layer: Gather, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """GATHER."""
    (x,) = inputs
    tensor = writer.logical(layer.sources[0], x, layer.name)
    axis = file_axis(layer.axis % x.centered.ndim, x.centered.ndim - 1)
    places = layer.places.cpu().numpy().astype(np.int32)
    writer.codes[layer.name] = writer.moved(layer.name, "GATHER", tensor, file_shape(y), places, Axis=axis)


def write_pixel_shuffle(
    writer: TfliteWriter, layer: PixelShuffle, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """DEPTH_TO_SPACE or SPACE_TO_DEPTH, and the channels' order: TFLite has all channels of a pixel together."""
    (x,) = inputs
    factor, tensor = layer.factor, writer.codes[layer.sources[0]]
    backward = isinstance(layer, PixelUnshuffle)
    channels = (x if backward else y).centered.shape[1]
    order = np.arange(channels * factor**2, dtype=np.int32)
    if backward:
        _, height, width, depth = file_shape(y)
        tensor = writer.moved(
            f"{layer.name}/blocks", "SPACE_TO_DEPTH", tensor, (1, height, width, depth), BlockSize=factor
        )
        places = order.reshape(factor**2, channels).T.reshape(-1)
        writer.codes[layer.name] = writer.moved(layer.name, "GATHER", tensor, file_shape(y), places, Axis=3)
        return
    places = order.reshape(channels, factor**2).T.reshape(-1)
    tensor = writer.moved(f"{layer.name}/ordered", "GATHER", tensor, file_shape(x), places, Axis=3)
    writer.codes[layer.name] = writer.moved(layer.name, "DEPTH_TO_SPACE", tensor, file_shape(y), BlockSize=factor)
