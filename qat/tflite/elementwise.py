"""Sums, differences, products and functions of codes."""

from __future__ import annotations

import numpy as np
from torch import nn

from emulator.operators.requantization.multiplier import RESCALED_BITS

from ..integers.tensor import QuantizedTensor
from ..layers.activation import Activation
from ..layers.choice import Joined, Negation
from ..layers.concat import Concat
from ..layers.elementwise import Add, Product
from ..layers.tables.table import Table
from ..layers.tables.tflm_tables import FixedTable
from .weighted import check_reach
from .writer import TfliteWriter, file_axis

FUNCTIONS = {"Sigmoid": "LOGISTIC", "Tanh": "TANH", "HardSwish": "HARD_SWISH", "LeakyRelu": "LEAKY_RELU"}
"""{ONNX operator: TFLite's}."""


def write_add(
    writer: TfliteWriter, layer: Add, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """ADD or SUB."""
    a, b = inputs
    if 2 * max(a.scale.item(), b.scale.item()) >= (1 << RESCALED_BITS) * y.scale.item():
        raise ValueError("its output's scale must be more than 2^-19 of its inputs': calibrate with larger outputs")
    writer.put_clamped(layer.name, "SUB" if layer.subtract else "ADD", _operands(writer, layer, inputs), y)


def write_product(
    writer: TfliteWriter, layer: Product, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """MUL."""
    a, b = inputs
    largest = np.array([float(max(map(abs, a.extremes)) * max(map(abs, b.extremes)))])
    check_reach(largest, np.array([a.scale.item() * b.scale.item() / y.scale.item()]))
    writer.put_clamped(layer.name, "MUL", _operands(writer, layer, inputs), y)


def write_concat(
    writer: TfliteWriter, layer: Concat, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """CONCATENATION of parts that QUANTIZE brings to the scale and zero point of the whole."""
    parts = []
    for number, (source, x) in enumerate(zip(layer.sources, inputs, strict=True)):
        part = f"{layer.name}/part{number}"
        tensor = writer.logical(source, x, part)
        if (x.scale.item(), x.zero_point) != (y.scale.item(), y.zero_point):
            check_reach(np.array([float(max(map(abs, x.extremes)))]), np.array([x.scale.item() / y.scale.item()]))
            tensor = writer.operator("QUANTIZE", [tensor], writer.tensor(part, writer.shape(tensor), y))
        parts.append(tensor)
    axis = file_axis(layer.axis % y.centered.ndim, y.centered.ndim - 1)
    joined = writer.operator("CONCATENATION", parts, writer.unclamped(layer.name, y), Axis=axis)
    writer.put_clamp(layer.name, joined, y)


def write_joined(
    writer: TfliteWriter, layer: Joined, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """CONCATENATION of parts that have one scale and zero point."""
    pairs = enumerate(zip(layer.sources, inputs, strict=True))
    parts = [writer.logical(source, x, f"{layer.name}/part{number}") for number, (source, x) in pairs]
    writer.put(layer.name, "CONCATENATION", parts, y, Axis=file_axis(layer.axis % y.centered.ndim, y.centered.ndim - 1))


def write_negation(
    writer: TfliteWriter, layer: Negation, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """MUL by −1 of scale 1, which rounds nothing: the product's scale is the output's."""
    minus_one = writer.constant(f"{layer.name}/minus_one", np.array([-1], np.int8), np.float32(1))
    writer.put(layer.name, "MUL", [writer.codes[layer.sources[0]], minus_one], y)


def write_activation(
    writer: TfliteWriter, layer: Activation, inputs: list[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
) -> None:
    """A clamp of codes."""
    writer.put_clamp(layer.name, writer.codes[layer.sources[0]], y)


def write_table(
    writer: TfliteWriter,
    layer: Table | FixedTable,
    inputs: list[QuantizedTensor],
    y: QuantizedTensor,
    owner: nn.Module,
) -> None:
    """One of the functions for which TFLM has a kernel."""
    operator = layer.native
    if operator is None:
        raise ValueError(
            "its function must be one that TFLM has: Sigmoid, Tanh, Hardswish, LeakyReLU or SiLU, or a clamp such as "
            f"ReLU, each as a module or function of its own, not {layer.expression.operator}"
        )
    known = layer.known(owner) if isinstance(layer, Table) else layer.expression
    options = {"Alpha": dict(known.attributes)["alpha"]} if operator == "LeakyRelu" else {}
    made = writer.unclamped(layer.name, y)
    tensor = writer.operator(FUNCTIONS[operator], [writer.codes[layer.sources[0]]], made, **options)
    writer.put_clamp(layer.name, tensor, y)


def _operands(writer: TfliteWriter, layer: Add | Product, inputs: list[QuantizedTensor]) -> list[str]:
    """The two tensors; vectors of maps in different orders both in torch's."""
    if len({x.map_shape for x in inputs}) == 1:
        return [writer.codes[source] for source in layer.sources]
    pairs = zip(layer.sources, inputs, strict=True)
    return [writer.logical(source, x, f"{layer.name}/{side}") for side, (source, x) in zip("ab", pairs, strict=True)]
