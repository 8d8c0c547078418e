"""`WeightedSums`: the integers of a layer with weights, and the sums of products that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic

from ..integers.accumulate import accumulate, walk
from ..integers.geometry import Geometry
from ..integers.quantize import subset_bounds
from ..integers.tensor import QuantizedTensor, as_int, as_map
from ..scales.constrain import constrained_codes
from ..scales.quantizers import quantize_bias
from ..scales.settings import Settings
from ..scales.weight_quantizers import FixedWeightQuantizer, WeightQuantizer
from .computed import Computed
from .layer import Requantized, Step
from .masks import mask_of
from .parameters import OfParameters


class WeightedSums(OfParameters, Requantized):
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
