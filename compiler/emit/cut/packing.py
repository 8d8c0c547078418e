"""K packing: where a pixel has fewer channels than the array has rows, a tile of K spans kernel columns too.

The codes under one line of the kernel lie side by side in memory, so a LOAD of overlapping pixels of kernel width ×
channels bytes brings them into as few rows as they need, in the contract's order. Columns of padding must then exist in
memory: the map has a border of zero points, which the memory image holds from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from emulator.graph import Convolution, Graph

from .maps import Map


@dataclass(frozen=True)
class Border:
    """Columns of the zero point at both ends of each line of a map."""

    left: int = 0
    right: int = 0


def packs(node: Convolution, rows: int) -> bool:
    """Whether K tiles of a convolution should span kernel columns: where it takes fewer of them."""
    _, _, kernel_width, depth = node.weight.shape
    return (
        node.groups == 1 and node.dilations[1] == 1 and depth < rows and -(-kernel_width * depth // rows) < kernel_width
    )


def border(node: Convolution, width: int) -> Border:
    """What must stand beside a map of that width."""
    last = (node.shape[-2] - 1) * node.strides[1] - node.padding[1] + node.weight.shape[2]
    return Border(node.padding[1], max(last - width, 0))


def borders(graph: Graph, rows: int) -> dict[str, Border]:
    """The borders that convolutions with packed K want around their inputs."""
    found: dict[str, Border] = {}
    for node in graph.nodes:
        if isinstance(node, Convolution) and packs(node, rows):
            name = node.inputs[0]
            wanted, known = border(node, graph.tensor(name).shape[-2]), found.get(name, Border())
            found[name] = Border(max(wanted.left, known.left), max(wanted.right, known.right))
    return found


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
