"""A network of `NetworkBuilder` as an ONNX file with QuantizeLinear/DequantizeLinear pairs, for other runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emulator.graph import Add, AveragePool, Convolution, Graph, Linear, MaxPool, Node, Reshape, Tensor, file_shape

OPSET, IR_VERSION = 17, 8


def qdq_model(graph: Graph) -> onnx.ModelProto:
    """The model of `graph`: float inputs and outputs of any batch, int8 codes, weights quantized per channel.

    The weights' scales are those of the graph's multipliers, rounded to float32, from which a reader makes multipliers
    of its own. Raises ``ValueError`` naming the node that this file cannot say: any but convolution, linear, add, pools
    and the flatten of one pixel, and a clamp other than that of the codes.
    """
    writer = _Writer(graph)
    for tensor in graph.inputs:
        writer.quantized(tensor, tensor.name)
    for node in graph.nodes:
        writer.node(node)
    for output, name in graph.outputs.items():
        writer.add("Identity", [writer.real(name)], output)
    batch = [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, ["batch", *file_shape(t)]) for t in graph.inputs]
    results = [
        helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", *file_shape(graph.tensor(name))])
        for output, name in graph.outputs.items()
    ]
    body = helper.make_graph(writer.nodes, "network", batch, results, writer.constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def real(self, name: str) -> str:
        """The dequantized tensor of that name."""
        return f"{name}/real"

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], f"{output}/{operator}", **attributes))
        return output

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def quantized(self, tensor: Tensor, real: str) -> None:
        """The codes of `real`, and the real numbers that they stand for."""
        if (tensor.y_min, tensor.y_max) != (-128, 127):
            raise ValueError(f"{tensor.name} must have all codes of int8, not {tensor.y_min} … {tensor.y_max}")
        parameters = [
            self.constant(f"{tensor.name}/scale", np.array(tensor.scale, np.float32)),
            self.constant(f"{tensor.name}/zero_point", np.array(tensor.zero_point, np.int8)),
        ]
        codes = self.add("QuantizeLinear", [real, *parameters], f"{tensor.name}/codes")
        self.add("DequantizeLinear", [codes, *parameters], self.real(tensor.name))

    def node(self, node: Node) -> None:
        inputs = [self.real(name) for name in node.inputs]
        exact = f"{node.name}/exact"
        match node:
            case Convolution(weight_zero_point=None, raw=False):
                weight = self._weights(node, node.weight.transpose(0, 3, 1, 2), 0)
                self.add("Conv", [*inputs, *weight], exact, strides=node.strides, pads=node.padding,
                         dilations=node.dilations, group=node.groups)  # fmt: skip
            case Linear(weight_zero_point=None, raw=False):
                self.add("Gemm", [*inputs, *self._weights(node, node.weight, 1)], exact)
            case Add(subtract=False):
                self.add("Add", inputs, exact)
            case MaxPool() | AveragePool(raw=False):
                operator = "MaxPool" if isinstance(node, MaxPool) else "AveragePool"
                self.add(operator, inputs, exact, kernel_shape=node.kernel, strides=node.strides, pads=node.padding)
            case Reshape() if self.graph.tensor(node.inputs[0]).shape[:-1] == (1, 1):
                self.add("Flatten", inputs, exact)
            case _:
                raise ValueError(f"{node.name} must be of a plain network, not {type(node).__name__}")
        self.quantized(node, exact)

    def _weights(self, node: Convolution | Linear, weight: NDArray[np.int8], axis: int) -> list[str]:
        """The dequantized weights and biases."""
        x_scale = self.graph.tensor(node.inputs[0]).scale
        factor = node.multiplier / np.exp2(node.shift.astype(np.float64))
        scale = (factor * node.scale / x_scale).astype(np.float32)
        bias_scale = (np.float32(x_scale) * scale).astype(np.float32)
        result = []
        for name, codes, scales, where in (("weight", weight, scale, axis), ("bias", node.bias, bias_scale, 0)):
            array = np.ascontiguousarray(codes if name == "weight" else codes.astype(np.int32))
            parts = [
                self.constant(f"{node.name}/{name}/codes", array),
                self.constant(f"{node.name}/{name}/scale", scales),
                self.constant(f"{node.name}/{name}/zero_point", np.zeros(len(scales), array.dtype)),
            ]
            result.append(self.add("DequantizeLinear", parts, f"{node.name}/{name}", axis=where))
        return result
