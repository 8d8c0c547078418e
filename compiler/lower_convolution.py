"""Conv: a 1-D or 2-D convolution with any kernel, strides, padding, dilations and groups."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.graph import Convolution, Tensor

from .graph_builder import GraphBuilder
from .onnx_tensor import Constant
from .operator_node import Operator
from .values import Environment, QuantizedConstant, Real, Source, Target, Value
from .weights import Weights, bias_error, layer_multiplier, read_bias, read_weights
from .windows import WindowGeometry, spatial_axes, window_geometry


@dataclass(frozen=True, eq=False)
class ConvolutionSource(Source):
    """A convolution of codes; weights' codes are (O, I/groups, kernel …), as in the file."""

    operator: Operator
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
        bias = read_bias(self.bias, self.x, self.weights, builder.arithmetic)
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


def lower_conv(env: Environment, op: Operator) -> Value:
    """Conv of an activation with constant weights; 3-D convolutions are refused."""
    x = env.operand(op, 0)
    weights = read_weights(env, op, 1, axis=0, rank=2 + spatial_axes(x))
    groups = op.integer("group", 1)
    outputs, depth, *kernel = weights.codes.shape
    if groups < 1 or depth * groups != x.shape[-1] or outputs % groups:
        raise ValueError(
            f"weight of shape {weights.codes.shape} in {groups} groups does not match an input of "
            f"{x.shape[-1]} channels"
        )
    if op.integers("kernel_shape") not in (None, tuple(kernel)):
        raise ValueError(f"kernel_shape must be the weight's {tuple(kernel)}, not {op.integers('kernel_shape')}")
    geometry = window_geometry(op, x, tuple(kernel))
    bias = env.bias(op, 2)
    return Real(ConvolutionSource(op, x, weights, bias, geometry, groups))
