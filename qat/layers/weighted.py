"""`Weighted`: convolutions and linear layers, with a folded BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from emulator import layer_scales

from ..distributed import Moments, combined, moments
from ..integers.chain import Chain, together
from ..integers.element_steps import Range
from ..integers.matrix.matrix_step import matrix_product
from ..integers.rounding import SIMPLE
from ..integers.tensor import QuantizedTensor, as_int
from .layer import Step
from .onnx_writer import OnnxWriter
from .weighted_sums import WeightedSums


class Weighted(WeightedSums):
    """Its pass, in which BatchNorm's statistics follow the sums, and its nodes in a file."""

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

    def normalizing(self, owner: nn.Module) -> bool:
        """Whether BatchNorm's statistics follow the batches; those of the float weights do not fit guaranteed ones."""
        norm = self.batch_norm
        return (
            norm is not None and not norm.frozen and not self.guaranteed and owner.get_submodule(norm.module).training
        )

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
