"""`ConvolutionSource`: a 1-D or 2-D convolution with any kernel, strides, padding, dilations and groups."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.graph import Convolution, Tensor

from .constants import Constant, QuantizedConstant
from .graph_builder import GraphBuilder
from .origin import Origin
from .values import Source, Target
from .weights import Weights, bias_error, integer_bias, layer_multiplier
from .windows import WindowGeometry


@dataclass(frozen=True, eq=False)
class ConvolutionSource(Source):
    """A convolution of codes; weights' codes are (O, I/groups, kernel …), as in the file."""

    operator: Origin
    x: Tensor
    weights: Weights
    bias: Constant | QuantizedConstant | None
    geometry: WindowGeometry
    groups: int

    def with_bias(self, bias: Constant | QuantizedConstant) -> ConvolutionSource:
        """This, with the bias of an Add behind it: one element, or (channels, 1, …) with any leading axes of size 1."""
        values = bias.values if isinstance(bias, Constant) else bias.codes
        channels, rank = self.weights.channels, len(self.x.shape)
        wanted = (channels, 1, 1)[:rank]
        if values.size != 1 and (values.shape[-rank:] != wanted or values.size != channels):
            raise ValueError(f"a bias must have the shape {wanted}, not {values.shape}")
        return replace(self, bias=bias)

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Convolution`; its weights are stored channel last."""
        bias = integer_bias(self.bias, self.x, self.weights, builder.arithmetic)
        builder.bias_errors[name] = bias_error(self.bias, bias, self.x, self.weights, target)
        multiplier, shift = layer_multiplier(self.x, self.weights, target, builder.arithmetic)
        outputs, depth = self.weights.codes.shape[:2]
        weight = self.weights.codes.reshape(outputs, depth, *self.geometry.kernel).transpose(0, 2, 3, 1)
        return builder.add(
            Convolution(
                name=name,
                shape=(*self.geometry.output, self.weights.channels)[-len(self.x.shape) :],
                **vars(target),
                inputs=(self.x.name,),
                weight=np.ascontiguousarray(weight),
                bias=bias,
                multiplier=multiplier,
                shift=shift,
                strides=self.geometry.strides,
                padding=self.geometry.padding,
                dilations=self.geometry.dilations,
                groups=self.groups,
            )
        )
