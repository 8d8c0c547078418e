"""`structure`: the digest of all of a graph that its cycles depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import numpy as np

from compiler.emit.cut.column_blocks import weight_zero_points
from compiler.emit.fuse import fuse
from compiler.emit.pool import uniform_tiles
from compiler.emit.post import adder_fields
from emulator.graph import Add, AveragePool, Convolution, Graph, Linear, MatrixProduct, RescaledAdd, Tensor

VALUES = (
    "scale", "zero_point", "y_min", "y_max", "multiplier", "shift", "a_multiplier", "a_shift", "b_multiplier",
    "b_shift", "parameters",
)  # fmt: skip
"""Fields of tensors and nodes whose values go into instructions and data, and change no instruction's duration."""


def structure(graph: Graph) -> str:
    """SHA-256 in hexadecimal: graphs with the same one have the same cycles on every accelerator.

    It is over every tensor's and node's fields but `VALUES`, of arrays their types and shapes alone, and over the few
    decisions of the compiler that values take: whether two adds in a row have the same settings, which are then loaded
    once; the rectangles of an average pool's positions that share a multiplier; whether a pool's sums fit the
    accumulator; whether weights have zero points. Host parts and metadata are not run by the accelerator.
    """
    tensors = {tensor.name: tensor for tensor in (*graph.inputs, *graph.nodes)}
    told = [
        [_shape(tensor) for tensor in tensors.values()],
        [_decision(node, tensors, graph) for node in graph.nodes],
        _adders(graph, tensors),
        sorted(graph.outputs.items()),
        graph.arithmetic.as_dict(),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _shape(tensor: Tensor) -> list[Any]:
    told: list[Any] = [type(tensor).__name__]
    for field in fields(tensor):
        value = getattr(tensor, field.name)
        if isinstance(value, np.ndarray):
            value = [str(value.dtype), list(value.shape)]
        elif field.name in VALUES:
            continue
        told.append([field.name, repr(value)])
    return told


def _decision(node: Tensor, tensors: dict[str, Tensor], graph: Graph) -> list[Any]:
    """What the compiler does with a layer because of its values."""
    if isinstance(node, Convolution | Linear):
        low, high = graph.arithmetic.bias_range
        legal = bool(((node.bias >= low) & (node.bias <= high)).all())
        return [bool(weight_zero_points(node).any()), legal]
    if isinstance(node, MatrixProduct):
        return [tensors[node.inputs[1]].zero_point != 0]
    if isinstance(node, AveragePool):
        rectangles = [
            [tile.rows.first, tile.rows.last, tile.columns.first, tile.columns.last]
            for tile, _, _ in uniform_tiles(node)
        ]
        low, high = graph.arithmetic.activation_range
        area, limit = node.kernel[0] * node.kernel[1], 1 << (graph.arithmetic.accumulator_bits - 1)
        zero_point = 0 if node.raw else tensors[node.inputs[0]].zero_point
        return [rectangles, area * (high - zero_point) < limit and area * (zero_point - low) <= limit]
    return []


def _adders(graph: Graph, tensors: dict[str, Tensor]) -> list[bool]:
    """For each add in the order of execution, whether its settings are those of the add before it."""
    told, before = [], None
    for step in fuse(graph):
        add = step.main if step.add is None else step.add
        if not isinstance(add, Add | RescaledAdd):
            continue
        zero_points = tensors[add.inputs[0]].zero_point, tensors[add.inputs[1]].zero_point
        settings = adder_fields(add, zero_points, step.swapped)
        told.append(settings == before)
        before = settings
    return told
