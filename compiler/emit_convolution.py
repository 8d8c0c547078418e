"""Convolutions and linear layers: LOAD, CONVOLVE, REQUANTIZE and STORE, tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emulator.graph import Codes, Convolution, Linear, Tensor
from emulator.instructions import Opcode, Target, largest

from .emitter import WORK_ROW, CompileError, Emitter
from .tiling import Axis, Segment, Span, Tile, in_range, segments, spans, tiles


@dataclass(frozen=True)
class Block:
    """Output channels of one column block, with the input channels that reach them and the dense weights between."""

    outputs: Span
    inputs: Span
    weight: Codes


def as_convolution(node: Linear) -> Convolution:
    """A linear layer as a 1×1 convolution of a map with one pixel."""
    return Convolution(
        name=node.name,
        shape=(1, 1, node.weight.shape[1]),
        scale=node.scale,
        zero_point=node.zero_point,
        y_min=node.y_min,
        y_max=node.y_max,
        inputs=node.inputs,
        weight=np.ascontiguousarray(node.weight.T)[:, None, None, :],
        bias=node.bias,
        multiplier=node.multiplier,
        shift=node.shift,
    )


def blocks(node: Convolution, columns: int) -> list[Block]:
    """Column blocks. With groups, a block's weights are dense with zeros: they change no sum, whatever the mode."""
    total, height, width, depth = node.weight.shape
    per_group = total // node.groups
    made = []
    for outputs in spans(total, columns):
        first = outputs.first // per_group * depth
        inputs = Span(first, (outputs.last - 1) // per_group * depth + depth)
        weight = np.zeros((len(outputs), height, width, len(inputs)), np.int8)
        for channel in range(outputs.first, outputs.last):
            at = channel // per_group * depth - first
            weight[channel - outputs.first, :, :, at : at + depth] = node.weight[channel]
        made.append(Block(outputs, inputs, weight))
    return made


def weight_tiles(block: Block, rows: int, columns: int) -> Codes:
    """(tiles, rows, columns) codes in the order (kernel row, kernel column, channel), filled up with zeros."""
    count, height, width, depth = block.weight.shape
    channel_rows = -(-depth // rows)
    padded = np.zeros((columns, height, width, channel_rows * rows), np.int8)
    padded[:count, :, :, :depth] = block.weight
    return np.ascontiguousarray(padded.transpose(1, 2, 3, 0).reshape(-1, rows, columns))


def emit_convolution(emitter: Emitter, node: Convolution, source: Tensor) -> None:
    """Emit a convolution; the input lies at `source`'s region, the output goes to the node's."""
    config = emitter.config
    _, kernel_height, kernel_width, _ = node.weight.shape
    in_height, in_width, _ = source.shape
    vertical = Axis(in_height, kernel_height, node.strides[0], node.dilations[0], node.padding[0])
    horizontal = Axis(in_width, kernel_width, node.strides[1], node.dilations[1], node.padding[1])
    capacity = min(config.weight_depth // config.rows, largest(Opcode.LOAD, "lines"))
    positions = min(config.accumulator_depth, emitter.work_rows)
    # What one LOAD brings and one CONVOLVE walks.
    channel_rows_most = min(
        largest(Opcode.CONVOLVE, "channel_rows"), largest(Opcode.LOAD, "pixel_bytes") // config.rows
    )
    whole = Span(0, kernel_height), Span(0, kernel_width)

    for block in blocks(node, config.columns):
        channel_rows = -(-len(block.inputs) // config.rows)

        def fits(tile: Tile, channel_rows: int = channel_rows) -> bool:
            lines, pixels = vertical.inputs(tile.rows, whole[0]), horizontal.inputs(tile.columns, whole[1])
            # A tile inside the map sees more input than one at its edge, and all tiles share one size.
            lines_most = min(
                (len(tile.rows) - 1) * vertical.stride + (kernel_height - 1) * vertical.dilation + 1, in_height
            )
            pixels_most = min(
                (len(tile.columns) - 1) * horizontal.stride + (kernel_width - 1) * horizontal.dilation + 1, in_width
            )
            lines_most, pixels_most = max(len(lines), lines_most), max(len(pixels), pixels_most)
            return (
                tile.positions <= positions
                and lines_most * pixels_most * channel_rows <= config.activation_depth
                and channel_rows <= channel_rows_most
                and in_range(tile, lines_most, pixels_most)
            )

        out_rows, out_columns = Span(0, node.shape[0]), Span(0, node.shape[1])
        cut, at_once = tiles(out_rows, out_columns, fits), None
        if cut is None:
            at_once = min(config.activation_depth, channel_rows_most)
            cut = tiles(out_rows, out_columns, lambda tile: tile.positions == 1)
            assert cut is not None
        pieces = segments((kernel_height, kernel_width), channel_rows, capacity, at_once)
        address = emitter.constant(weight_tiles(block, config.rows, config.columns))
        lanes = slice(block.outputs.first, block.outputs.last)
        emitter.parameters(node.bias[lanes], node.multiplier[lanes], node.shift[lanes])
        for tile in cut:
            for piece in pieces:
                _convolve(emitter, node, source, block, tile, piece, address, (vertical, horizontal), at_once is None)
            _post_process(emitter, node, block, tile)
        emitter.count(node.name, block.outputs.first, len(block.outputs))


def _convolve(
    emitter: Emitter,
    node: Convolution,
    source: Tensor,
    block: Block,
    tile: Tile,
    piece: Segment,
    weights: int,
    axes: tuple[Axis, Axis],
    whole_window: bool,
) -> None:
    """One piece of K for one tile: load what is missing, then CONVOLVE."""
    config, vertical, horizontal = emitter.config, *axes
    tile_bytes = config.rows * config.columns
    emitter.load(
        Target.WEIGHT,
        weights + piece.first_tile * tile_bytes,
        piece.tiles,
        tile_bytes,
        config.rows,
        config.columns,
        config.columns,
    )
    channel_rows = -(-len(block.inputs) // config.rows)
    rows, columns, channels = piece.kernel_rows, piece.kernel_columns, piece.channels
    if whole_window:
        rows, columns, channels = Span(0, vertical.kernel), Span(0, horizontal.kernel), Span(0, channel_rows)
    lines, pixels = vertical.inputs(tile.rows, rows), horizontal.inputs(tile.columns, columns)
    first = block.inputs.first + channels.first * config.rows
    last = min(block.inputs.first + channels.last * config.rows, block.inputs.last)
    depth = source.shape[2]
    region = emitter.regions[source.name]
    emitter.load(
        Target.ACTIVATION,
        region.address + (lines.first * source.shape[1] + pixels.first) * depth + first,
        len(lines),
        source.shape[1] * depth,
        len(pixels),
        depth,
        last - first,
    )
    emitter.emit(
        Opcode.CONVOLVE,
        input_row=piece.channels.first - channels.first,
        weight_row=0,
        accumulator_row=0,
        output_height=len(tile.rows),
        output_width=len(tile.columns),
        kernel_height=len(piece.kernel_rows),
        kernel_width=len(piece.kernel_columns),
        input_height=len(lines),
        input_width=len(pixels),
        stride_height=vertical.stride,
        stride_width=horizontal.stride,
        dilation_height=vertical.dilation,
        dilation_width=horizontal.dilation,
        pad_top=vertical.pad(tile.rows, piece.kernel_rows, lines),
        pad_left=horizontal.pad(tile.columns, piece.kernel_columns, pixels),
        channel_rows=len(piece.channels),
        pixel_rows=len(channels),
        zero_point=source.zero_point,
        carry=int(piece.first_tile > 0),
    )


def _post_process(emitter: Emitter, node: Convolution, block: Block, tile: Tile) -> None:
    """Requantize a tile's sums and store the codes."""
    _, width, depth = node.shape
    emitter.emit(
        Opcode.REQUANTIZE,
        accumulator_row=0,
        output_row=WORK_ROW,
        count=tile.positions,
        zero_point=node.zero_point,
        y_min=node.y_min,
        y_max=node.y_max,
    )
    address = emitter.regions[node.name].address
    emitter.emit(
        Opcode.STORE,
        memory_address=address + (tile.rows.first * width + tile.columns.first) * depth + block.outputs.first,
        row=WORK_ROW,
        lines=len(tile.rows),
        line_stride=width * depth,
        pixels=len(tile.columns),
        pixel_stride=depth,
        pixel_bytes=len(block.outputs),
    )


def check_bias(node: Convolution | Linear, low: int, high: int) -> None:
    """Raise `CompileError` for a bias outside min(P, 32) bits."""
    wrong = np.flatnonzero((node.bias < low) | (node.bias > high))
    if len(wrong):
        channel = wrong[0]
        raise CompileError(
            f"layer {node.name!r}: the bias of channel {channel} must be from {low} to {high}, not {node.bias[channel]}"
        )
