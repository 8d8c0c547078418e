"""Which function reads which operator of TFLite."""

from __future__ import annotations

from collections.abc import Callable

from ..environment import Environment
from ..operator import Operator
from .batch_matmul import lower_batch_matmul
from .convolution import lower_conv, lower_depthwise
from .elementwise import lower_elementwise
from .extreme import lower_extreme
from .fully_connected import lower_fully_connected
from .function import lower_function
from .host import lower_arg_max, lower_dequantize, lower_host_move, lower_host_quantize, lower_softmax
from .join import lower_concatenation, lower_pack
from .move import lower_pad, lower_reshape, lower_transpose
from .pool import lower_average_pool, lower_max_pool
from .quantize import lower_quantize
from .rearrange import lower_depth_to_space, lower_gather, lower_reverse, lower_space_to_depth
from .reduce import lower_reduce, lower_reduce_max
from .resize import lower_resize_nearest
from .select import lower_slice, lower_split, lower_strided_slice, lower_unpack
from .transpose_conv import lower_transpose_conv

Lowering = Callable[[Environment, Operator], None]
"""Puts what the operator makes into the graph or into the tail."""

LOWERINGS: dict[str, Lowering] = {
    "ADD": lower_elementwise,
    "ARG_MAX": lower_arg_max,
    "ARG_MIN": lower_arg_max,
    "AVERAGE_POOL_2D": lower_average_pool,
    "BATCH_MATMUL": lower_batch_matmul,
    "CONCATENATION": lower_concatenation,
    "CONV_2D": lower_conv,
    "DEPTHWISE_CONV_2D": lower_depthwise,
    "DEPTH_TO_SPACE": lower_depth_to_space,
    "DEQUANTIZE": lower_dequantize,
    "EXPAND_DIMS": lower_reshape,
    "FULLY_CONNECTED": lower_fully_connected,
    "GATHER": lower_gather,
    "HARD_SWISH": lower_function,
    "LEAKY_RELU": lower_function,
    "LOGISTIC": lower_function,
    "MAXIMUM": lower_extreme,
    "MAX_POOL_2D": lower_max_pool,
    "MEAN": lower_reduce,
    "MINIMUM": lower_extreme,
    "MUL": lower_elementwise,
    "PACK": lower_pack,
    "PAD": lower_pad,
    "PADV2": lower_pad,
    "QUANTIZE": lower_quantize,
    "REDUCE_MAX": lower_reduce_max,
    "RELU": lower_function,
    "RELU6": lower_function,
    "RELU_N1_TO_1": lower_function,
    "RESHAPE": lower_reshape,
    "RESIZE_NEAREST_NEIGHBOR": lower_resize_nearest,
    "REVERSE_V2": lower_reverse,
    "SLICE": lower_slice,
    "SOFTMAX": lower_softmax,
    "SPACE_TO_DEPTH": lower_space_to_depth,
    "SPLIT": lower_split,
    "SPLIT_V": lower_split,
    "SQUEEZE": lower_reshape,
    "STRIDED_SLICE": lower_strided_slice,
    "SUB": lower_elementwise,
    "SUM": lower_reduce,
    "TANH": lower_function,
    "TRANSPOSE": lower_transpose,
    "TRANSPOSE_CONV": lower_transpose_conv,
    "UNPACK": lower_unpack,
}

HOST: dict[str, Lowering] = {
    "ARG_MAX": lower_arg_max,
    "ARG_MIN": lower_arg_max,
    "DEQUANTIZE": lower_dequantize,
    "EXPAND_DIMS": lower_host_move,
    "QUANTIZE": lower_host_quantize,
    "RESHAPE": lower_host_move,
    "SOFTMAX": lower_softmax,
    "SQUEEZE": lower_host_move,
}
"""What the host can do with its own values."""

HINTS: dict[str, str] = {
    "BATCH_TO_SPACE_ND": "let the converter write a dilated convolution as one CONV_2D with dilation factors",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "unroll the recurrent layer when converting (Keras: unroll=True)",
    "CALL_ONCE": "freeze the variables before converting",
    "CUSTOM": "convert with supported_ops TFLITE_BUILTINS_INT8 only",
    "DIV": "multiply by a constant instead",
    "LSTM": "unroll the recurrent layer when converting (Keras: unroll=True)",
    "PRELU": "train with LEAKY_RELU, one slope for all channels",
    "RESIZE_BILINEAR": "use RESIZE_NEAREST_NEIGHBOR, or TRANSPOSE_CONV with fixed weights",
    "SPACE_TO_BATCH_ND": "let the converter write a dilated convolution as one CONV_2D with dilation factors",
    "SVDF": "train with the layer's two steps as DEPTHWISE_CONV_2D and CONV_2D",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "unroll the recurrent layer when converting (Keras: unroll=True)",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "unroll the recurrent layer when converting (Keras: unroll=True)",
    "WHILE": "unroll the recurrent layer when converting (Keras: unroll=True)",
}
"""What to do instead of an operator that is not read."""


def hint(code: str) -> str:
    """What to do instead."""
    name = code.split(" ", 1)[0]
    return HINTS.get(name, "cut the network with outputs= in front of it, or replace it by operators that are read")
