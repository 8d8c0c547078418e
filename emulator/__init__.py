"""The golden machine: Lockstep's numeric contract in NumPy, the integer graph, the instruction set and the machine.

``import emulator`` needs NumPy only; Numba is imported when a compiled kernel first runs.
"""

from .accumulate import accumulate, accumulate_with_direction, linear
from .add import add, subtract
from .arithmetic import Arithmetic
from .average_pool import average_pool, average_pool_scales, average_pool_sum
from .config import AcceleratorConfig, config_from_dict, load_config
from .convolve import convolve
from .functions import FUNCTIONS
from .graph import (
    Add,
    AveragePool,
    Convolution,
    Graph,
    Linear,
    LookupTable,
    MaxPool,
    Node,
    Product,
    Rescale,
    Reshape,
    Tensor,
)
from .lookup import lookup, make_table
from .machine import Machine, Result, StoppedError
from .max_pool import max_pool
from .multiplier import layer_scales, quantize_adder, quantize_multiplier
from .product import product
from .program import Program
from .quantize import clamp_bias, dequantize, quantize, quantize_bias, quantize_weight, weight_scale
from .requantize import requantize
from .rescale import rescale
from .run import LayerCounts, run_graph, run_graph_counts

__all__ = [
    "FUNCTIONS",
    "AcceleratorConfig",
    "Add",
    "Arithmetic",
    "AveragePool",
    "Convolution",
    "Graph",
    "LayerCounts",
    "Linear",
    "LookupTable",
    "Machine",
    "MaxPool",
    "Node",
    "Product",
    "Program",
    "Rescale",
    "Reshape",
    "Result",
    "StoppedError",
    "Tensor",
    "accumulate",
    "accumulate_with_direction",
    "add",
    "average_pool",
    "average_pool_scales",
    "average_pool_sum",
    "clamp_bias",
    "config_from_dict",
    "convolve",
    "dequantize",
    "layer_scales",
    "linear",
    "load_config",
    "lookup",
    "make_table",
    "max_pool",
    "product",
    "quantize",
    "quantize_adder",
    "quantize_bias",
    "quantize_multiplier",
    "quantize_weight",
    "requantize",
    "rescale",
    "run_graph",
    "run_graph_counts",
    "subtract",
    "weight_scale",
]
