"""Pools, by REDUCE; windows that the operand scratchpad cannot hold in several steps, or as a convolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from emulator.graph import AveragePool, Convolution, Integers, MaxPool, map_size
from emulator.instructions import Mode
from emulator.operators.raw_average_pool import raw_average_multipliers

from .compile_error import CompileError
from .convolution import ConvolutionEmitter
from .cut.maps import Map
from .cut.tiling import KERNEL_MOST, Axis, Span, Tile, in_range
from .emitter import Emitter
from .post import Post
from .reduce import Axes, ReduceEmitter, has_room


@dataclass(frozen=True)
class Window:
    """A pool's window: (vertical, horizontal) kernel, strides and dilations, padding above and to the left."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: tuple[int, int]

    def axes(self, source: Map) -> Axes:
        """The window over a map."""
        sizes = source.height, source.width
        vertical, horizontal = (
            Axis(sizes[i], self.kernel[i], self.strides[i], self.dilations[i], self.padding[i]) for i in range(2)
        )
        return vertical, horizontal

    def on(self, axis: int) -> Window:
        """The part of the window along one axis; the other one passes."""

        def only(pair: tuple[int, int], other: int) -> tuple[int, int]:
            return (pair[0], other) if axis == 0 else (other, pair[1])

        return Window(only(self.kernel, 1), only(self.strides, 1), only(self.dilations, 1), only(self.padding, 0))


