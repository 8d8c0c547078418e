"""Neighbouring outputs of a depthwise convolution side by side in the lanes, where a pixel has channels for few lanes.

With n pixels in a row of lanes, output n · k + i has the lanes from i · channels on, and so must the codes that it is
made of. A row that begins at pixel n · k + p has them there for every i, for those kernel columns that lie p, p + n, …
pixels from an output. So each line of the map is loaded once for each p < n, in one long burst in place of one for each
pixel; these n lines lie under each other, and the kernel walks them as lines of its own. As for packed K, columns of
padding must exist in memory; and as the kernel's columns come in another order, no sum may overflow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.graph import Convolution, Graph

from ..schedule.durations import line_cycles
from .column_blocks import weight_zero_points
from .depthwise_cut import DepthwiseCut, runs_in_lanes
from .maps import Map
from .packing import Border, any_order

LONGER_MOST = 1 / 8
"""Share of a line's cycles in the lanes by which it may take longer, for the shorter time in which it is loaded."""


def pixels_together(node: Convolution, zero_point: int, config: AcceleratorConfig) -> int:
    """How many outputs of a layer should lie side by side, `zero_point` being its input's; 1: each for itself."""
    count, width = config.columns // len(node.weight), node.shape[-2]
    if len(node.shape) != 3 or count < 2 or config.columns % len(node.weight) or width % count:
        return 1
    kernel = node.weight.shape[1:3]
    outside = max(node.padding[0], node.padding[2]) >= kernel[0]  # some outputs meet no line
    if not runs_in_lanes(node, config) or outside or node.strides[1] != 1 or node.dilations[0] != 1:
        return 1
    first, last = _rows(node, count)
    walks = count * kernel[0], last - first
    taps = config.depthwise_taps
    many, each = line_cycles(width // count, walks, 1, 1, taps), line_cycles(width, kernel, node.dilations[1], 1, taps)
    if many > each * (1 + LONGER_MOST) or not any_order(node, zero_point, config.arithmetic):
        return 1
    return count


def _rows(node: Convolution, count: int) -> tuple[int, int]:
    """First row that the kernel meets, counted from an output's own, and the one behind its last."""
    last = (node.weight.shape[2] - 1) * node.dilations[1] - node.padding[1]
    return -node.padding[1] // count, last // count + 1


def border_together(node: Convolution, width: int, count: int) -> Border:
    """What must stand beside a map of that width."""
    first, last = _rows(node, count)
    return Border(max(-first, 0) * count, max(node.shape[-2] + last * count - width, 0))


def borders_together(graph: Graph, config: AcceleratorConfig) -> dict[str, Border]:
    """The borders that such layers want around their inputs, where nothing else reads these."""
    readers = [name for node in graph.nodes for name in node.inputs]
    found = {}
    for node in graph.nodes:
        if isinstance(node, Convolution) and readers.count(node.inputs[0]) == 1:
            source = graph.tensor(node.inputs[0])
            count = pixels_together(node, source.zero_point, config)
            if count > 1:
                found[source.name] = border_together(node, source.shape[-2], count)
    return found


def side_by_side(node: Convolution, source: Map, target: Map, count: int, config: AcceleratorConfig) -> DepthwiseCut:
    """The cut of the layer that makes so many outputs at once: a line of its input is one of `count` phases."""
    channels, height, kernel_width, _ = node.weight.shape
    first, last = _rows(node, count)
    weight = np.empty((channels, height, count, last - first, 1), np.int8)
    weight[...] = weight_zero_points(node)[:, None, None, None, None]
    for column in range(kernel_width):
        row, phase = divmod(column * node.dilations[1] - node.padding[1], count)
        weight[:, :, phase, row - first] = node.weight[:, :, column]
    many = replace(
        node,
        shape=(target.height, target.width // count, count * channels),
        weight=np.tile(weight.reshape(channels, height * count, last - first, 1), (count, 1, 1, 1)),
        bias=np.tile(node.bias, count),
        multiplier=np.tile(node.multiplier, count),
        shift=np.tile(node.shift, count),
        weight_zero_point=None if node.weight_zero_point is None else np.tile(node.weight_zero_point, count),
        strides=(count * node.strides[0], 1),
        padding=(count * node.padding[0], 0, count * node.padding[2], 0),
        dilations=(1, 1),
        groups=count * channels,
    )
    wide = count * source.pixel_stride
    lines = replace(
        source,
        address=source.address + first * wide,
        height=count * source.height,
        width=target.width // count + last - first - 1,
        depth=wide,
        pixel_stride=wide,
    )
    outputs = replace(target, width=target.width // count, depth=wide, pixel_stride=wide)
    return DepthwiseCut(config, many, lines, outputs, count)
