"""Maps that are stored block of channels by block, each of them as a map of its own.

The lanes take a block of channels, the array's tiles of K too. Between depthwise and pointwise convolutions of small
maps such a block is then one long burst, in place of one for each pixel; the next layer takes it while others are made.
"""

from __future__ import annotations

from collections.abc import Collection

from emulator.config import AcceleratorConfig
from emulator.graph import Concat, Convolution, Graph, Node, Pad, Reshape, Slice, Transpose, map_size

from .depthwise_cut import runs_in_lanes
from .packing import BURST_CYCLES
from .piecewise_cut import suits

MOVES = Concat | Pad | Reshape | Slice | Transpose


def maps_in_blocks(graph: Graph, config: AcceleratorConfig, fused: Collection[str], apart: Collection[str]) -> set[str]:
    """The maps that are stored so: none that anybody sees, none that anything else reads.

    fused : layers without codes in memory
    apart : maps that are stored with something around them
    """
    if config.rows != config.columns:
        return set()
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    excluded = {*apart, *fused, *graph.outputs.values()}

    def in_a_line(name: str) -> bool:
        """Whether a map's pixels follow one another."""
        own = graph.tensor(name)
        moved = [own, *readers.get(name, [])]
        return name not in apart and not any(isinstance(node, MOVES) for node in moved)

    def piecewise(node: Convolution) -> bool:
        """Whether the array takes a pointwise convolution piece by piece, if its input comes so."""
        height, width = map_size(node)
        maps = [node.name]
        if node.name in fused:
            behind = readers[node.name][0]
            while behind.name in fused:
                behind = readers[behind.name][0]
            maps = [behind.name]
            maps += [name for name in readers[node.name][0].inputs if name != node.name]
        return suits(node, height * width, node.name in fused, config) and all(map(in_a_line, maps))

    found: set[str] = set()
    for node in graph.nodes:
        if not isinstance(node, Convolution) or node.name in excluded or len(readers.get(node.name, ())) != 1:
            continue
        (reader,), channels = readers[node.name], node.shape[-1]
        if channels % config.columns or channels == config.columns or not isinstance(reader, Convolution):
            continue
        if runs_in_lanes(node, config):
            array = node.shape[0] * node.shape[1] * (reader.shape[-1] // config.columns)
            source = graph.tensor(node.inputs[0])
            pixels = source.shape[0] * source.shape[1]
            stored = piecewise(reader) and (source.name in found or pixels * BURST_CYCLES <= array)
        else:
            stored = piecewise(node) and runs_in_lanes(reader, config)
        if stored:
            found.add(node.name)
    return found
