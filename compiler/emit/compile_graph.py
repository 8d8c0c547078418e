"""`compile_graph`: the integer `Graph` becomes a `Program` for one `AcceleratorConfig`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.graph import (
    Add,
    AveragePool,
    Concat,
    ConstantTensor,
    Convolution,
    Graph,
    Linear,
    LookupTable,
    MatrixProduct,
    MaxPool,
    Pad,
    Product,
    Rescale,
    RescaledAdd,
    Reshape,
    Slice,
    Transpose,
    to_file_layout,
)
from emulator.graph.macs import node_macs
from emulator.graph.run import run_graph
from emulator.program import Program, Region

from .assemble import assemble
from .collector import without_collector
from .compile_error import CompileError
from .convolution import ConvolutionEmitter
from .copy import emit_copy
from .cut.column_blocks import as_convolution, check_bias
from .cut.depthwise_cut import DepthwiseCut, runs_in_lanes
from .cut.maps import Map, as_map, as_vector
from .cut.packing import Border, border, narrow, outputs_together, packed, packs, together, turned
from .cut.piecewise_cut import runs_piecewise
from .cut.side_by_side import border_together, pixels_together, side_by_side
from .depthwise import DepthwiseEmitter
from .emitter import Emitter
from .features import check_features
from .fuse import Step, fuse
from .host_rows import without_rows
from .matrix_product import emit_matrix_product
from .piecewise import PiecewiseEmitter
from .placement import Inside, pad_offset
from .pool import emit_average_pool, emit_max_pool
from .post import Post, adder_fields
from .reduce import emit_elementwise
from .transposition import emit_transposed
from .turns import emit_layer


@without_collector()
def compile_graph(graph: Graph, config: AcceleratorConfig) -> Program:
    """Compile a graph for one accelerator; the program runs one sample.

    The codes of every layer that is not fused into the next one have a place in the memory map, so that all of them
    can be compared after a run; but not those of a reshape or a transpose that nobody reads.

    Layers by rows (softmax, norms) in front of all layers with weights, or behind them, are the program's head and
    tail, which compute the same integers.

    Raises `CompileError` (a ``ValueError``) naming the layer and the reason for what the accelerator cannot run and for
    a graph that `run_graph` refuses, ``ValueError`` if graph and config differ in their arithmetic, and ``TypeError``
    for anything but a `Graph` and an `AcceleratorConfig`.
    """
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a Graph, as load_onnx gives it, not {type(graph).__name__}")
    if not isinstance(config, AcceleratorConfig):
        raise TypeError(f"config must be an AcceleratorConfig, not {type(config).__name__}")
    if graph.arithmetic != config.arithmetic:
        ours, theirs = config.arithmetic.as_dict(), graph.arithmetic.as_dict()
        name = next(name for name in ours if ours[name] != theirs[name])
        raise ValueError(f"{name} must be the graph's {theirs[name]!r} in the config, not {ours[name]!r}")
    _check(graph)
    graph = without_rows(graph)
    check_features(graph, config)
    graph = _without_unread_moves(graph)
    in_lanes = [node.name for node in graph.nodes if isinstance(node, Convolution) and runs_in_lanes(node, config)]
    steps = fuse(graph, in_lanes)
    emitter = Emitter(graph, config, {layer.name for step in steps for layer in step.layers[:-1]})
    macs = 0
    for step in steps:
        emitter.begin(step.main.name, step.layers[-1].name)
        _emit(emitter, step)
        macs += node_macs(step.main)
    return assemble(emitter, macs)


def _check(graph: Graph) -> None:
    """Raise `CompileError` for what `run_graph` refuses: its operators check every shape and every range."""
    for node in graph.nodes:
        if isinstance(node, Convolution | Linear):
            check_bias(node, *graph.arithmetic.bias_range)
    graph = replace(graph, head=None, tail=None)
    nothing = {t.name: to_file_layout(t, np.empty((0, *t.shape), np.int8)) for t in graph.inputs}
    try:
        run_graph(graph, nothing)
    except (TypeError, ValueError) as error:
        raise CompileError(str(error)) from None


def _without_unread_moves(graph: Graph) -> Graph:
    """Without reshapes and transposes that nobody reads: a reader of files notes what each operator of it makes."""
    read, kept = set(graph.outputs.values()), []
    for node in reversed(graph.nodes):
        if node.name in read or not isinstance(node, Reshape | Transpose):
            kept.append(node)
            read.update(node.inputs)
    return replace(graph, nodes=tuple(kept[::-1]))


def _emit(emitter: Emitter, step: Step) -> None:
    """Emit some layers that are fused, or one."""
    node, last = step.main, step.layers[-1]
    sources = [emitter.region(name) for name in node.inputs]
    target = emitter.region(last.name)
    if last.name in emitter.placement.views or isinstance(node, ConstantTensor):
        return
    if isinstance(node, Pad | Concat | Slice | Transpose):
        _emit_move(emitter, node, sources, target)
        return
    post = Post(last, table=step.table)
    if step.add is not None:
        operand = emitter.region(step.operand)
        zero_points = node.zero_point, operand.tensor.zero_point
        post.add, post.operand = step.add, as_map(operand)
        post.adder = adder_fields(step.add, zero_points[::-1] if step.swapped else zero_points, step.swapped)
    match node:
        case Linear():
            layer = ConvolutionEmitter(emitter, as_convolution(node), as_vector(sources[0]), as_map(target), post)
            emit_layer(layer)
        case Convolution():
            _emit_convolution(emitter, node, as_map(sources[0]), as_map(target), post)
        case MatrixProduct():
            emit_matrix_product(emitter, node, sources, target, post)
        case AveragePool():
            emit_average_pool(emitter, node, as_map(sources[0]), as_map(target), post)
        case MaxPool():
            emit_max_pool(emitter, node, as_map(sources[0]), as_map(target), post)
        case Add() | RescaledAdd() | Product() | Rescale() | LookupTable():
            if isinstance(node, Add | RescaledAdd):
                zero_points = sources[0].tensor.zero_point, sources[1].tensor.zero_point
                post.add, post.adder = node, adder_fields(node, zero_points)
            if isinstance(node, LookupTable):
                post.table = node
            maps = tuple(_broadcast(emitter, source, node.shape) for source in sources)
            emit_elementwise(emitter, node, maps, as_map(target), post)
        case _:
            raise CompileError(
                f"layer {node.name!r} ({type(node).__name__}): the accelerator has no instruction for this operator"
            )


def _broadcast(emitter: Emitter, source: Region, shape: tuple[int, ...]) -> Map:
    """A tensor as a map of `shape`: pixels that are read again and again; channels must be copied side by side."""
    if source.tensor.shape == shape:
        return as_map(source)
    steps = tuple(0 if size == 1 else step for size, step in zip(source.tensor.shape, source.steps, strict=True))
    spread = replace(source.tensor, shape=shape)
    if source.tensor.shape[-1] == shape[-1]:
        return as_map(Region(source.address, spread, (*steps[:-1], 1)))
    copy = Region(emitter.reserve(math.prod(shape)), spread)
    emit_copy(emitter, source, steps, copy)
    return as_map(copy)


def _emit_convolution(emitter: Emitter, node: Convolution, source: Map, target: Map, post: Post) -> None:
    """Emit a convolution; K is packed where pixels lie side by side and the columns of padding in memory."""
    if runs_in_lanes(node, emitter.config):
        DepthwiseEmitter(emitter, _depthwise_cut(emitter, node, source, target), post).emit()
        return
    groups: Sequence[int] = emitter.stored_channels.get(node.inputs[0], ())
    if source.block:
        groups = range(source.block, source.depth, source.block)
    if runs_piecewise(node, source, target, post.operand, groups, emitter.config):
        PiecewiseEmitter(emitter, node, source, target, post, groups).emit()
        return
    there = emitter.placement.borders.get(node.inputs[0], Border())
    if there.turned:
        node, source, target = turned(node), source.turned(), target.turned()
        post.operand = post.operand.turned() if post.operand is not None else None
    wanted = replace(border(node, source.width), turned=there.turned)
    fits = packs(node, emitter.config.rows) or narrow(node, emitter.config.rows)
    if fits and source.pixel_stride == source.depth and there.holds(wanted):
        node, source = packed(node, source)
        outputs = outputs_together(node, source, target, emitter.config)
        if outputs > 1 and (post.operand is None or post.operand.pixel_stride == post.operand.depth):
            node, source, target, post.operand = together(node, outputs, source, target, post.operand)
    emit_layer(ConvolutionEmitter(emitter, node, source, target, post))


def _depthwise_cut(emitter: Emitter, node: Convolution, source: Map, target: Map) -> DepthwiseCut:
    """With neighbouring outputs side by side, where their input's map and their own allow it."""
    config, there = emitter.config, emitter.placement.borders.get(node.inputs[0], Border())
    count = pixels_together(node, source.zero_point, config)
    alike = source.pixel_stride == source.depth and target.pixel_stride == target.depth
    if count > 1 and alike and there.holds(border_together(node, source.width, count)):
        cut = side_by_side(node, source, target, count, config)
        if len(cut.pieces) == 1:
            return cut
    return DepthwiseCut(config, node, source, target)


