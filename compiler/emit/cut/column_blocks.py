"""Column blocks: output channels that the columns compute together, and their weights as the array takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emulator.graph import Codes, Convolution, Integers, Linear

from ..compile_error import CompileError
from .tiling import Span, spans


@dataclass(frozen=True)
class Block:
    """Output channels of one column block, with the input channels that reach them and the dense weights between.

    zero_point : of the weights of each output channel
    """

    outputs: Span
    inputs: Span
    weight: Codes
    zero_point: Integers


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
        weight_zero_point=node.weight_zero_point,
        raw=node.raw,
    )


def blocks(node: Convolution, columns: int) -> list[Block]:
    """Column blocks. With groups, a block's weights are dense with real zeros: they change no sum in any mode."""
    zero_points = weight_zero_points(node)
    total, height, width, depth = node.weight.shape
    per_group = total // node.groups
    made = []
    for outputs in spans(total, columns):
        first = outputs.first // per_group * depth
        inputs = Span(first, (outputs.last - 1) // per_group * depth + depth)
        zero_point = zero_points[outputs.first : outputs.last]
        if node.groups == 1:
            made.append(Block(outputs, inputs, node.weight[outputs.first : outputs.last], zero_point))
            continue
        weight = np.empty((len(outputs), height, width, len(inputs)), np.int8)
        weight[...] = zero_point[:, None, None, None]
        for channel in range(outputs.first, outputs.last):
            at = channel // per_group * depth - first
            weight[channel - outputs.first, :, :, at : at + depth] = node.weight[channel]
        made.append(Block(outputs, inputs, weight, zero_point))
    return made


def weight_tiles(block: Block, rows: int, columns: int) -> Codes:
    """(tiles, rows, columns) codes in the order (kernel row, kernel column, channel), filled up with real zeros."""
    count, height, width, depth = block.weight.shape
    channel_rows = -(-depth // rows)
    padded = np.zeros((columns, height, width, channel_rows * rows), np.int8)
    padded[:count] = block.zero_point[:, None, None, None]
    padded[:count, :, :, :depth] = block.weight
    return np.ascontiguousarray(padded.transpose(1, 2, 3, 0).reshape(-1, rows, columns))


def weight_zero_points(node: Convolution | Linear) -> Integers:
    """(O,) zero points of the weights, one per output channel."""
    return np.zeros(len(node.bias), np.int64) if node.weight_zero_point is None else node.weight_zero_point


def check_bias(node: Convolution | Linear, low: int, high: int) -> None:
    """Raise `CompileError` for a bias outside min(P, 32) bits."""
    wrong = np.flatnonzero((node.bias < low) | (node.bias > high))
    if len(wrong):
        channel = wrong[0]
        raise CompileError(
            f"layer {node.name!r}: the bias of channel {channel} must be from {low} to {high}, not {node.bias[channel]}"
        )
