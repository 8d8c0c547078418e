"""Which function reads which ONNX operator."""

from __future__ import annotations

from collections.abc import Callable

from emulator.onnx_functions import UNARY_OPERATORS

from ...reading.values import Value
from ..environment import Environment
from ..operator import Operator
from .constant import lower_constant
from .moves.concat import lower_concat
from .moves.move import lower_pad, lower_slice, lower_split, lower_transpose
from .moves.order import lower_depth_to_space, lower_gather, lower_space_to_depth
from .moves.replicate import lower_expand, lower_tile
from .moves.reshape import (
    lower_cast,
    lower_dropout,
    lower_flatten,
    lower_identity,
    lower_reshape,
    lower_squeeze,
    lower_unsqueeze,
)
from .moves.resize import lower_resize
from .pointwise.activation import lower_clip, lower_relu
from .pointwise.elementwise import lower_elementwise
from .pointwise.extremes import lower_extreme
from .pointwise.function import lower_function, lower_power, lower_prelu
from .pools.pool import (
    lower_average_pool,
    lower_global_average_pool,
    lower_global_max_pool,
    lower_max_pool,
)
from .pools.reduce import lower_reduce, lower_reduce_max
from .products.conv_transpose import lower_conv_transpose
from .products.convolution import lower_conv
from .products.linear import lower_gemm, lower_matmul
from .products.normalization import lower_batch_normalization
from .quantization.qoperator import LOWERINGS as QOPERATORS
from .quantization.quantize import lower_dequantize_linear, lower_quantize_linear
from .rows.mask import lower_mask
from .rows.norm import lower_norm
from .rows.softmax import lower_softmax

Lowering = Callable[[Environment, Operator], Value | tuple[Value, ...]]
"""Gives the value of the node's first output, or those of all of them."""

LOWERINGS: dict[str, Lowering] = {
    "Add": lower_elementwise,
    "AveragePool": lower_average_pool,
    "BatchNormalization": lower_batch_normalization,
    "Cast": lower_cast,
    "Clip": lower_clip,
    "Concat": lower_concat,
    "Constant": lower_constant,
    "Conv": lower_conv,
    "ConvTranspose": lower_conv_transpose,
    "DepthToSpace": lower_depth_to_space,
    "DequantizeLinear": lower_dequantize_linear,
    "com.microsoft.DequantizeLinear": lower_dequantize_linear,
    "Div": lower_elementwise,
    "Expand": lower_expand,
    "Dropout": lower_dropout,
    "Flatten": lower_flatten,
    "Gather": lower_gather,
    "Gemm": lower_gemm,
    "GlobalAveragePool": lower_global_average_pool,
    "GlobalMaxPool": lower_global_max_pool,
    "Identity": lower_identity,
    "LayerNormalization": lower_norm,
    "MatMul": lower_matmul,
    "Max": lower_extreme,
    "MaxPool": lower_max_pool,
    "Min": lower_extreme,
    "Mul": lower_elementwise,
    "PRelu": lower_prelu,
    "Pad": lower_pad,
    "Pow": lower_power,
    "QuantizeLinear": lower_quantize_linear,
    "com.microsoft.QuantizeLinear": lower_quantize_linear,
    "RMSNormalization": lower_norm,
    "ReduceMax": lower_reduce_max,
    "ReduceMean": lower_reduce,
    "ReduceSum": lower_reduce,
    "Relu": lower_relu,
    "Resize": lower_resize,
    "Reshape": lower_reshape,
    "Slice": lower_slice,
    "Softmax": lower_softmax,
    "Split": lower_split,
    "SpaceToDepth": lower_space_to_depth,
    "Squeeze": lower_squeeze,
    "Sub": lower_elementwise,
    "Tile": lower_tile,
    "Transpose": lower_transpose,
    "Unsqueeze": lower_unsqueeze,
    "Upsample": lower_resize,
    "Where": lower_mask,
    **{name: lower_function for name in UNARY_OPERATORS},
    **QOPERATORS,
}

HOSTED_TOO = frozenset(["LayerNormalization", "RMSNormalization", "Softmax"])
"""What the host computes where it is no layer, and rounds it behind, too."""

# Why an operator that networks often have cannot stand in a quantized file.
REASONS = {
    **dict.fromkeys(
        ("LogSoftmax", "InstanceNormalization", "GroupNormalization"),
        "a float operator between integer layers, which the accelerator lacks; outputs= can cut the model before it",
    ),
    **dict.fromkeys(
        ("com.microsoft.SkipLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization"),
        "its sum is never rounded; have the quantizer round an Add in front of a LayerNormalization",
    ),
    **dict.fromkeys(
        ("LSTM", "GRU", "RNN"),
        "the quantizer left it in float; qat.prepare unrolls recurrent layers into quantized steps",
    ),
}
