"""A graph as a .tflite file, for tools that look at shapes: each layer's tensor has the layer's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.tflite.writer import FileOperator, FileTensor, tflite_file
from emulator.graph import Add, AveragePool, Convolution, Graph, Linear, MaxPool, Node, Reshape, Tensor, map_size

from ..networks import same_padding

SAME, VALID = 0, 1


def network_tflite(graph: Graph) -> bytes:
    """`graph` with its weights, biases and scales.

    The sums' scales are those of the graph's multipliers, so the real values are the graph's; a runtime's codes may
    differ by its rounding, and clamps narrower than int8 are left out.

    Raises ``ValueError`` naming a layer that it has no operator for, or whose padding is not TensorFlow's SAME or
    VALID.
    """
    writer = _Writer(graph)
    for node in graph.nodes:
        write = WRITERS.get(type(node))
        if write is None:
            raise ValueError(f"{node.name}: must be one of {_known()} to be written as TFLite, not {_kind(node)}")
        write(writer, node)
    inputs = [tensor.name for tensor in graph.inputs]
    return tflite_file(writer.tensors, writer.operators, inputs, list(dict.fromkeys(graph.outputs.values())))


class _Writer:
    """The file's tensors and operators, in order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: list[FileTensor] = []
        self.operators: list[FileOperator] = []
        for tensor in graph.inputs:
            self.activation(tensor)

    def activation(self, tensor: Tensor) -> None:
        self.tensors.append(
            FileTensor(tensor.name, (1, *tensor.shape), scale=tensor.scale, zero_point=tensor.zero_point)
        )

    def constant(self, name: str, data: np.ndarray[Any, Any], **values: Any) -> str:
        self.tensors.append(FileTensor(name, data.shape, str(data.dtype), data=data, **values))
        return name

    def operator(self, node: Node, code: str, version: int, *constants: str, **options: int) -> None:
        self.activation(node)
        self.operators.append(FileOperator(code, [*node.inputs, *constants], [node.name], options, version))

    def parameters(self, node: Convolution | Linear, weight: np.ndarray[Any, Any], axis: int) -> tuple[str, str]:
        """Names of the weights, whose outputs are the axis `axis`, and of the biases."""
        source = self.graph.tensor(node.inputs[0])
        scale = node.multiplier / np.exp2(node.shift.astype(np.float64)) * node.scale / source.scale
        values = {"scale": scale, "zero_point": np.zeros(len(scale), np.int64)}
        codes = self.constant(f"{node.name}/weight", np.ascontiguousarray(weight), axis=axis, **values)
        values["scale"] = scale * source.scale
        return codes, self.constant(f"{node.name}/bias", node.bias.astype(np.int32), **values)

    def window(
        self, node: Convolution | MaxPool | AveragePool, kernel: tuple[int, int], dilations: tuple[int, int] = (1, 1)
    ) -> dict[str, int]:
        """Padding and strides; the kernel reaches over `dilations`."""
        source = self.graph.tensor(node.inputs[0])
        reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
        if any(node.padding) and tuple(node.padding) != same_padding(map_size(source), reach, node.strides):
            raise ValueError(f"{node.name}: its padding must be TensorFlow's SAME or VALID, not {tuple(node.padding)}")
        padding = SAME if any(node.padding) else VALID
        return {"Padding": padding, "StrideH": node.strides[0], "StrideW": node.strides[1]}


def _convolution(writer: _Writer, node: Convolution) -> None:
    outputs, height, width, depth = node.weight.shape
    source = writer.graph.tensor(node.inputs[0])
    options = writer.window(node, (height, width), node.dilations)
    options |= {"DilationHFactor": node.dilations[0], "DilationWFactor": node.dilations[1]}
    if node.groups > 1 and depth == 1:
        taps = np.moveaxis(node.weight, 0, -1).reshape(1, height, width, outputs)
        names = writer.parameters(node, taps, 3)
        writer.operator(node, "DEPTHWISE_CONV_2D", 3, *names, **options, DepthMultiplier=outputs // source.shape[-1])
    else:
        writer.operator(node, "CONV_2D", 3, *writer.parameters(node, node.weight, 0), **options)


def _linear(writer: _Writer, node: Linear) -> None:
    options = {"KeepNumDims": 1} if len(node.shape) > 1 else {}
    writer.operator(node, "FULLY_CONNECTED", 4, *writer.parameters(node, node.weight.T, 0), **options)


def _pool(writer: _Writer, node: MaxPool | AveragePool) -> None:
    if node.dilations != (1, 1):
        raise ValueError(f"{node.name}: TFLite's pools have no dilations, not {node.dilations}")
    options = writer.window(node, node.kernel) | {"FilterHeight": node.kernel[0], "FilterWidth": node.kernel[1]}
    source = writer.graph.tensor(node.inputs[0])
    code = "MAX_POOL_2D" if isinstance(node, MaxPool) else "AVERAGE_POOL_2D"
    if (node.scale, node.zero_point) == (source.scale, source.zero_point):
        writer.operator(node, code, 2, **options)
        return
    # TFLite's pools keep the scale: an operator behind it changes it.
    pooled = replace(node, name=f"{node.name}/pooled", scale=source.scale, zero_point=source.zero_point)
    writer.operator(pooled, code, 2, **options)
    writer.operator(replace(node, inputs=(pooled.name,)), "QUANTIZE", 2)


def _add(writer: _Writer, node: Add) -> None:
    writer.operator(node, "SUB" if node.subtract else "ADD", 2)


def _reshape(writer: _Writer, node: Reshape) -> None:
    shape = writer.constant(f"{node.name}/shape", np.array([1, *node.shape], np.int32))
    writer.operator(node, "RESHAPE", 1, shape)


WRITERS: dict[type[Node], Callable[[_Writer, Any], None]] = {
    Convolution: _convolution,
    Linear: _linear,
    MaxPool: _pool,
    AveragePool: _pool,
    Add: _add,
    Reshape: _reshape,
}


def _kind(node: Node) -> str:
    return type(node).__name__


def _known() -> str:
    return ", ".join(kind.__name__ for kind in WRITERS)