def _emit_move(emitter: Emitter, node: Pad | Concat | Slice | Transpose, sources: list[Region], target: Region) -> None:
    """Copy what does not lie in its place yet."""
    if isinstance(node, Transpose):
        order = tuple(sources[0].steps[axis - 1] for axis in node.axes[1:])
        if not emit_transposed(emitter, sources[0], order, target):
            emit_copy(emitter, sources[0], order, target)
        return
    if isinstance(node, Slice):
        axis = node.axis % (len(node.shape) + 1) - 1
        steps = list(sources[0].steps)
        shown = Region(sources[0].address + node.start * steps[axis], node)
        steps[axis] *= node.step
        emit_copy(emitter, shown, tuple(steps), target)
        return
    offset = [0] * len(node.shape)
    if isinstance(node, Pad):
        offset = pad_offset(node)
    axis = 0 if isinstance(node, Pad) else node.axis % (len(node.shape) + 1) - 1
    seen: set[str] = set()
    for source in sources:
        name = source.tensor.name
        if name in seen or emitter.placement.inside.get(name) != Inside(node.name, tuple(offset)):
            address = target.address + sum(n * step for n, step in zip(offset, target.steps, strict=True))
            emit_copy(emitter, source, source.steps, Region(address, source.tensor, target.steps))
        seen.add(name)
        offset[axis] += source.tensor.shape[axis]
