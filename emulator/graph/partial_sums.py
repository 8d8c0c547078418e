"""`PartialSums`: the largest and smallest that the steps of a layer's sums can become, and the input that does it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..operators.shared.windows import Windows
from .graph import Graph
from .nodes import Codes, Concat, Convolution, Integers, Linear, MaxPool, Pad, Reshape, Slice, Tensor, Transpose

MOVES = (Concat, MaxPool, Pad, Reshape, Slice, Transpose)  # the operators whose output holds codes of their inputs


class PartialSums:
    """One convolution or linear layer of a `Graph`, as dot products over the steps of the contract's order.

    channels, steps : number of output channels, and of products per sum
    low, high : smallest and largest legal value of ``x − zx``
    weight : (channels, steps) int16, ``w − zw``
    windows : (position, taps) of windows that together bound all others: where the window lies on the output map
    ((row, column), or () for a linear layer), and per step whether its tap lies on the input map, bool (steps,)
    """

    def __init__(self, graph: Graph, node: Convolution | Linear) -> None:
        self.source = graph.tensor(node.inputs[0])
        self.node = node
        self.codes = legal_codes(graph, self.source)
        self.low, self.high = (code - self.source.zero_point for code in self.codes)
        weight = node.weight.T if isinstance(node, Linear) else node.weight.reshape(len(node.weight), -1)
        zero = node.weight_zero_point
        self.weight = weight.astype(np.int16)
        if zero is not None:
            self.weight -= zero[:, None].astype(np.int16)
        self.channels, self.steps = self.weight.shape
        self.windows = [((), np.ones(self.steps, np.bool_))] if isinstance(node, Linear) else [*self._windows(node)]

    def extreme(self, channels: slice, taps: NDArray[np.bool_], largest: bool) -> Integers:
        """(channels, steps + 1): the bias, then the sum after each step, each as large (small) as any input makes it.

        One input does it for all steps: every product is as large (small) as it can be.
        """
        weight = self.weight[channels].astype(np.int64) * taps
        pick = np.maximum if largest else np.minimum
        products = pick(weight * self.low, weight * self.high)
        return np.cumsum(np.column_stack([self.node.bias[channels], products]), axis=1)

    def input(self, channel: int, position: tuple[int, ...], largest: bool) -> Codes:
        """int8 (1, …) in the stored layout of the layer's input: `extreme` of this channel in the window there.

        Codes outside the window are the legal ones nearest to the zero point.
        """
        least, most = self.codes
        row = np.where((self.weight[channel] > 0) == largest, most, least).astype(np.int8)
        if not isinstance(self.node, Convolution):
            return row.reshape(1, *self.source.shape)
        _, height, width, depth = self.node.weight.shape
        taps = row.reshape(height, width, depth)
        first = channel // (self.channels // self.node.groups) * depth
        rows, columns, inputs = _map(self.source)
        codes = np.full((rows, columns, inputs), min(max(self.source.zero_point, least), most), np.int8)
        corner = [p * s - before for p, s, before in zip(position, self.node.strides, self.node.padding, strict=False)]
        for i, j in np.ndindex(height, width):
            y, x = corner[0] + i * self.node.dilations[0], corner[1] + j * self.node.dilations[1]
            if 0 <= y < rows and 0 <= x < columns:
                codes[y, x, first : first + depth] = taps[i, j]
        return codes.reshape(1, *self.source.shape)

    def _windows(self, node: Convolution) -> Iterator[tuple[tuple[int, ...], NDArray[np.bool_]]]:
        _, height, width, depth = node.weight.shape
        windows = Windows(_map(self.source)[:2], (height, width), node.strides, node.padding, node.dilations)
        axes = []
        for axis in range(2):
            masks, first = np.unique(windows.inside(axis), axis=0, return_index=True)
            if self.low <= 0 <= self.high:  # then a tap more never makes an extreme smaller
                covered = [any((mask <= other).all() and (mask != other).any() for other in masks) for mask in masks]
                masks, first = masks[np.logical_not(covered)], first[np.logical_not(covered)]
            axes.append([*zip(first.tolist(), masks, strict=True)])
        for row, vertical in axes[0]:
            for column, horizontal in axes[1]:
                yield (row, column), np.repeat(np.outer(vertical, horizontal).ravel(), depth)


def legal_codes(graph: Graph, tensor: Tensor) -> tuple[int, int]:
    """Smallest and largest code that `tensor` can hold: y_min … y_max, and what moves and padding bring beside it."""
    least, most = tensor.y_min, tensor.y_max
    if isinstance(tensor, Pad):
        least, most = min(least, tensor.zero_point), max(most, tensor.zero_point)
    if isinstance(tensor, MOVES):
        for name in tensor.inputs:
            low, high = legal_codes(graph, graph.tensor(name))
            least, most = min(least, low), max(most, high)
    return least, most


def _map(tensor: Tensor) -> tuple[int, int, int]:
    """(height, width, channels); a sequence (length, channels) is a map of height 1."""
    height, width, depth = (1, *tensor.shape)[-3:]
    return height, width, depth
