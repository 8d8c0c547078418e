"""Convolutions, transposed convolutions and linear layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import layer_scales

from ..integers.geometry import Geometry
from ..integers.quantize import subset_bounds
from ..integers.tensor import QuantizedTensor, as_int, stored_order
from ..layers.layer import Step
from ..layers.transposed import TransposedConvolution
from ..layers.weighted import Weighted
from .windows import SAME, VALID, same_padding
from .writer import TfliteWriter, file_shape


@dataclass(frozen=True, eq=False)
class Parameters:
    """weight : float32 integers, outputs first; bias : tensor of the file; scale : float32 (outputs,)"""

    weight: Tensor
    bias: str
    scale: NDArray[np.float32]

    @property
    def zeros(self) -> NDArray[np.int64]:
        """The zero points that stand beside the scales."""
        return np.zeros(self.scale.shape, np.int64)


def write_weighted(
    writer: TfliteWriter, layer: Weighted, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, with a PAD in front where TFLite has no such padding."""
    (x,) = inputs
    parameters = _parameters(writer, layer, x, y, owner)
    if layer.geometry is None:
        _write_linear(writer, layer, x, y, parameters)
    else:
        _write_convolution(writer, layer.name, writer.codes[layer.sources[0]], layer.geometry, y, parameters)


