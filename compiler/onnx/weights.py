"""The weights of an ONNX node: a constant behind a DequantizeLinear."""

from __future__ import annotations

from ..reading.constants import Constant, QuantizedConstant
from ..reading.products.weights import Weights, checked_weights
from .environment import Environment
from .operator import Operator


def read_weights(env: Environment, op: Operator, index: int, axis: int, rank: int) -> Weights:
    """The weights at input `index`, output channels on `axis` of `rank` axes; ``ValueError`` unless they are legal."""
    value = env.value(op.input(index))
    if not isinstance(value, QuantizedConstant):
        if isinstance(value, Constant):
            found = "not quantized; have the quantizer quantize this layer's weights too"
        else:
            found = "not a constant; of two activations only a MatMul is supported, outputs= can cut before this one"
        raise ValueError(f"weight {op.input(index)!r} must be a constant behind a DequantizeLinear, it is {found}")
    return checked_weights(value, axis, rank, env.builder.arithmetic)


def read_bias(env: Environment, op: Operator, index: int) -> Constant | QuantizedConstant | None:
    """The bias of a convolution, None where it is left out; ``ValueError`` unless it has one axis."""
    bias = env.bias(op, index)
    if bias is not None:
        axes = (bias.values if isinstance(bias, Constant) else bias.codes).ndim
        if axes != 1:
            raise ValueError(f"bias must have one axis, not {axes}")
    return bias
