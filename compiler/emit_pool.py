"""Pools: LOAD, POOL and STORE, tile by tile, one block of channels after the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from emulator.graph import AveragePool, Integers, MaxPool, Tensor
from emulator.instructions import Opcode, Target

from .emitter import WORK_ROW, CompileError, Emitter
from .tiling import Axis, Span, Tile, in_range, spans, tiles


def uniform_tiles(node: AveragePool | MaxPool) -> Iterator[tuple[Tile, int, int]]:
    """Rectangles of positions that share (multiplier, shift): padding that is not counted changes the divisor."""
    height, width, _ = node.shape
    if isinstance(node, MaxPool):
        yield Tile(Span(0, height), Span(0, width)), 1, 0
        return
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


def emit_pool(emitter: Emitter, node: AveragePool | MaxPool, source: Tensor) -> None:
    """Emit a pool; the input lies at `source`'s region, the output goes to the node's."""
    config = emitter.config
    in_height, in_width, _ = source.shape
    dilations = node.dilations if isinstance(node, MaxPool) else (1, 1)
    vertical = Axis(in_height, node.kernel[0], node.strides[0], dilations[0], node.padding[0])
    horizontal = Axis(in_width, node.kernel[1], node.strides[1], dilations[1], node.padding[1])

    def inputs(tile: Tile) -> tuple[int, int]:
        height, width = (
            min((len(span) - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1, axis.size)
            for span, axis in ((tile.rows, vertical), (tile.columns, horizontal))
        )
        return height, width

    def fits(tile: Tile) -> bool:
        height, width = inputs(tile)
        return height * width + tile.positions <= emitter.work_rows and in_range(tile, height, width)

    for outputs in spans(node.shape[2], config.columns):
        for area, multiplier, shift in uniform_tiles(node):
            cut = tiles(area.rows, area.columns, fits)
            if cut is None:
                height, width = inputs(Tile(Span(0, 1), Span(0, 1)))
                need = height * width + 1 + WORK_ROW
                raise CompileError(
                    f"layer {node.name!r}: its pooling window needs {need} rows of the output scratchpad, "
                    f"which has {config.output_depth} (output_scratchpad_bytes)"
                )
            lanes = len(outputs)
            zeros = np.zeros(lanes, np.int64)
            emitter.parameters(zeros, zeros + multiplier, zeros + shift)
            for tile in cut:
                _pool(emitter, node, source, outputs, tile, (vertical, horizontal))
        if isinstance(node, AveragePool):
            emitter.count(node.name, outputs.first, len(outputs))


def _pool(
    emitter: Emitter,
    node: AveragePool | MaxPool,
    source: Tensor,
    outputs: Span,
    tile: Tile,
    axes: tuple[Axis, Axis],
) -> None:
    """One tile of one block of channels."""
    vertical, horizontal = axes
    kernel = Span(0, vertical.kernel), Span(0, horizontal.kernel)
    lines, pixels = vertical.inputs(tile.rows, kernel[0]), horizontal.inputs(tile.columns, kernel[1])
    depth = source.shape[2]
    average = isinstance(node, AveragePool)
    emitter.load(
        Target.OUTPUT,
        emitter.regions[source.name].address + (lines.first * source.shape[1] + pixels.first) * depth + outputs.first,
        len(lines),
        source.shape[1] * depth,
        len(pixels),
        depth,
        len(outputs),
        WORK_ROW,
    )
    results = WORK_ROW + len(lines) * len(pixels)
    emitter.emit(
        Opcode.POOL,
        input_row=WORK_ROW,
        output_row=results,
        output_height=len(tile.rows),
        output_width=len(tile.columns),
        kernel_height=vertical.kernel,
        kernel_width=horizontal.kernel,
        input_height=len(lines),
        input_width=len(pixels),
        stride_height=vertical.stride,
        stride_width=horizontal.stride,
        dilation_height=vertical.dilation,
        dilation_width=horizontal.dilation,
        pad_top=vertical.pad(tile.rows, kernel[0], lines),
        pad_left=horizontal.pad(tile.columns, kernel[1], pixels),
        average=int(average),
        input_zero_point=source.zero_point,
        # A maximum passes the requantizer as code · 1 / 2^0 + 0.
        zero_point=node.zero_point if average else 0,
        y_min=node.y_min,
        y_max=node.y_max,
    )
    _, width, out_depth = node.shape
    emitter.emit(
        Opcode.STORE,
        memory_address=emitter.regions[node.name].address
        + (tile.rows.first * width + tile.columns.first) * out_depth
        + outputs.first,
        row=results,
        lines=len(tile.rows),
        line_stride=width * out_depth,
        pixels=len(tile.columns),
        pixel_stride=out_depth,
        pixel_bytes=len(outputs),
    )