def _fits(emitter: Emitter, axes: Axes, tile: Tile, group: int) -> bool:
    height, width = (
        min((len(span) - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1, axis.size)
        for span, axis in zip((tile.rows, tile.columns), axes, strict=True)
    )
    return (
        in_range(tile, height, width)
        and max(axes[0].kernel, axes[1].kernel) <= KERNEL_MOST
        and has_room(emitter, height * width, tile.positions, group)
    )


def _one_fits(emitter: Emitter, axes: Axes) -> bool:
    """Whether the window of one position fits the operand scratchpad."""
    return _fits(emitter, axes, Tile(Span(0, 1), Span(0, 1)), 0)


def emit_max_pool(emitter: Emitter, node: MaxPool, source: Map, target: Map, post: Post) -> None:
    """Emit a maximum pool."""
    low, high = emitter.config.arithmetic.activation_range
    padding = node.padding[0], node.padding[1]
    window = Window(node.kernel, node.strides, node.dilations, padding)
    clamp = 0, max(node.y_min, low), min(node.y_max, high)  # a maximum passes the requantizer as code · 1 / 2^0 + 0
    emitter.prepare(post)
    _emit_maximum(emitter, node, window, source, target, post, clamp)


def _emit_maximum(
    emitter: Emitter,
    node: MaxPool,
    window: Window,
    source: Map,
    target: Map,
    post: Post,
    clamp: tuple[int, int, int],
) -> None:
    """A maximum; if the window is too large, the maximum of maxima that are kept in external memory."""
    axes = window.axes(source)
    if _one_fits(emitter, axes):
        reducer = ReduceEmitter(emitter, node, (source,), target, post, Mode.MAXIMUM, (0, 0), clamp, counted=False)
        area = Tile(Span(0, target.height), Span(0, target.width))
        reducer.emit(lambda tile, group: _fits(emitter, axes, tile, group), area, 1, 0, axes)
        return
    size = [source.height, source.width]
    if min(window.kernel) > 1:
        first, second = window.on(1), window.on(0)
        size[1] = target.width
    else:
        # Two overlapping halves of the window: their maxima at every position, then the maximum of two of them.
        axis = window.kernel.index(max(window.kernel))
        half = -(-window.kernel[axis] // 2)
        step = (window.kernel[axis] - half) * window.dilations[axis]
        outputs = (target.height, target.width)[axis]
        size[axis] = (outputs - 1) * window.strides[axis] + step + 1
        first = replace(window, kernel=_with(window.kernel, axis, half), strides=_with(window.strides, axis, 1))
        second = Window(
            _with((1, 1), axis, 2), window.strides, _with((1, 1), axis, step), _with(window.padding, axis, 0)
        )
        other = 1 - axis
        first = replace(first, strides=_with(first.strides, other, 1), padding=_with(first.padding, other, 0))
    depth = source.depth
    address = emitter.reserve(size[0] * size[1] * depth)
    between = replace(
        source,
        address=address,
        height=size[0],
        width=size[1],
        line_stride=size[1] * depth,
        pixel_stride=depth,
    )
    everything = 0, *emitter.config.arithmetic.activation_range
    _emit_maximum(emitter, node, first, source, between, Post(node), everything)
    _emit_maximum(emitter, node, second, between, target, post, clamp)


def _with(pair: tuple[int, int], axis: int, value: int) -> tuple[int, int]:
    return (value, pair[1]) if axis == 0 else (pair[0], value)


def emit_average_pool(emitter: Emitter, node: AveragePool, source: Map, target: Map, post: Post) -> None:
    """Emit an average pool; the zero points of raw codes count as 0."""
    if node.raw:
        node, source = _reciprocal(emitter, node, source), replace(source, zero_point=0)
    window = Window(node.kernel, node.strides, node.dilations, (node.padding[0], node.padding[1]))
    axes = window.axes(source)
    if not _one_fits(emitter, axes):
        _emit_as_convolution(emitter, node, source, target, post)
        return
    emitter.prepare(post)
    clamp = node.zero_point, node.y_min, node.y_max
    zero_points = source.zero_point, 0
    reducer = ReduceEmitter(emitter, node, (source,), target, post, Mode.SUM, zero_points, clamp, not node.raw)
    for area, multiplier, shift in uniform_tiles(node):
        reducer.emit(lambda tile, group: _fits(emitter, axes, tile, group), area, multiplier, shift, axes)


def _reciprocal(emitter: Emitter, node: AveragePool, source: Map) -> AveragePool:
    """A pool of raw codes with the multipliers that make its mean exactly, whatever those of the node are."""
    size, geometry = (source.height, source.width), (node.kernel, node.strides, node.padding, node.dilations)
    try:
        multiplier, shift = raw_average_multipliers(size, *geometry, arithmetic=emitter.config.arithmetic)
    except ValueError as error:
        raise CompileError(f"layer {node.name!r}: {error}") from None
    return replace(node, multiplier=multiplier, shift=shift, zero_point=0)


def _emit_as_convolution(emitter: Emitter, node: AveragePool, source: Map, target: Map, post: Post) -> None:
    """The sum of a window as a depthwise convolution with weights of 1, where no sum can leave the accumulator."""
    arithmetic, depth = emitter.config.arithmetic, source.depth
    low, high = arithmetic.activation_range
    area, limit = node.kernel[0] * node.kernel[1], 1 << (arithmetic.accumulator_bits - 1)
    if area * (high - source.zero_point) >= limit or area * (source.zero_point - low) > limit:
        raise CompileError(
            f"layer {node.name!r}: its window of {area} positions fits neither the operand scratchpad "
            f"(operand_scratchpad_bytes), nor its sum an accumulator of {arithmetic.accumulator_bits} bits"
        )
    zeros = np.zeros(depth, np.int64)
    for tile, multiplier, shift in uniform_tiles(node):
        top, left = (
            node.padding[0] - tile.rows.first * node.strides[0],
            node.padding[1] - tile.columns.first * node.strides[1],
        )
        convolution = Convolution(
            name=node.name,
            shape=(len(tile.rows), len(tile.columns), depth),
            scale=node.scale,
            zero_point=node.zero_point,
            y_min=node.y_min,
            y_max=node.y_max,
            inputs=node.inputs,
            weight=np.ones((depth, *node.kernel, 1), np.int8),
            bias=zeros,
            multiplier=zeros + multiplier,
            shift=zeros + shift,
            strides=node.strides,
            padding=(top, left, 0, 0),
            dilations=node.dilations,
            groups=depth,
        )
        part = replace(
            target,
            address=target.at(tile.rows.first, tile.columns.first),
            height=len(tile.rows),
            width=len(tile.columns),
        )
        ConvolutionEmitter(emitter, convolution, source, part, post).emit()


def uniform_tiles(node: AveragePool) -> Iterator[tuple[Tile, int, int]]:
    """Rectangles of positions that share (multiplier, shift): padding that is not counted changes the divisor."""
    height, width = map_size(node)
    pair: Integers = np.stack(
        [np.broadcast_to(node.multiplier, (height, width)), np.broadcast_to(node.shift, (height, width))]
    )
    for rows in _runs(pair):
        for columns in _runs(pair[:, rows.first : rows.last].swapaxes(1, 2)):
            at = rows.first, columns.first
            yield Tile(rows, columns), int(pair[0][at]), int(pair[1][at])


def _runs(values: Integers) -> list[Span]:
    """Runs of equal slices along axis 1."""
    change = np.flatnonzero((values[:, 1:] != values[:, :-1]).any(axis=(0, 2))) + 1
    edges = [0, *change.tolist(), values.shape[1]]
    return [Span(first, last) for first, last in pairwise(edges)]
