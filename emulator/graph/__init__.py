"""The integer `Graph`: what a quantized network is once no float is left in its path.

Tensors are stored channels last and without their batch axis: a feature map's shape is (height, width, channels), a
sequence's (length, channels), a vector's (length,). At the doors (`run_graph`, `Machine.run`, `rtl.simulate`) arrays
have the model file's own layout: an ONNX file's logical (batch, channels, height, width), (batch, channels, length) or
(batch, length); or, of a tensor with `channels_last`, (batch, height, width, channels) and so on, as a TFLite file has
it. `from_file_layout` and `to_file_layout` go between the two. To convolutions, pools and pads a sequence is a map of
height 1.
"""

from .graph import Graph
from .layouts import (
    file_shape,
    from_file_layout,
    logical_shape,
    map_size,
    stored_shape,
    to_file_layout,
    to_logical,
    to_nhwc,
)
from .nodes import (
    Add,
    AveragePool,
    Codes,
    Concat,
    ConstantTensor,
    Convolution,
    Integers,
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
    Slice,
    Tensor,
    Transpose,
)
from .row_nodes import LayerNorm, RMSNorm, Softmax

__all__ = [
    "Add",
    "AveragePool",
    "Codes",
    "Concat",
    "ConstantTensor",
    "Convolution",
    "Graph",
    "Integers",
    "LayerNorm",
    "Linear",
    "LookupTable",
    "MatrixProduct",
    "MaxPool",
    "Node",
    "Pad",
    "Product",
    "RMSNorm",
    "Rescale",
    "RescaledAdd",
    "Reshape",
    "Slice",
    "Softmax",
    "Tensor",
    "Transpose",
    "file_shape",
    "from_file_layout",
    "logical_shape",
    "map_size",
    "stored_shape",
    "to_file_layout",
    "to_logical",
    "to_nhwc",
]
