"""Run a `Graph` layer by layer with the operators of this package."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_codes
from ..operators.accumulate import linear
from ..operators.add import add_codes, add_with_clips
from ..operators.average_pool import average_pool, average_pool_with_clips
from ..operators.convolution_codes import convolution_codes
from ..operators.convolution_operands import check_convolution
from ..operators.convolve import convolution_sums
from ..operators.lookup import lookup
from ..operators.matrix_product import matrix_product
from ..operators.max_pool import max_pool
from ..operators.move import concat, pad, slice_codes, transpose
from ..operators.product import product, product_with_clips
from ..operators.raw_average_pool import raw_average_pool
from ..operators.requantization.requantize import requantize, requantize_with_clips
from ..operators.requantization.rescale import rescale, rescale_with_clips
from ..operators.rescaled_add import rescaled_add_codes, rescaled_add_with_clips
from .graph import Graph
from .inputs import model_inputs, model_outputs
from .layouts import to_file_layout
from .nodes import (
    Add,
    AveragePool,
    Codes,
    Concat,
    ConstantTensor,
    Convolution,
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
from .row_nodes import LayerNorm, RMSNorm, Softmax, row_codes

Flags = NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class LayerCounts:
    """What the counters of one layer show, summed over the batch.

    overflows : per output channel, sums of which at least one step left the accumulator's range
    clips : per output channel, outputs whose rounded value plus zero point lay outside the codes of activation_bits
    """

    overflows: NDArray[np.int64]
    clips: NDArray[np.int64]


def run_graph(graph: Graph, inputs: Mapping[str, NDArray[Any]], every: bool = False) -> dict[str, NDArray[Any]]:
    """The outputs, {the model's output name: array}, or with `every` {layer name: int8 codes} of every node.

    An output is int8 codes, int64 sums of a layer with `raw`, or what the graph's tail makes of them. With `every`,
    layers with `raw` are int64 sums, too, and nothing goes through the tail.

    inputs : {name: array}, the model's own, which go through the graph's head; without one, in the model's layout,
    (batch, channels, height, width), (batch, channels, length) or (batch, length); floats are quantized with the
    input's scale and zero point, int8 arrays are taken as codes

    Raises ``TypeError`` or ``ValueError`` naming the input.
    """
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a Graph, as load_onnx gives it, not {type(graph).__name__}")
    codes: dict[str, NDArray[Any]] = {**model_inputs(graph, inputs)}
    wanted = set(graph.outputs.values())
    last_use = {name: node.name for node in graph.nodes for name in node.inputs}
    shown: dict[str, NDArray[Any]] = {}
    for node, result, _, _ in _layers(graph, codes):
        if every:
            shown[node.name] = to_file_layout(node, result)
        for name in node.inputs:
            if last_use[name] == node.name and name not in wanted:
                codes.pop(name, None)
    if every:
        return shown
    outputs = {output: to_file_layout(graph.tensor(name), codes[name]) for output, name in graph.outputs.items()}
    return model_outputs(graph, outputs, inputs)


def run_graph_counts(
    graph: Graph, inputs: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], dict[str, LayerCounts]]:
    """({layer name: codes} as `run_graph(…, every=True)`, {layer name: `LayerCounts`}), for the same inputs."""
    shown: dict[str, NDArray[Any]] = {}
    counts: dict[str, LayerCounts] = {}
    for node, result, overflowed, clipped in _layers(graph, {**model_inputs(graph, inputs)}, counted=True):
        shown[node.name] = to_file_layout(node, result)
        channels = result.shape[-1]
        counts[node.name] = LayerCounts(
            *(
                np.zeros(channels, np.int64)
                if flags is None
                else flags.reshape(-1, channels).sum(axis=0, dtype=np.int64)
                for flags in (overflowed, clipped)
            )
        )
    return shown, counts


def _layers(
    graph: Graph, codes: dict[str, NDArray[Any]], counted: bool = False
) -> Iterator[tuple[Node, NDArray[Any], Flags | None, Flags | None]]:
    """Every node with its codes and its overflow and clip flags; adds the codes to `codes`.

    counted : whether the flags are wanted; without, any of them may be None, as those of a node that has none
    """
    tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in graph.inputs}
    batch = max((array.shape[0] for array in codes.values()), default=0)
    for node in graph.nodes:
        for name in node.inputs:
            if name not in tensors:
                raise ValueError(f"layer {node.name!r}: input must be a graph input or an earlier layer, not {name!r}")
            if codes[name].dtype != np.int8:
                raise ValueError(f"layer {node.name!r}: input must be codes, not the sums of {name!r}")
        operands = [codes[name] for name in node.inputs]
        sources = [tensors[name] for name in node.inputs]
        try:
            if isinstance(node, ConstantTensor):
                result, overflowed, clipped = _constant(node, batch), None, None
            else:
                result, overflowed, clipped = _layer(node, operands, sources, graph.arithmetic, counted)
        except (TypeError, ValueError) as error:
            raise type(error)(f"layer {node.name!r}: {error}") from None
        if result.shape[1:] != node.shape:
            raise ValueError(f"layer {node.name!r}: shape must be {result.shape[1:]}, not {node.shape}")
        tensors[node.name] = node
        codes[node.name] = result
        yield node, result, overflowed, clipped


def _constant(node: ConstantTensor, batch: int) -> Codes:
    """The codes, for each of `batch` samples."""
    check_codes("codes", node.codes, len(node.shape), node.y_min, node.y_max)
    return np.broadcast_to(node.codes, (batch, *node.codes.shape))


def _layer(
    node: Node, operands: list[Codes], sources: list[Tensor], arithmetic: Arithmetic, counted: bool
) -> tuple[NDArray[Any], Flags | None, Flags | None]:
    x, zero = operands[0], sources[0].zero_point
    output = (node.zero_point, node.y_min, node.y_max, arithmetic)
    match node:
        case Convolution():
            window = node.strides, node.padding, node.dilations
            w_zero = 0 if node.weight_zero_point is None else node.weight_zero_point
            checked = check_convolution(
                _as_maps(x), node.weight, node.bias, arithmetic, zero, *window, node.groups, w_zero
            )
            if not node.raw and not counted:
                return _as(x, convolution_codes(checked, node.multiplier, node.shift, *output)), None, None
            acc, overflowed = convolution_sums(checked, arithmetic)
            return _weighted(node, _as(x, acc), _as(x, overflowed), arithmetic, counted)
        case Linear():
            w_zero = 0 if node.weight_zero_point is None else node.weight_zero_point
            rows = x.reshape(x.shape[0], math.prod(x.shape[1:]))
            acc, overflowed = linear(rows, node.weight, node.bias, arithmetic, zero, w_zero)
            return _weighted(node, acc, overflowed, arithmetic, counted)
        case MatrixProduct():
            matrices = x, operands[1], arithmetic, zero, sources[1].zero_point
            depth = x.shape[-2 if node.a_transposed else -1]
            if depth != node.depth:
                raise ValueError(f"depth must be {depth}, the columns of the first input, not {node.depth}")
            acc, overflowed = matrix_product(*matrices, node.a_transposed, node.b_transposed)
            return _weighted(node, acc, overflowed, arithmetic, counted)
        case Add():
            terms = x, zero, node.a_multiplier, operands[1], sources[1].zero_point, node.b_multiplier
            if not counted:
                return add_codes(*terms, node.shift, *output, node.subtract), None, None
            result, clipped = add_with_clips(*terms, node.shift, *output, node.subtract)
        case RescaledAdd():
            second = operands[1], sources[1].zero_point, node.b_multiplier, node.b_shift
            scaled = x, zero, node.a_multiplier, node.a_shift, *second
            final = node.multiplier, node.shift, *output, node.subtract
            if not counted:
                return rescaled_add_codes(*scaled, *final), None, None
            result, clipped = rescaled_add_with_clips(*scaled, *final)
        case Product():
            factors = x, zero, operands[1], sources[1].zero_point, node.multiplier, node.shift
            if not counted:
                return product(*factors, *output), None, None
            result, clipped = product_with_clips(*factors, *output)
        case AveragePool() if node.raw:
            if (node.scale, node.zero_point) != (sources[0].scale, zero):
                raise ValueError("an average of raw codes must have the scale and zero point of its input")
            result = raw_average_pool(
                _as_maps(x),
                node.kernel,
                node.strides,
                node.padding,
                node.dilations,
                y_min=node.y_min,
                y_max=node.y_max,
                arithmetic=arithmetic,
            )
            return _as(x, result), None, None
        case AveragePool():
            pool = node.kernel, node.strides, node.padding, node.dilations
            mean: dict[str, Any] = {
                "x_zero_point": zero,
                "multiplier": node.multiplier,
                "shift": node.shift,
                "zero_point": node.zero_point,
                "y_min": node.y_min,
                "y_max": node.y_max,
                "arithmetic": arithmetic,
            }
            if not counted:
                return _as(x, average_pool(_as_maps(x), *pool, **mean)), None, None
            result, clipped = average_pool_with_clips(_as_maps(x), *pool, **mean)
            result, clipped = _as(x, result), _as(x, clipped)
        case Rescale():
            if not counted:
                return rescale(x, zero, node.multiplier, node.shift, *output), None, None
            result, clipped = rescale_with_clips(x, zero, node.multiplier, node.shift, *output)
        case Softmax() | LayerNorm() | RMSNorm():
            result, clipped = row_codes(node, x, sources[0], arithmetic)
        case MaxPool():
            return _as(x, max_pool(_as_maps(x), node.kernel, node.strides, node.padding, node.dilations)), None, None
        case LookupTable():
            return lookup(x, node.table, arithmetic), None, None
        case Transpose():
            return transpose(x, node.axes), None, None
        case Concat():
            if any((s.scale, s.zero_point) != (node.scale, node.zero_point) for s in sources):
                raise ValueError("inputs must have the scale and zero point of the output")
            return concat(operands, node.axis), None, None
        case Slice():
            return slice_codes(x, node.axis, node.start, node.stop, node.step), None, None
        case Pad():
            return _as(x, pad(_as_maps(x), node.padding, zero)), None, None
        case Reshape():
            return x.reshape(x.shape[0], *node.shape), None, None
        case _:
            raise TypeError(f"node must be one of the graph's operations, not {type(node).__name__}")
    return result, None, clipped


def _weighted(
    node: Convolution | Linear | MatrixProduct,
    acc: NDArray[np.int64],
    overflowed: Flags,
    arithmetic: Arithmetic,
    counted: bool,
) -> tuple[NDArray[Any], Flags, Flags | None]:
    if not isinstance(node, MatrixProduct) and node.raw:
        return acc, overflowed, None
    output = (node.zero_point, node.y_min, node.y_max, arithmetic)
    if not counted:
        return requantize(acc, node.multiplier, node.shift, *output), overflowed, None
    result, clipped = requantize_with_clips(acc, node.multiplier, node.shift, *output)
    return result, overflowed, clipped


def _as_maps(x: Codes) -> Codes:
    """Sequences (batch, length, channels) as maps of height 1; anything else as it is."""
    return x[:, None] if x.ndim == 3 else x


def _as(x: Codes, result: NDArray[Scalar]) -> NDArray[Scalar]:
    """What was made of the maps of `x`, with the axes of `x`."""
    if x.ndim == 3 and result.shape[1] != 1:
        raise ValueError(f"kernel and padding must keep a sequence's height of 1, not make it {result.shape[1]}")
    return result[:, 0] if x.ndim == 3 else result
