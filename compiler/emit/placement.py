"""Placement: where every tensor lies in external memory, so that moving codes costs nothing where it can.

A reshape, a slice and a transpose that keeps the channels last, or that the host alone reads, are other views of their
input's bytes. The inputs of a concat and of a pad are stored by their producers straight into the result, with its
strides. A graph's input is stored as the transpose behind it has it, and a product's heads side by side, where a
transpose has them so and a reshape reads that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from emulator.graph import (
    Concat,
    Convolution,
    Graph,
    Linear,
    MatrixProduct,
    Node,
    Pad,
    Reshape,
    Slice,
    Tensor,
    Transpose,
    map_size,
)
from emulator.program import Region

from .cut.packing import Border


@dataclass(frozen=True)
class Inside:
    """A tensor that lies inside another one, from `offset` on along each axis."""

    parent: str
    offset: tuple[int, ...]


class Placement:
    """Regions by tensor name, which tensors lie inside others, and which layers are nothing but views.

    fused : layers without codes in memory
    wanted : borders that the readers of maps can make use of; those that are there are in `borders`
    in_blocks, block : maps that are stored by blocks of so many channels
    reserve : gives the address of that many fresh bytes
    """

    def __init__(
        self,
        graph: Graph,
        fused: Collection[str],
        wanted: Mapping[str, Border],
        reserve: Callable[[int], int],
        in_blocks: Collection[str] = (),
        block: int = 0,
    ):
        self.graph, self.wanted, self.reserve, self.in_blocks, self.block = graph, wanted, reserve, in_blocks, block
        self.borders: dict[str, Border] = {}
        self.regions: dict[str, Region] = {}
        self.inside: dict[str, Inside] = {}
        self.views: set[str] = set()
        self.tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in (*graph.inputs, *graph.nodes)}
        self.readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
        self.dense = self._find_dense()
        self._find_parents()
        self.orders = self._find_orders()
        for tensor in self.tensors.values():
            if tensor.name not in fused:
                self.region(tensor.name)

    def _find_dense(self) -> set[str]:
        """Tensors whose codes must lie one after the other: what linear layers and reshapes read.

        But not what a reshape reads that only takes the last axis apart, for products, whose matrices may lie anywhere.
        """
        found: set[str] = set()
        for node in reversed(self.graph.nodes):
            apart = isinstance(node, Reshape) and self._splits(node) and self._for_products(node)
            if isinstance(node, Reshape | Linear) and not apart:
                found.update(node.inputs)
        return found

    def _splits(self, node: Reshape) -> bool:
        """Whether a reshape takes the last axis apart and leaves the others as they are."""
        outer = self.tensors[node.inputs[0]].shape[:-1]
        return node.shape[: len(outer)] == outer and len(node.shape) > len(outer)

    def _for_products(self, node: Node) -> bool:
        """Whether products alone read a tensor, or transposes that products alone read."""
        return all(
            isinstance(reader, MatrixProduct) or (isinstance(reader, Transpose) and self._for_products(reader))
            for reader in self.readers.get(node.name, [])
        )

    def _find_parents(self) -> None:
        """Which tensors can be stored into the concat or pad that reads them."""
        for node in reversed(self.graph.nodes):
            offset = [0] * len(node.shape)
            if isinstance(node, Pad):
                self._adopt(node, node.inputs[0], pad_offset(node))
            elif isinstance(node, Concat):
                axis = node.axis % (len(node.shape) + 1) - 1
                for name in node.inputs:
                    self._adopt(node, name, offset)
                    offset[axis] += self.tensors[name].shape[axis]

    def _find_orders(self) -> dict[str, Transpose]:
        """{tensor: the transpose that alone reads it}, in whose order it is stored.

        A graph's input, which the host stores as it lies; and a product whose heads have to be side by side.
        """
        given = {tensor.name for tensor in self.graph.inputs} - set(self.graph.outputs.values())
        found: dict[str, Transpose] = {}
        for name, (first, *others) in self.readers.items():
            if others or not isinstance(first, Transpose) or name in self.inside or first.name in self.wanted:
                continue
            rows = isinstance(self.tensors[name], MatrixProduct) and first.axes[-1] == len(first.shape)
            if name in given or (rows and first.name in self.dense):
                found[name] = first
        return found

    def _adopt(self, node: Node, name: str, offset: list[int]) -> None:
        is_view = isinstance(self.tensors[name], Reshape | Slice | Transpose)
        if name not in self.inside and name not in self.dense and not is_view:
            self.inside[name] = Inside(node.name, tuple(offset))

    def region(self, name: str) -> Region:
        """The region of a tensor."""
        if name not in self.regions:
            self.regions[name] = self._place(self.tensors[name])
        return self.regions[name]

    def _place(self, tensor: Tensor) -> Region:
        if tensor.name in self.inside:
            inside = self.inside[tensor.name]
            parent = self.region(inside.parent)
            offset = sum(n * step for n, step in zip(inside.offset, parent.steps, strict=True))
            return Region(parent.address + offset, tensor, parent.steps)
        if tensor.name in self.orders:
            behind = self.orders[tensor.name]
            dense = Region(self.reserve(int(np.prod(tensor.shape, dtype=np.int64))), behind)
            steps = dict(zip(behind.axes[1:], dense.steps, strict=True))
            return Region(dense.address, tensor, tuple(steps[axis + 1] for axis in range(len(tensor.shape))))
        view = self._view(tensor)
        if view is not None and (tensor.name not in self.dense or view.contiguous):
            self.views.add(tensor.name)
            return view
        if tensor.name in self.wanted and tensor.name not in self.dense:
            return self._with_border(tensor, self.wanted[tensor.name])
        size = int(np.prod(tensor.shape, dtype=np.int64))
        if tensor.name in self.in_blocks:
            return Region(self.reserve(size), tensor, block=self.block)
        if isinstance(tensor, Convolution | Linear) and tensor.raw:
            planes = -(-self.graph.arithmetic.accumulator_bits // 8)
            return Region(self.reserve(size * planes), tensor, planes=planes)
        return Region(self.reserve(size), tensor)

    def _with_border(self, tensor: Tensor, border: Border) -> Region:
        (height, width), depth = _lines(tensor, border), tensor.shape[-1]
        line = (border.left + width + border.right) * depth
        address = self.reserve(height * line)
        self.borders[tensor.name] = border
        steps = (depth, line, 1) if border.turned else (line, depth, 1)[-len(tensor.shape) :]
        return Region(address + border.left * depth, tensor, steps)

    def surroundings(self, name: str) -> tuple[int, int]:
        """(address, bytes) of a tensor with its border."""
        region, border = self.regions[name], self.borders[name]
        (height, width), depth = _lines(region.tensor, border), region.tensor.shape[-1]
        return region.address - border.left * depth, height * (border.left + width + border.right) * depth

    def _view(self, tensor: Tensor) -> Region | None:
        """The region of a layer that only shows its input's bytes in another way."""
        if not isinstance(tensor, Reshape | Slice | Transpose):
            return None
        source = self.region(tensor.inputs[0])
        if isinstance(tensor, Reshape):
            if source.contiguous:
                return Region(source.address, tensor)
            outer = len(source.tensor.shape) - 1
            steps = [int(np.prod(tensor.shape[axis + 1 :])) for axis in range(outer, len(tensor.shape))]
            return Region(source.address, tensor, (*source.steps[:outer], *(n * source.steps[-1] for n in steps)))
        if isinstance(tensor, Slice):
            axis = tensor.axis % (len(tensor.shape) + 1) - 1
            steps = list(source.steps)
            address = source.address + tensor.start * steps[axis]
            steps[axis] *= tensor.step
            if axis == len(steps) - 1 and tensor.step > 1 and tensor.shape[axis] > 1:
                return None
            return Region(address, tensor, tuple(steps))
        turned = tuple(source.steps[axis - 1] for axis in tensor.axes[1:])
        return None if turned[-1] != 1 and tensor.name in self.readers else Region(source.address, tensor, turned)


def _lines(tensor: Tensor, border: Border) -> tuple[int, int]:
    """(lines, pixels of a line) as they are stored."""
    height, width = map_size(tensor)
    return (width, height) if border.turned else (height, width)


def pad_offset(node: Pad) -> list[int]:
    """Where along each stored axis of a pad its input begins."""
    top, left = node.padding[:2]
    return [top, left, 0][-len(node.shape) :]
