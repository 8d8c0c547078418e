"""K packing: where a pixel has fewer channels than the array has rows, a tile of K spans kernel columns too.

The codes under one line of the kernel lie side by side in memory, so a LOAD of overlapping pixels of kernel width ×
channels bytes brings them into as few rows as they need, in the contract's order. Columns of padding must then exist in
memory: the map has a border of zero points, which the memory image holds from the start.

Where kernel rows fill tiles better than kernel columns do, an input of the graph is stored column by column. And where
a tile has room for the codes under several neighbouring outputs, these are computed as channels of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig
from emulator.graph import Convolution, Graph, Tensor

from .column_blocks import weight_zero_points
from .maps import Map

BURST_CYCLES = 2.5
"""About what the burst of a pixel takes: 16 are under way, and a memory answers after some 32 cycles."""


@dataclass(frozen=True)
class Border:
    """Columns of the zero point at both ends of each line of a map.

    turned : the map's columns are stored as its lines, and lines of the zero point stand at both ends of each column
    """

    left: int = 0
    right: int = 0
    turned: bool = False

    def holds(self, other: Border) -> bool:
        """Whether it has all that `other` wants."""
        return self.left >= other.left and self.right >= other.right and self.turned == other.turned


def packs(node: Convolution, rows: int) -> bool:
    """Whether K tiles of a convolution should span kernel columns: where it takes fewer of them."""
    _, _, kernel_width, depth = node.weight.shape
    return (
        node.groups == 1 and node.dilations[1] == 1 and depth < rows and -(-kernel_width * depth // rows) < kernel_width
    )


def narrow(node: Convolution, rows: int) -> bool:
    """Whether a tile of K has room for the codes under several outputs of a 1×1 convolution."""
    _, height, width, depth = node.weight.shape
    alone = height == width == 1 and node.strides == (1, 1) and not any(node.padding)
    return alone and node.groups == 1 and 2 * depth <= rows


def border(node: Convolution, width: int) -> Border:
    """What must stand beside a map of that width."""
    last = (node.shape[-2] - 1) * node.strides[1] - node.padding[1] + node.weight.shape[2]
    return Border(node.padding[1], max(last - width, 0))


def borders(graph: Graph, rows: int) -> dict[str, Border]:
    """The borders that convolutions with packed K want around their inputs."""
    found: dict[str, Border] = {}
    readers = [name for node in graph.nodes for name in node.inputs]
    for node in graph.nodes:
        if not isinstance(node, Convolution):
            continue
        source = graph.tensor(node.inputs[0])
        alone = source in graph.inputs and readers.count(source.name) == 1
        if alone and turns(node, source, rows, graph.arithmetic):
            found[source.name] = replace(border(turned(node), source.shape[0]), turned=True)
        elif packs(node, rows):
            wanted, known = border(node, source.shape[-2]), found.get(source.name, Border())
            found[source.name] = Border(max(wanted.left, known.left), max(wanted.right, known.right))
    return found


def turns(node: Convolution, source: Tensor, rows: int, arithmetic: Arithmetic) -> bool:
    """Whether K tiles should span kernel rows in place of kernel columns: where that takes fewer of them.

    The products are then added column by column of the kernel, which is the contract's sum where none can overflow.
    """
    if len(node.shape) != 3 or not packs(turned(node), rows):
        return False
    _, height, width, depth = node.weight.shape
    tiles = height * (-(-width * depth // rows) if packs(node, rows) else width * -(-depth // rows))
    return width * -(-height * depth // rows) < tiles and any_order(node, source.zero_point, arithmetic)


def any_order(node: Convolution, zero_point: int, arithmetic: Arithmetic) -> bool:
    """Whether no sum of the layer can leave the accumulator, whichever codes come in and in whichever order."""
    low, high = (code - zero_point for code in arithmetic.activation_range)
    weight = node.weight.reshape(len(node.weight), -1).astype(np.int64) - weight_zero_points(node)[:, None]
    most = np.maximum(np.maximum(weight * low, weight * high), 0).sum(axis=1) + np.maximum(node.bias, 0)
    least = np.minimum(np.minimum(weight * low, weight * high), 0).sum(axis=1) + np.minimum(node.bias, 0)
    limit = 1 << (arithmetic.accumulator_bits - 1)
    return bool((most < limit).all() and (least >= -limit).all())


def turned(node: Convolution) -> Convolution:
    """The same layer of the map with rows and columns exchanged."""
    height, width, depth = node.shape
    top, left, bottom, right = node.padding
    return replace(
        node,
        shape=(width, height, depth),
        weight=node.weight.swapaxes(1, 2),
        strides=node.strides[::-1],
        padding=(left, top, right, bottom),
        dilations=node.dilations[::-1],
    )


def packed(node: Convolution, source: Map) -> tuple[Convolution, Map]:
    """The same sums from a kernel one pixel wide over pixels that overlap."""
    count, kernel_height, kernel_width, depth = node.weight.shape
    narrow = replace(
        node,
        weight=node.weight.reshape(count, kernel_height, 1, kernel_width * depth),
        strides=(node.strides[0], 1),
        padding=(node.padding[0], 0, node.padding[2], 0),
    )
    pixels = replace(
        source,
        address=source.address - node.padding[1] * source.pixel_stride,
        width=node.shape[-2],
        depth=kernel_width * depth,
        pixel_stride=node.strides[1] * source.pixel_stride,
    )
    return narrow, pixels


def outputs_together(node: Convolution, source: Map, target: Map, config: AcceleratorConfig) -> int:
    """How many neighbouring outputs of a convolution with packed K should be channels of one.

    The codes under all of them take no more tiles of K than those under one, and their results lie side by side. They
    may fill columns that one leaves empty, and need fewer bursts.
    """
    count, kernel_height, _, depth = node.weight.shape
    tiles = -(-depth // config.rows)
    best = -(-count // config.columns), 1  # column blocks for so many outputs
    if node.raw or target.pixel_stride != target.depth:
        return 1
    # Cycles for an output: bursts of its pixels, in as many lines as it is away from the next one; tiles of K.
    bursts, array = node.strides[0] * BURST_CYCLES, best[0] * kernel_height * tiles
    many = target.height * target.width > config.accumulator_depth and 4 * bursts > 3 * array
    for outputs in range(2, target.width + 1):
        blocks = -(-outputs * count // config.columns)
        if (
            depth + (outputs - 1) * source.pixel_stride > tiles * config.rows
            or blocks * kernel_height * tiles * config.rows > config.weight_depth // 2
        ):
            break
        fewer = blocks * best[1] < best[0] * outputs or (many and blocks * best[1] == best[0] * outputs)
        if target.width % outputs == 0 and fewer:
            best = blocks, outputs
    return best[1]


def together(
    node: Convolution, outputs: int, source: Map, target: Map, operand: Map | None
) -> tuple[Convolution, Map, Map, Map | None]:
    """The same layer with so many neighbouring outputs as channels of one, over pixels that lie under all of them.

    What is not under an output has real zeros for weights there: they change no sum in any mode.
    """
    count, kernel_height, _, depth = node.weight.shape
    zero_point = weight_zero_points(node)
    wide = depth + (outputs - 1) * source.pixel_stride
    weight = np.empty((outputs, count, kernel_height, 1, wide), np.int8)
    weight[...] = zero_point[:, None, None, None]
    for index in range(outputs):
        first = index * source.pixel_stride
        weight[index, ..., first : first + depth] = node.weight
    height, width = target.height, target.width // outputs
    made = replace(
        node,
        shape=(height, width, outputs * count),
        weight=weight.reshape(outputs * count, kernel_height, 1, wide),
        bias=np.tile(node.bias, outputs),
        multiplier=np.tile(node.multiplier, outputs),
        shift=np.tile(node.shift, outputs),
        weight_zero_point=None if node.weight_zero_point is None else np.tile(zero_point, outputs),
    )
    source = replace(source, width=width, depth=wide, pixel_stride=outputs * source.pixel_stride)
    maps = [
        replace(each, width=width, depth=outputs * count, pixel_stride=outputs * count)
        for each in (target, *([] if operand is None else [operand]))
    ]
    return made, source, maps[0], None if operand is None else maps[1]
