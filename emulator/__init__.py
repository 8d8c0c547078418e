"""The golden machine: Lockstep's numeric contract in NumPy, the integer graph, the instruction set and the machine.

``import emulator`` needs NumPy only; Numba is imported when a compiled kernel first runs.
"""

from .arithmetic import Arithmetic
from .config import AcceleratorConfig, config_from_dict, load_config
from .functions import FUNCTIONS
from .graph import (
    Add,
    AveragePool,
    Concat,
    ConstantTensor,
    Convolution,
    Graph,
    LayerNorm,
    Linear,
    LookupTable,
    MatrixProduct,
    MaxPool,
    Node,
    Pad,
    Product,
    Rescale,
    RescaledAdd,
    Reshape,
    RMSNorm,
    Slice,
    Softmax,
    Tensor,
    Transpose,
)
from .graph.certificate import AttainingInput, LayerCertificate, attaining_input, certify
from .graph.host_part import HostPart
from .graph.run import LayerCounts, run_graph, run_graph_counts
from .machine import Machine, Result, StoppedError
from .operators.accumulate import accumulate, linear
from .operators.add import add, subtract
from .operators.average_pool import average_pool, average_pool_scales, average_pool_sum
from .operators.convolve import convolve
from .operators.lookup import lookup, make_table
from .operators.matrix_product import matrix_product
from .operators.max_pool import max_pool
from .operators.move import concat, pad, slice_codes, transpose
from .operators.product import product
from .operators.quantize import clamp_bias, dequantize, quantize, quantize_bias, quantize_weight, weight_scale
from .operators.raw_average_pool import raw_average_multiplier, raw_average_multipliers, raw_average_pool
from .operators.requantization.multiplier import (
    layer_scales,
    quantize_adder,
    quantize_multiplier,
    quantize_rescaled_adder,
)
from .operators.requantization.requantize import requantize
from .operators.requantization.rescale import rescale
from .operators.rescaled_add import rescaled_add, rescaled_subtract
from .program import Program

__all__ = [
    "FUNCTIONS",
    "AcceleratorConfig",
    "Add",
    "Arithmetic",
    "AttainingInput",
    "AveragePool",
    "Concat",
    "ConstantTensor",
    "Convolution",
    "Graph",
    "HostPart",
    "LayerCertificate",
    "LayerCounts",
    "LayerNorm",
    "Linear",
    "LookupTable",
    "Machine",
    "MatrixProduct",
    "MaxPool",
    "Node",
    "Pad",
    "Product",
    "Program",
    "RMSNorm",
    "Rescale",
    "RescaledAdd",
    "Reshape",
    "Result",
    "Slice",
    "Softmax",
    "StoppedError",
    "Tensor",
    "Transpose",
    "accumulate",
    "add",
    "attaining_input",
    "average_pool",
    "average_pool_scales",
    "average_pool_sum",
    "certify",
    "clamp_bias",
    "concat",
    "config_from_dict",
    "convolve",
    "dequantize",
    "layer_scales",
    "linear",
    "load_config",
    "lookup",
    "make_table",
    "matrix_product",
    "max_pool",
    "pad",
    "product",
    "quantize",
    "quantize_adder",
    "quantize_bias",
    "quantize_multiplier",
    "quantize_rescaled_adder",
    "quantize_weight",
    "raw_average_multiplier",
    "raw_average_multipliers",
    "raw_average_pool",
    "requantize",
    "rescale",
    "rescaled_add",
    "rescaled_subtract",
    "run_graph",
    "run_graph_counts",
    "slice_codes",
    "subtract",
    "transpose",
    "weight_scale",
]
