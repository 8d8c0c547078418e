"""Convolutions and linear layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emulator import layer_scales

from ..integers.geometry import Geometry
from ..integers.quantize import subset_bounds
from ..integers.tensor import QuantizedTensor, as_int, as_map, stored_order
from ..layers.layer import Step
from ..layers.weighted import Weighted
from .windows import SAME, VALID, same_padding
from .writer import TfliteWriter


def write_weighted(
    writer: TfliteWriter, layer: Weighted, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, with a PAD in front where TFLite has no such padding."""
    (x,) = inputs
    if layer.zero_points is not None and bool(layer.zero_points.any()):
        raise ValueError(
            "its weights must have zero points of 0, which TFLM's kernels take for granted: leave symmetric_weights on"
        )
    codes, bias, w_scale = layer.integers(x, Step(owner))
    _check_sums(x, y, codes, bias, w_scale)
    weights, biases = as_int(codes, np.int8), as_int(bias, np.int32)
    scale = w_scale.detach().cpu().numpy()
    zeros = np.zeros(scale.shape, np.int64)
    with np.errstate(over="ignore", under="ignore"):
        bias_scale = x.scale.detach().cpu().numpy() * scale
    if not (np.isfinite(bias_scale) & (bias_scale > 0)).all():
        raise ValueError("input scale times weight scale must be a positive finite float32")
    stored_bias = writer.constant(f"{layer.name}/bias", biases, bias_scale, zeros)
    if layer.geometry is None:
        _write_linear(writer, layer, x, y, weights, scale, stored_bias)
        return
    kernel = np.moveaxis(as_int(as_map(codes), np.int8), 1, -1)  # (outputs, height, width, inputs / groups)
    tensor, padding = _padded(writer, layer.name, writer.codes[layer.sources[0]], layer.geometry, kernel.shape[1:3])
    options = {
        "Padding": padding,
        "StrideH": layer.geometry.strides[0],
        "StrideW": layer.geometry.strides[1],
        "DilationHFactor": layer.geometry.dilations[0],
        "DilationWFactor": layer.geometry.dilations[1],
    }
    depth = writer.shape(tensor)[-1]
    if layer.geometry.groups == depth and depth > 1:
        code = "DEPTHWISE_CONV_2D"
        options["DepthMultiplier"] = len(kernel) // depth
        weight = writer.constant(
            f"{layer.name}/weight", np.moveaxis(kernel, 0, -1).reshape(1, *kernel.shape[1:3], -1), scale, zeros, axis=3
        )
    else:
        code, weight = "CONV_2D", writer.constant(f"{layer.name}/weight", kernel, scale, zeros)
    writer.put_clamped(layer.name, code, [tensor, weight, stored_bias], y, **options)


def _write_linear(
    writer: TfliteWriter,
    layer: Weighted,
    x: QuantizedTensor,
    y: QuantizedTensor,
    weights: NDArray[np.int8],
    scale: NDArray[np.float32],
    bias: str,
) -> None:
    """Of vectors, and of the rows of (batch, rows, length), which the file has the other way round."""
    rows = stored_order(torch.from_numpy(weights), x.map_shape)
    weight = writer.constant(f"{layer.name}/weight", rows, scale, np.zeros(scale.shape, np.int64))
    tensor = writer.codes[layer.sources[0]]
    if x.centered.ndim == 2:
        writer.put_clamped(layer.name, "FULLY_CONNECTED", [tensor, weight, bias], y)
        return
    turned = writer.transposed(f"{layer.name}/rows", tensor, (0, 1, 3, 2))
    made = replace(y, centered=y.centered.transpose(1, 2))
    part = f"{layer.name}/product"
    writer.put_clamped(part, "FULLY_CONNECTED", [turned, weight, bias], made, KeepNumDims=True)
    writer.codes[layer.name] = writer.transposed(layer.name, writer.codes[part], (0, 1, 3, 2))


def _padded(
    writer: TfliteWriter, name: str, tensor: str, geometry: Geometry, kernel: tuple[int, ...]
) -> tuple[str, int]:
    """(what the convolution reads, its padding): the codes of 0 around the map, unless TFLite's own padding is that."""
    size = writer.shape(tensor)[1:3]
    if not any(geometry.padding):
        return tensor, VALID
    if geometry.padding == same_padding(size, kernel, geometry.strides, geometry.dilations):
        return tensor, SAME
    top, left, bottom, right = geometry.padding
    shape = (1, size[0] + top + bottom, size[1] + left + right, writer.shape(tensor)[3])
    pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    return writer.moved(f"{name}/padded", "PAD", tensor, shape, pads), VALID


def _check_sums(
    x: QuantizedTensor, y: QuantizedTensor, codes: torch.Tensor, bias: torch.Tensor, w_scale: torch.Tensor
) -> None:
    """``ValueError`` where a sum can leave the 32 bits in which TFLM neither saturates nor wraps by any rule."""
    above, below = subset_bounds(codes, *x.extremes)
    largest = (above + bias.clamp(min=0)).maximum(below - bias.clamp(max=0))
    scales = layer_scales(x.scale.item(), w_scale.detach().cpu().numpy(), y.scale.item())
    check_reach(largest.cpu().numpy(), scales)


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
