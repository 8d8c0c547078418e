"""The int8 kernels of TensorFlow Lite for Microcontrollers (TFLM) in integers (contract, section 11).

What these kernels share with the rest of the emulator (sums, `double` rounding, the rescaled adder, raw means) lives
with its operators; here is what TFLM computes by fixed-point formulas of its own.
"""

from .hard_swish import hard_swish_table
from .leaky_relu import leaky_relu_table
from .logistic import logistic_table
from .mean import mean_multiplier
from .multiplier import scale_multiplier
from .relu import clamp_table, relu_table
from .rounded_softmax import rounded_softmax
from .softmax import softmax
from .tanh import tanh_table

__all__ = [
    "clamp_table",
    "hard_swish_table",
    "leaky_relu_table",
    "logistic_table",
    "mean_multiplier",
    "relu_table",
    "rounded_softmax",
    "scale_multiplier",
    "softmax",
    "tanh_table",
]
