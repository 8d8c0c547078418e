"""`Layer` and `Requantized`: what all layers of a prepared model have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic, quantize_multiplier

from ..integers import exact_product
from ..integers.chain import Chain
from ..integers.planes import compiled, requantize_planes
from ..integers.requantize import requantize
from ..integers.straight_through import straight_through
from ..integers.tensor import QuantizedTensor
from ..scales.quantizers import NO_CLAMP, ActivationQuantizer, Clamp
from ..scales.scale import Scale
from ..scales.settings import Settings
from ..scales.weight_quantizers import WeightQuantizer
from .onnx_writer import OnnxWriter

INPUT = "input"


@contextmanager
def named(layer: str) -> Iterator[None]:
    """Put the layer's name in front of a ``ValueError``."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"layer {layer!r}: {error}") from None


@dataclass(eq=False)
class Step:
    """One forward pass: where the layers find the user's parameters, and what is to happen after it.

    owner : the module whose parameters and buffers bear the names of the float model
    statistics : of BatchNorms, to update once all layers have run
    updates : of observers and scales, behind the statistics that they depend on
    weights : what layers that share a weight share in this pass, quantizer → its codes and scales
    floats : weights and biases as they are in floats, by the parameters' names
    bounds : of sums, by what they depend on
    scales : what the pass has made of them at its start
    frozen : whether BatchNorm's running statistics stay as they are
    exact : what `exact_products` has found
    """

    owner: nn.Module
    statistics: list[Callable[[], None]] = field(default_factory=list)
    updates: list[Callable[[], None]] = field(default_factory=list)
    weights: dict[WeightQuantizer, tuple[Tensor, Tensor]] = field(default_factory=dict)
    floats: dict[tuple[str, str], tuple[Tensor, Tensor]] = field(default_factory=dict)
    bounds: dict[tuple[object, ...], tuple[Tensor, Tensor]] = field(default_factory=dict)
    scales: Mapping[Scale, Tensor] = field(default_factory=dict)
    frozen: bool = False
    exact: bool | None = None

    def exact_products(self, x: QuantizedTensor) -> bool:
        """Whether products of float32 are exact for tensors like `x`, which one pass asks torch's settings once."""
        if self.exact is None:
            self.exact = exact_product.float32_is_exact(x.centered)
        return self.exact