def write_transposed(
    writer: TfliteWriter,
    layer: TransposedConvolution,
    inputs: list[QuantizedTensor],
    y: QuantizedTensor,
    owner: nn.Module,
) -> None:
    """A convolution that makes all phases of a channel side by side, and moves that let them take turns."""
    (x,) = inputs
    assert layer.geometry is not None
    parameters = _parameters(writer, layer, x, y, owner)
    left, right, top, bottom = layer.cut
    _, height, width, depth = file_shape(x)
    tensor = writer.sliced(
        f"{layer.name}/cut",
        writer.codes[layer.sources[0]],
        (0, -top, -left, 0),
        (1, height + bottom, width + right, depth),
    )
    rows, columns = layer.axes
    height, width = (-(-axis.output // axis.count) for axis in layer.axes)
    phases = torch.zeros(1, len(parameters.weight), height, width)
    part = f"{layer.name}/phases"
    _write_convolution(writer, part, tensor, layer.geometry, replace(y, centered=phases), parameters)
    tensor = _taking_turns(writer, f"{part}/columns", writer.codes[part], 1, columns.count)
    tensor = _taking_turns(writer, f"{part}/rows", tensor, 0, rows.count)
    end = (1, rows.output, columns.output, writer.shape(tensor)[3])
    writer.codes[layer.name] = writer.sliced(layer.name, tensor, (0, 0, 0, 0), end)


def _taking_turns(writer: TfliteWriter, name: str, tensor: str, axis: int, count: int) -> str:
    """Every `count` channels of a pixel as so many pixels of one, along the rows (0) or the columns (1)."""
    _, height, width, depth = writer.shape(tensor)
    order = (0, 1, 3, 2) if axis else (0, 3, 1, 2)
    whole = (1, height, width * count, depth // count) if axis else (1, height * count, width, depth // count)
    apart = writer.reshaped(f"{name}/apart", tensor, (height, width, depth // count, count))
    return writer.reshaped(f"{name}/whole", writer.transposed(f"{name}/turned", apart, order), whole)


def _parameters(
    writer: TfliteWriter, layer: Weighted, x: QuantizedTensor, y: QuantizedTensor, owner: nn.Module
) -> Parameters:
    """Checked integers of the layer; the bias is a tensor of the file already."""
    if layer.zero_points is not None and bool(layer.zero_points.any()):
        raise ValueError(
            "its weights must have zero points of 0, which TFLM's kernels take for granted: leave symmetric_weights on"
        )
    codes, bias, w_scale = layer.integers(x, Step(owner))
    codes, bias = layer.kernel(codes), layer.spread(bias)
    scale = layer.spread(w_scale).detach().cpu().numpy()
    _check_sums(x, y, codes, bias, scale)
    with np.errstate(over="ignore", under="ignore"):
        bias_scale = x.scale.detach().cpu().numpy() * scale
    if not (np.isfinite(bias_scale) & (bias_scale > 0)).all():
        raise ValueError("input scale times weight scale must be a positive finite float32")
    name = f"{layer.name}/bias"
    return Parameters(
        codes, writer.constant(name, as_int(bias, np.int32), bias_scale, np.zeros(scale.shape, np.int64)), scale
    )


def _write_convolution(
    writer: TfliteWriter, name: str, source: str, geometry: Geometry, y: QuantizedTensor, parameters: Parameters
) -> None:
    kernel = np.moveaxis(as_int(parameters.weight, np.int8), 1, -1)  # (outputs, height, width, inputs / groups)
    tensor, padding = _padded(writer, name, source, geometry, (kernel.shape[1], kernel.shape[2]))
    options = {
        "Padding": padding,
        "StrideH": geometry.strides[0],
        "StrideW": geometry.strides[1],
        "DilationHFactor": geometry.dilations[0],
        "DilationWFactor": geometry.dilations[1],
    }
    depth, scales = writer.shape(tensor)[-1], (parameters.scale, parameters.zeros)
    if geometry.groups == depth and depth > 1:
        options["DepthMultiplier"] = len(kernel) // depth
        taps = np.moveaxis(kernel, 0, -1).reshape(1, *kernel.shape[1:3], -1)
        code, weight = "DEPTHWISE_CONV_2D", writer.constant(f"{name}/weight", taps, *scales, axis=3)
    else:
        code, weight = "CONV_2D", writer.constant(f"{name}/weight", kernel, *scales)
    writer.put_clamped(name, code, [tensor, weight, parameters.bias], y, **options)


def _write_linear(
    writer: TfliteWriter, layer: Weighted, x: QuantizedTensor, y: QuantizedTensor, parameters: Parameters
) -> None:
    """Of vectors, and of the rows of (batch, rows, length), which the file has the other way round."""
    rows = stored_order(parameters.weight.detach().to(torch.int8), x.map_shape)
    weight = writer.constant(f"{layer.name}/weight", rows, parameters.scale, parameters.zeros)
    tensor = writer.codes[layer.sources[0]]
    if x.centered.ndim == 2:
        writer.put_clamped(layer.name, "FULLY_CONNECTED", [tensor, weight, parameters.bias], y)
        return
    turned = writer.transposed(f"{layer.name}/rows", tensor, (0, 1, 3, 2))
    made = replace(y, centered=y.centered.transpose(1, 2))
    part = f"{layer.name}/product"
    writer.put_clamped(part, "FULLY_CONNECTED", [turned, weight, parameters.bias], made, KeepNumDims=True)
    writer.codes[layer.name] = writer.transposed(layer.name, writer.codes[part], (0, 1, 3, 2))


def _padded(
    writer: TfliteWriter, name: str, tensor: str, geometry: Geometry, kernel: tuple[int, int]
) -> tuple[str, int]:
    """(what the convolution reads, its padding): the codes of 0 around the map, unless TFLite's own padding is that."""
    _, *size, depth = writer.shape(tensor)
    if not any(geometry.padding):
        return tensor, VALID
    if geometry.padding == same_padding((size[0], size[1]), kernel, geometry.strides, geometry.dilations):
        return tensor, SAME
    top, left, bottom, right = geometry.padding
    shape = (1, size[0] + top + bottom, size[1] + left + right, depth)
    pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    return writer.moved(f"{name}/padded", "PAD", tensor, shape, pads), VALID


def _check_sums(
    x: QuantizedTensor, y: QuantizedTensor, codes: Tensor, bias: Tensor, w_scale: NDArray[np.float32]
) -> None:
    """``ValueError`` where a sum can leave the 32 bits in which TFLM neither saturates nor wraps by any rule."""
    above, below = subset_bounds(codes, *x.extremes)
    largest = (above + bias.clamp(min=0)).maximum(below - bias.clamp(max=0))
    check_reach(largest.cpu().numpy(), layer_scales(x.scale.item(), w_scale, y.scale.item()))


def check_reach(largest: NDArray[np.float64], scales: NDArray[np.float64]) -> None:
    """``ValueError`` where numbers of that magnitude, times the power of two in their scale, can leave 32 bits.

    A scale S = f · 2^e of at least 1 makes TFLM multiply by 2^e first.
    """
    _, exponent = np.frexp(scales)
    if (np.ldexp(largest, np.maximum(exponent, 0)) >= 1 << 31).any():
        raise ValueError(
            "its sums must stay within 32 bits for every input, beyond which TFLM's are undefined: "
            "calibrate with larger outputs, or with smaller biases"
        )
