"""`NetworkBuilder`: an integer `Graph` layer by layer, with seeded weights and scales calibrated on seeded data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import Arithmetic
from emulator.graph import Add, AveragePool, Codes, Convolution, Graph, Linear, MaxPool, Node, Reshape, Tensor
from emulator.operators.add import add
from emulator.operators.average_pool import average_pool, average_pool_scales, average_pool_sum
from emulator.operators.convolve import convolve
from emulator.operators.max_pool import max_pool
from emulator.operators.quantize import clamp_bias, dequantize, quantize_bias
from emulator.operators.requantization.multiplier import layer_scales, quantize_adder, quantize_multiplier
from emulator.operators.requantization.requantize import requantize

INPUT_SCALE = 1 / 32
"""Real value of a step of the input's codes, which spread around 0."""
RELU6 = 6.0


class NetworkBuilder:
    """Layers of a network, added one after the other; each method returns the tensor that its layer makes.

    Weights are seeded integers. The output's scale and zero point of each layer come from what the layer makes of
    `images` seeded inputs; with `images` 0 nothing is computed and the scales are guesses: for shapes alone.

    activation : None, ``relu`` or ``relu6``, the clamp of a layer
    """

    def __init__(self, arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> None:
        self.arithmetic = arithmetic
        self.images = images
        self.inputs: list[Tensor] = []
        self.nodes: list[Node] = []
        self._rng = np.random.default_rng(seed)
        self._codes: dict[str, Codes] = {}

    def input(self, shape: tuple[int, ...], name: str = "input") -> Tensor:
        """A graph input of `shape`, (height, width, channels) or (length,)."""
        low, high = self.arithmetic.activation_range
        tensor = Tensor(name=name, shape=shape, scale=INPUT_SCALE, zero_point=0, y_min=low, y_max=high)
        self.inputs.append(tensor)
        self._codes[name] = self._rng.integers(low, high, (self.images, *shape), np.int8, endpoint=True)
        return tensor

    def convolution(
        self,
        x: Tensor,
        channels: int,
        kernel: tuple[int, int],
        name: str,
        *,
        strides: tuple[int, int] = (1, 1),
        padding: Sequence[int] = (0, 0, 0, 0),
        groups: int = 1,
        activation: str | None = "relu",
    ) -> Tensor:
        """A convolution of `channels` outputs; padding: top, left, bottom, right."""
        depth = x.shape[2] // groups
        weight, bias, scale = self._weights(x, (channels, *kernel, depth), kernel[0] * kernel[1] * depth)
        pads = (padding[0], padding[1], padding[2], padding[3])
        acc, _ = convolve(
            self._codes[x.name], weight, bias, self.arithmetic, x.zero_point, strides, pads, (1, 1), groups
        )
        output, multiplier, shift = self._requantized(name, x, acc, scale, activation)
        return self._add(
            Convolution(
                name=name, shape=acc.shape[1:], **output, inputs=(x.name,), weight=weight, bias=bias,
                multiplier=multiplier, shift=shift, strides=strides, padding=pads, groups=groups,
            )
        )  # fmt: skip

    def linear(self, x: Tensor, length: int, name: str, *, activation: str | None = None) -> Tensor:
        """A linear layer from a vector, or from a map in its stored order, to `length` outputs."""
        depth = math.prod(x.shape)
        if len(x.shape) > 1:
            x = self._flat(x, f"{name}.flat")
        weight, bias, scale = self._weights(x, (length, depth), depth)
        # One image of one pixel: the walk over its channels is that of the matrix product.
        pixel = self._codes[x.name].reshape(-1, 1, 1, depth)
        acc, _ = convolve(pixel, weight.reshape(length, 1, 1, depth), bias, self.arithmetic, x.zero_point)
        output, multiplier, shift = self._requantized(name, x, acc.reshape(-1, length), scale, activation)
        return self._add(
            Linear(
                name=name, shape=(length,), **output, inputs=(x.name,), weight=np.ascontiguousarray(weight.T),
                bias=bias, multiplier=multiplier, shift=shift,
            )
        )  # fmt: skip

    def add(self, a: Tensor, b: Tensor, name: str, *, activation: str | None = None) -> Tensor:
        """The residual sum of two tensors of one shape."""
        real = sum(dequantize(self._codes[t.name], t.scale, t.zero_point).astype(np.float64) for t in (a, b))
        output = self._range(np.asarray(real), activation)
        multipliers = quantize_adder(a.scale, b.scale, output["scale"], self.arithmetic)
        self._codes[name] = add(
            self._codes[a.name], a.zero_point, multipliers[0], self._codes[b.name], b.zero_point, *multipliers[1:],
            output["zero_point"], output["y_min"], output["y_max"], self.arithmetic,
        )  # fmt: skip
        return self._add(
            Add(
                name=name, shape=a.shape, **output, inputs=(a.name, b.name), a_multiplier=multipliers[0],
                b_multiplier=multipliers[1], shift=multipliers[2],
            )
        )  # fmt: skip

    def max_pool(
        self, x: Tensor, kernel: tuple[int, int], strides: tuple[int, int], padding: Sequence[int], name: str
    ) -> Tensor:
        """The maximum of each window; padding: top, left, bottom, right."""
        pads = (padding[0], padding[1], padding[2], padding[3])
        self._codes[name] = codes = max_pool(self._codes[x.name], kernel, strides, pads)
        return self._add(
            MaxPool(
                name=name, shape=codes.shape[1:], scale=x.scale, zero_point=x.zero_point, y_min=x.y_min, y_max=x.y_max,
                inputs=(x.name,), kernel=kernel, strides=strides, padding=pads,
            )
        )  # fmt: skip

    def average_pool(self, x: Tensor, name: str) -> Tensor:
        """The average of the whole map: one pixel of all channels."""
        kernel, strides = (x.shape[0], x.shape[1]), (1, 1)
        codes, arithmetic = self._codes[x.name], self.arithmetic
        sums = average_pool_sum(codes, kernel, strides, x_zero_point=x.zero_point, arithmetic=arithmetic)
        output = self._range(sums * (x.scale / (kernel[0] * kernel[1])), None)
        scales = average_pool_scales(x.scale, output["scale"], kernel, kernel, strides)
        multiplier, shift = quantize_multiplier(scales, arithmetic)
        self._codes[name] = average_pool(
            codes, kernel, strides, x_zero_point=x.zero_point, multiplier=multiplier, shift=shift,
            zero_point=output["zero_point"], y_min=output["y_min"], y_max=output["y_max"], arithmetic=arithmetic,
        )  # fmt: skip
        return self._add(
            AveragePool(
                name=name, shape=(1, 1, x.shape[2]), **output, inputs=(x.name,), kernel=kernel, strides=strides,
                multiplier=multiplier, shift=shift,
            )
        )  # fmt: skip

    def finish(self, output: Tensor) -> Graph:
        """The graph, whose output is called ``output``."""
        return Graph(
            inputs=tuple(self.inputs),
            nodes=tuple(self.nodes),
            outputs={"output": output.name},
            arithmetic=self.arithmetic,
        )

    def _add(self, node: Node) -> Tensor:
        self.nodes.append(node)
        return node

    def _flat(self, x: Tensor, name: str) -> Tensor:
        self._codes[name] = self._codes[x.name].reshape(self.images, math.prod(x.shape))
        return self._add(
            Reshape(
                name=name, shape=(math.prod(x.shape),), scale=x.scale, zero_point=x.zero_point, y_min=x.y_min,
                y_max=x.y_max, inputs=(x.name,),
            )
        )  # fmt: skip

    def _weights(
        self, x: Tensor, shape: tuple[int, ...], depth: int
    ) -> tuple[Codes, NDArray[np.int64], NDArray[np.float32]]:
        """(codes, bias, scales): real weights of variance 2 / `depth`, channels of different sizes."""
        high = self.arithmetic.weight_range[1]
        weight = self._rng.integers(-high, high, shape, np.int8, endpoint=True)
        spread = self._rng.uniform(0.5, 1.5, shape[0])
        scale = np.float32(np.sqrt(2 / depth) * spread / max(np.sqrt(high * (high + 1) / 3), 1))
        real_bias = self._rng.normal(0, 0.1, shape[0])
        bias = clamp_bias(quantize_bias(real_bias, x.scale, scale, self.arithmetic), self.arithmetic)
        return weight, bias, scale

    def _requantized(
        self, name: str, x: Tensor, acc: NDArray[np.int64], scale: NDArray[np.float32], activation: str | None
    ) -> tuple[dict[str, float | int], NDArray[np.int64], NDArray[np.int64]]:
        channels = acc.reshape(-1, acc.shape[-1])
        edges = np.stack([channels.min(axis=0), channels.max(axis=0)]) if len(channels) else np.zeros((0, len(scale)))
        output = self._range(edges * (np.float64(x.scale) * scale.astype(np.float64)), activation)
        multiplier, shift = quantize_multiplier(layer_scales(x.scale, scale, output["scale"]), self.arithmetic)
        self._codes[name] = requantize(
            acc, multiplier, shift, output["zero_point"], output["y_min"], output["y_max"], self.arithmetic
        )
        return output, multiplier, shift

    def _range(self, real: NDArray[np.float64], activation: str | None) -> dict[str, float | int]:
        """Scale, zero point and clamp with which the codes reach from the least to the greatest real value."""
        low, high = self.arithmetic.activation_range
        least, most = (min(real.min(), 0.0), max(real.max(), 0.0)) if real.size else (-4.0, 4.0)
        if activation is not None:
            least, most = 0.0, min(most, RELU6) if activation == "relu6" else most
        scale = float(np.float32((most - least) / (high - low))) or INPUT_SCALE
        zero_point = int(np.clip(round(low - least / scale), low, high))
        return {"scale": scale, "zero_point": zero_point, "y_min": low, "y_max": high}


def same_padding(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> tuple[int, int, int, int]:
    """TensorFlow's SAME: ceil(size / stride) outputs, the odd line or pixel of padding below or to the right."""
    total = [
        max((-(-length // step) - 1) * step + reach - length, 0)
        for length, reach, step in zip(size[:2], kernel, strides, strict=True)
    ]
    return total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2