class Layer(nn.Module):
    """A layer with a name and the names of the layers or inputs that it reads."""

    def __init__(self, name: str, *sources: str) -> None:
        super().__init__()
        self.name = name
        self.sources = sources

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        """The layer's codes; exact integers."""
        raise NotImplementedError

    def chained(self, inputs: Sequence[QuantizedTensor], step: Step, chain: Chain) -> QuantizedTensor | None:
        """`forward` as the next step of `chain`, whose stand-in is the result's `centered`; None if it cannot be one.

        Only a stand-in's values may be read. Nothing has happened where the result is None.
        """
        return None

    def alone(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor | None:
        """`chained` as a chain of its own."""
        chain = Chain()
        made = self.chained(inputs, step, chain)
        return None if made is None else replace(made, centered=chain.close([made.centered])[0])

    def makes_codes(self, inputs: Sequence[QuantizedTensor], y: QuantizedTensor) -> bool:
        """Whether the layer stands in the integer graph; one that changes nothing does not."""
        return True

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        """The float layer, with BatchNorm's running statistics and without dropout."""
        raise NotImplementedError

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        """The layer in ONNX, from the quantized `inputs` to the quantized `y`."""
        raise NotImplementedError


class Requantized(Layer):
    """A layer with an output quantizer of its own, and a clamp for the activation function behind it."""

    def __init__(self, name: str, *sources: str, arithmetic: Arithmetic, settings: Settings) -> None:
        super().__init__(name, *sources)
        self.arithmetic = arithmetic
        self.clamp: Clamp = NO_CLAMP
        self.output = ActivationQuantizer(settings.of(name), arithmetic)

    def requantized(
        self,
        acc: Tensor,
        scales: Callable[[float], NDArray[np.float64]],
        real_scale: Callable[[], Tensor],
        bound: int,
        step: Step,
    ) -> QuantizedTensor:
        """Codes of `acc` under the float64 scales of the contract.

        scales : the output's scale → scales per channel or position, shaped to broadcast against `acc`
        real_scale : gives the real value of one unit of `acc`, float32 with gradient, shaped alike
        bound : at least |acc|
        """
        given = self.output.step_size(acc.shape, step.scales)
        real_scales = scales(given.item())
        y_scale = self.reached(given, lambda _: real_scales, self.arithmetic.multiplier_bits)
        if y_scale is not given:
            real_scales = scales(y_scale.item())
        integers = self.multipliers(real_scales)
        zero_point, y_min, y_max = limits = self.output.limits(self.clamp, y_scale)

        def real() -> Tensor:
            return acc.detach().float() * real_scale().detach()

        multiplier, shift = (torch.from_numpy(a).to(acc.device) for a in integers)
        ratio = real_scale() / y_scale
        below, above = self.constants(y_min, y_max)
        if not below and compiled(acc, ratio):
            top = self.clamp[1] / y_scale if above else None
            low, high = y_min - zero_point, y_max - zero_point
            factors = multiplier, shift
            centered = requantize_planes(acc, factors, ratio, top, low, high, self.arithmetic, bound)
        else:
            values, inside = requantize(
                acc.detach(), multiplier, shift, zero_point, y_min, y_max, self.arithmetic, bound
            )
            centered = self.straight(values, inside, limits, acc.float() * ratio, y_scale)
        return self.tensor(centered, limits, y_scale, real, step)

    def reached(self, y_scale: Tensor, scales: Callable[[float], NDArray[np.float64]], bits: int) -> Tensor:
        """`y_scale`, doubled until multipliers of `bits` bits reach all ``scales(y_scale)``; the gradient stays.

        As weights' scales are raised until the bias fits (contract, section 4).
        """
        value = y_scale.item()
        beyond = float(scales(value).max()) / ((1 << bits) - 1) if value > 0 else 1.0
        return y_scale * math.ldexp(1.0, math.frexp(beyond)[1]) if 1 < beyond < math.inf else y_scale

    def quantized(
        self,
        values: Tensor,
        inside: Tensor,
        limits: tuple[int, int, int],
        surrogate: Tensor,
        y_scale: Tensor,
        real: Callable[[], Tensor],
        step: Step,
    ) -> QuantizedTensor:
        """The tensor of the centered codes `values`, with its gradient and the observer's update.

        inside : where the clamp changed nothing; limits : zero_point, y_min, y_max; surrogate : what the gradient sees,
        real values over y_scale; real : the real values for the observer, before the activation function
        """
        return self.tensor(self.straight(values, inside, limits, surrogate, y_scale), limits, y_scale, real, step)

    def straight(
        self, values: Tensor, inside: Tensor, limits: tuple[int, int, int], surrogate: Tensor, y_scale: Tensor
    ) -> Tensor:
        """`values` with their straight-through gradient; arguments as for `quantized`."""
        zero_point, *ends = limits
        for bound, end, constant in zip(self.clamp, ends, self.constants(*ends), strict=True):
            if constant:
                beyond = ~inside & (values == end - zero_point)
                surrogate, inside = torch.where(beyond, bound / y_scale, surrogate), inside | beyond
        return straight_through(surrogate, values, inside)

    def constants(self, y_min: int, y_max: int) -> tuple[bool, bool]:
        """Whether the activation function clamps below, and above, to a real constant whatever the scale (ReLU6: 6).

        Not so ReLU's 0, which has no gradient anyway.
        """
        (low, high), (least, most) = self.clamp, self.output.code_range
        return low != 0 and math.isfinite(low) and y_min > least, math.isfinite(high) and y_max < most

    def tensor(
        self,
        centered: Tensor,
        limits: tuple[int, int, int],
        y_scale: Tensor,
        real: Callable[[], Tensor],
        step: Step,
    ) -> QuantizedTensor:
        """The tensor of the codes `centered`, and the observer's update; arguments as for `quantized`."""
        zero_point, y_min, y_max = limits
        if self.training and not self.output.scale.learned:
            step.updates.append(lambda: self.output.follow(self.clamped(real())))
        return QuantizedTensor(centered=centered, scale=y_scale, zero_point=zero_point, y_min=y_min, y_max=y_max)

    def multipliers(self, scales: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`quantize_multiplier`, whose error also says what helps where a scale is too large."""
        with advised(scales):
            return quantize_multiplier(scales, self.arithmetic)

    def clamped(self, x: Tensor) -> Tensor:
        """The activation function on real values."""
        return x if self.clamp == NO_CLAMP else x.clamp(*self.clamp)


@contextmanager
def advised(scales: NDArray[np.float64]) -> Iterator[None]:
    """Add to a ``ValueError`` about finite `scales` what helps where a scale is too large for the multiplier."""
    try:
        yield
    except ValueError as error:
        if not np.isfinite(scales).all():
            raise
        raise ValueError(f"{error}; raise multiplier_bits, or calibrate with data that gives larger outputs") from None
