"""How a pointwise convolution is cut whose input comes some channels after the others: pieces of K, and what fits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from emulator.config import AcceleratorConfig
from emulator.graph import Convolution
from emulator.instructions import PARAMETER_ENTRIES

from .maps import Map
from .output_room import output_room
from .tiling import MAP_MOST, Span

PIECES_MOST = 4
"""Pieces of K: each of them takes the sums once more through the accumulators."""
LEAST_POSITIONS = 24
"""Positions below which a block's sums would come too late for its next piece."""


def runs_piecewise(
    node: Convolution, source: Map, target: Map, operand: Map | None, groups: Sequence[int], config: AcceleratorConfig
) -> bool:
    """Whether a convolution is pointwise, its input comes in several pieces, and it and its weights fit."""
    maps = [source, target, *([operand] if operand is not None else [])]
    positions, rows = target.height * target.width, -(-source.depth // config.rows)
    return (
        suits(node, positions, operand is not None, config)
        and all(each.is_line for each in maps)
        and (target.block > 0 or len(pieces(rows, groups, config.rows)) > 1)
    )


def suits(node: Convolution, positions: int, fused: bool, config: AcceleratorConfig) -> bool:
    """Whether a convolution is pointwise, and it and its weights fit, with an operand to add if `fused`."""
    rows = -(-int(node.weight.shape[3]) // config.rows)
    room = min(output_room(config, False), config.operand_depth // 2) if fused else output_room(config, False)
    return (
        node.weight.shape[1:3] == (1, 1)
        and node.groups == 1
        and not any(node.padding)
        and node.strides == (1, 1)
        and not node.raw
        and LEAST_POSITIONS <= positions <= min(MAP_MOST, room)
        and positions * rows <= config.activation_depth // 2
        and together(node, positions, config) > 1
    )


def together(node: Convolution, positions: int, config: AcceleratorConfig) -> int:
    """Column blocks whose sums, weights and parameters lie in the accelerator at the same time."""
    count, depth = len(node.weight), int(node.weight.shape[3])
    return min(
        -(-count // config.columns),
        config.accumulator_depth // 2 // positions,
        config.weight_depth // 2 // (-(-depth // config.rows) * config.rows),
        PARAMETER_ENTRIES // 2,
    )


def pieces(channel_rows: int, groups: Sequence[int], rows: int) -> list[Span]:
    """Channel rows in at most PIECES_MOST pieces, each of them whole in some of the stored ones."""
    edges = sorted({0, channel_rows, *(min(last // rows, channel_rows) for last in groups)})
    while len(edges) - 1 > PIECES_MOST:
        sizes = [after - before for before, after in zip(edges, edges[2:], strict=False)]
        del edges[1 + sizes.index(min(sizes))]
    return [Span(first, last) for first, last in pairwise(edges)]


def head_and_tail(parts: list[Span], slow: bool) -> tuple[list[Span], Span]:
    """The pieces that come first, and the others as one: the last one if they come more slowly than the array takes
    them, else half of K, so that each block's sums are complete a while before the next one's.
    """
    count = len(parts) - 1 if slow else len(parts) // 2
    return parts[:count], Span(parts[count].first, parts[-1].last)
