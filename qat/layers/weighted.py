"""`Weighted`: convolutions and linear layers, with a folded BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic, layer_scales

from ..distributed import Moments, combined, moments
from ..integers.accumulate import accumulate, walk
from ..integers.chain import Chain, together
from ..integers.element_steps import Range
from ..integers.geometry import Geometry
from ..integers.matrix_step import matrix_product
from ..integers.quantize import subset_bounds
from ..integers.rounding import SIMPLE
from ..integers.tensor import QuantizedTensor, as_int, as_map
from ..scales.constrain import constrained_codes
from ..scales.quantizers import quantize_bias
from ..scales.settings import Settings
from ..scales.weight_quantizers import FixedWeightQuantizer, WeightQuantizer
from .computed import Computed
from .layer import Requantized, Step
from .masks import mask_of
from .onnx_writer import OnnxWriter
from .parameters import OfParameters


class Weighted(OfParameters, Requantized):
    """Convolution or matrix product, with a folded BatchNorm, a bias and a clamp.

    weight, bias : as `OfParameters` has them
    geometry : None for a matrix product, which takes (batch, rows, length) as all rows; 1-D maps have the height 1
    unit : of weights that are never trained: their scale if it fits, so that multiples of it are exact

    Buffers: `correction` (channels,), what a bias correction adds to the float bias before it is quantized;
    `guaranteed`, whether the weights are kept such that no sum can overflow (`qat.guarantee`), and `centered`, whether
    around zero then.
    """

    correction: Tensor
    guaranteed: Tensor
    centered: Tensor

    def __init__(
        self,
        name: str,
        source: str,
        *,
        arithmetic: Arithmetic,
        settings: Settings,
        weight: str | Computed,
        bias: str | Computed | None,
        channels: int,
        geometry: Geometry | None,
        unit: float | None = None,
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, settings=settings)
        self.weight_tensor, self.bias_tensor, self.batch_norm = weight, bias, None
        self.geometry = geometry
        given = channels, settings.of(name), arithmetic
        self.weight = WeightQuantizer(*given) if unit is None else FixedWeightQuantizer(*given, unit)
        self.register_buffer("correction", torch.zeros(channels))
        self.register_buffer("guaranteed", torch.tensor(False))
        self.register_buffer("centered", torch.tensor(False))

    def codes(self, weight: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """(codes minus zero points of `weight`, scales), the same for all layers that share them in one step."""
        if self.weight not in step.weights:
            step.weights[self.weight] = self.weight(weight, step.scales)
            self.follow_weights(step)
        return step.weights[self.weight]

    def follow_weights(self, step: Step) -> None:
        """After the pass, have scales that are not learned follow the weights."""
        if self.training and not self.weight.scale.learned and not self.guaranteed:
            owner = step.owner  # a reference to `step` itself would keep the pass alive until the next collection
            step.updates.append(lambda: self.weight.settle(self.folded(owner)[0]))

    def integers(self, x: QuantizedTensor, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """(weight codes minus zero points as float32, bias as float64 integers, weight scales float32)."""
        weight, bias = self.floats_of(step)
        codes, scale = self.codes(weight, step)
        integers = quantize_bias(bias, x.scale, scale, self.arithmetic, self.correction)
        if self.guaranteed:
            codes = self.constrained(weight, scale, integers, x)
            mask = mask_of(step.owner, self.weight_name) if self.weight_name else None
            # Centering moves pruned weights, too. Weights of 0 never widen the range of the sums.
            codes = codes if mask is None else codes * mask
        return codes, integers, scale

    def floats_of(self, step: Step) -> tuple[Tensor, Tensor]:
        """`folded`, the same for all layers of a pass that read the same parameters."""
        if self.batch_norm is not None or self.weight_name is None or self.bias_name is None:
            return self.folded(step.owner)
        key = self.weight_name, self.bias_name
        if key not in step.floats:
            step.floats[key] = self.folded(step.owner)
        return step.floats[key]

    @property
    def zero_points(self) -> Tensor | None:
        """Of the weights, int64 (channels,); None where all are 0, as those of guaranteed weights are."""
        return None if self.guaranteed else self.weight.zero_points

    @property
    def spread_zeros(self) -> Tensor | None:
        """`zero_points` for the channels of `kernel`."""
        return None if self.zero_points is None else self.spread(self.zero_points)

    def constrained(self, weight: Tensor, scale: Tensor, bias: Tensor, x: QuantizedTensor) -> Tensor:
        """Codes of the float `weight` with which no sum can overflow, whatever the codes of a tensor like `x` are."""
        limit, center = self.weight.limit, bool(self.centered)
        return constrained_codes(weight, scale, bias, limit, x.extremes, self.arithmetic, center)

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        done = self.alone(inputs, step)
        if done is not None:
            return done
        (x,) = inputs
        weight, bias, w_scale = self.integers(x, step)
        acc, ideal, bound = self.sums(x, weight, bias, self.bounds(x, weight, step))
        acc = self.unrowed(acc, x.centered)
        shape = (-1,) if self.geometry is None else (-1, *[1] * (acc.ndim - 2))
        x_step, w_steps = x.scale.item(), w_scale.detach().cpu().numpy().reshape(shape)
        result = self.requantized(
            acc,
            lambda y_step: layer_scales(x_step, w_steps, y_step),
            lambda: (x.scale * w_scale).view(shape),
            bound,
            step,
        )
        self.follow_statistics(x, weight, bias, ideal, step)
        return result

    def chained(self, inputs: Sequence[QuantizedTensor], step: Step, chain: Chain) -> QuantizedTensor | None:
        (x,) = inputs
        if self.geometry is not None or self.guaranteed or not together(x.centered) or not step.exact_products(x):
            return None
        weight, bias = self.floats_of(step)
        y_scale = self.output.step_size((*x.centered.shape[:-1], len(weight)), step.scales)
        zero_point, *ends = limits = self.output.limits(self.clamp, y_scale)
        if any(self.constants(*ends)) or self.arithmetic.rounding not in SIMPLE:
            return None
        first, made = self.weight not in chain.weights, self.weight.chained(weight, step.scales, chain)
        if made is None:
            return None
        if first:
            self.follow_weights(step)
        codes, w_scale, coded = made
        product = matrix_product(
            x,
            (codes, coded),
            *(bias, w_scale, self.correction),
            y_scale.item(),
            Range(ends[0] - zero_point, ends[1] - zero_point, self.arithmetic),
            (chain.wants(x.centered), weight.requires_grad or w_scale.requires_grad),
        )
        if product is None:
            return None
        centered = chain.add(product, (x.centered, codes, bias, w_scale), (x.scale, y_scale))
        self.follow_statistics(x, codes, torch.from_numpy(product.biases), product.ideal, step)

        def real() -> Tensor:
            return torch.from_numpy(product.sums).view_as(centered) * (x.scale * w_scale).detach()

        return self.tensor(centered, limits, y_scale, real, step)

    def follow_statistics(self, x: QuantizedTensor, weight: Tensor, bias: Tensor, ideal: Tensor, step: Step) -> None:
        """After the pass, have BatchNorm's statistics follow the sums without overflow of these integers."""
        if self.training and not step.frozen and self.normalizing(step.owner):
            seen = weight.detach(), bias.detach(), moments(ideal.detach()), step.owner
            step.statistics.append(lambda: self.update_statistics(x, *seen))

    def bounds(self, x: QuantizedTensor, weight: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """`subset_bounds` of `kernel`, the same for all layers of a pass that share weights and the range of codes."""
        if self.guaranteed:
            return subset_bounds(self.kernel(weight), *x.extremes)
        key = self.weight, type(self), self.geometry, x.extremes
        if key not in step.bounds:
            step.bounds[key] = subset_bounds(self.kernel(weight), *x.extremes)
        return step.bounds[key]

    def sums(
        self, x: QuantizedTensor, weight: Tensor, bias: Tensor, bounds: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, int]:
        """What `accumulate` gives for the integers of weight and bias, with output channels on axis 1 as in `plain`."""
        rows = replace(x, centered=self.rows(x.centered))
        acc, ideal, bound = accumulate(
            rows, self.kernel(weight), self.spread(bias), self.geometry, self.arithmetic, self.spread_zeros, bounds
        )
        made = self.turned(acc)
        return made, made if ideal is acc else self.turned(ideal), bound

    def turned(self, y: Tensor) -> Tensor:
        """The output channels of the layer, of those of `kernel`."""
        return y

    def normalizing(self, owner: nn.Module) -> bool:
        """Whether BatchNorm's statistics follow the batches; those of the float weights do not fit guaranteed ones."""
        norm = self.batch_norm
        return (
            norm is not None and not norm.frozen and not self.guaranteed and owner.get_submodule(norm.module).training
        )

    def rows(self, x: Tensor) -> Tensor:
        """The operand (rows, length) of a matrix product, or the map of a convolution, whose height may be 1."""
        if self.geometry is None:
            return x.flatten(0, 1) if x.ndim == 3 else x
        return as_map(x)

    def kernel(self, weight: Tensor) -> Tensor:
        """The weight for `rows`."""
        return weight if self.geometry is None else as_map(weight)

    def spread(self, bias: Tensor) -> Tensor:
        """The bias for the channels of `kernel`."""
        return bias

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The float convolution or matrix product of `rows`; output channels are axis 1."""
        x, weight = self.rows(x), self.kernel(weight)
        return F.linear(x, weight, bias) if self.geometry is None else self.geometry.convolve(x, weight, bias)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        (x,) = inputs
        return self.clamped(self.unrowed(self.plain(x, *self.folded(owner)), x))

    def unrowed(self, y: Tensor, x: Tensor) -> Tensor:
        """The result of `rows` in the shape that belongs to `x`, which for maps and vectors it has."""
        if x.ndim != 3:
            return y
        return y.reshape(*x.shape[:2], y.shape[1]) if self.geometry is None else y.squeeze(2)

    def overflows(self, x: QuantizedTensor, step: Step) -> NDArray[np.int64]:
        """Sums that overflowed, per output channel."""
        codes, bias, _ = self.integers(x, step)
        rows = replace(x, centered=self.rows(x.centered))
        _, flags = walk(rows, self.kernel(codes), self.spread(bias), self.geometry, self.arithmetic, self.spread_zeros)
        return as_int(flags.transpose(0, 1).flatten(1).sum(1), np.int64)

    @torch.no_grad()
    def update_statistics(
        self, x: QuantizedTensor, codes: Tensor, bias: Tensor, own: Moments, owner: nn.Module
    ) -> None:
        """BatchNorm's running statistics: of the float weights' sums, estimated from those of their codes.

        own : of each channel's sums with the integer `bias` and without overflow, in this process; all processes count

        The estimate is that float weights of the same direction give the same sums, but for their length. It does not
        depend on how the codes are scaled or clipped; with it BatchNorm could chase its own effect on the codes. A
        channel without codes has its float sums computed.
        """
        norm, seen = self.batch_norm, combined(own)
        assert norm is not None
        if seen.count < 2:
            return  # less than two values per channel have no variance
        weight, own_bias = self.floats(owner)
        longer, unknown = norm.ratio(owner, weight, codes)
        unit = x.scale.detach().double() * longer
        mean, variance = (seen.mean - bias) * unit, seen.variance * unit**2
        if bool(unknown.any()):
            exact = combined(moments(self.plain(x.real.detach(), weight, None)))
            mean = torch.where(unknown, exact.mean, mean)
            variance = torch.where(unknown, exact.variance, variance)
        mean = mean + own_bias
        norm.follow(owner, mean, variance)

    def stored(self, codes: Tensor, x: Tensor) -> Tensor:
        """The weight codes as the file has them for an input like `x`."""
        return codes

    def written(self, writer: OnnxWriter, x: QuantizedTensor, owner: nn.Module) -> tuple[str, str, Sequence[int]]:
        """The names of the dequantized weight and bias, and the shape of the convolution's kernel."""
        codes, bias, w_scale = self.integers(x, Step(owner))
        bias, scale = self.spread(bias), self.spread(w_scale).detach().cpu().numpy()
        with np.errstate(over="ignore", under="ignore"):
            bias_scale = x.scale.detach().cpu().numpy() * scale
        if not (np.isfinite(bias_scale) & (bias_scale > 0)).all():
            raise ValueError("input scale times weight scale must be a positive finite float32")
        if self.guaranteed or self.weight not in writer.weights:  # what is guaranteed also depends on the layer's input
            zeros = None if self.spread_zeros is None else as_int(self.spread_zeros, np.int8)
            integers = as_int(self.stored(codes, x.centered), np.int16)
            if zeros is not None:
                integers += zeros.reshape(-1, *[1] * (integers.ndim - 1))
            writer.weights[self.weight] = writer.dequantized(
                f"{self.name}/weight", integers.astype(np.int8), scale, self.weight.bits, zeros
            )
        biases = writer.dequantized(f"{self.name}/bias", as_int(bias, np.int32), bias_scale)
        return writer.weights[self.weight], biases, self.kernel(codes).shape[2:]

    def convolution(
        self, writer: OnnxWriter, name: str, real: str, constants: tuple[str, str, Sequence[int]], axes: int
    ) -> str:
        """A Conv over `axes` axes with what `written` gives; returns its result."""
        weight, biases, kernel = constants
        assert self.geometry is not None
        attributes = self.geometry.attributes(kernel)
        if axes == 1:
            attributes = {n: v if n == "group" else v[1::2] for n, v in attributes.items()}
        return writer.node("Conv", name, [real, weight, biases], **attributes)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        (x,) = inputs
        constants, real, axes = self.written(writer, x, owner), writer.reals[self.sources[0]], x.centered.ndim - 2
        weight, biases, _ = constants
        if self.geometry is not None:
            result = self.convolution(writer, self.name, real, constants, axes)
        elif x.centered.ndim == 2:
            result = writer.node("Gemm", self.name, [real, weight, biases], transB=1)
        else:
            turned = writer.node("Transpose", f"{self.name}/turned", [weight], perm=[1, 0])
            product = writer.node("MatMul", self.name, [real, turned])
            result = writer.node("Add", f"{self.name}/add", [product, biases])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)
