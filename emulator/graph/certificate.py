"""What the partial sums of a `Graph`'s layers can reach: certificates against overflow, in integers only.

A certificate holds for every input of legal codes, and it is exact: `attaining_input` makes an input that reaches it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import check_int
from .graph import Graph
from .nodes import Codes, Convolution, Integers, Linear, MatrixProduct
from .partial_sums import PartialSums
from .product_sums import ProductSums

NARROWEST = 8  # bits, of an accumulator
BLOCK_STEPS = 1 << 21  # at a time, which bounds the copies


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerCertificate:
    """The exact extremes of all partial sums of one convolution, linear layer or product of two activations.

    name : the layer's; accumulator_bits : of the graph
    low, high : (O,) smallest and largest partial sum per output channel over all legal inputs, all output positions
    and all steps of the contract's order, the bias being the first partial sum
    """

    name: str
    accumulator_bits: int
    low: Integers
    high: Integers

    @property
    def channel_bits(self) -> Integers:
        """(O,): width of the smallest accumulator, of at least 8 bits, that no input makes overflow."""
        magnitudes = np.maximum(self.high, ~self.low)
        return np.array([max(NARROWEST, int(value).bit_length() + 1) for value in magnitudes], np.int64)

    @property
    def smallest_bits(self) -> int:
        """Width of the smallest accumulator that no input makes overflow in any channel."""
        return int(self.channel_bits.max(initial=NARROWEST))

    @property
    def safe(self) -> bool:
        """Whether no input makes the graph's own accumulator overflow."""
        return self.smallest_bits <= self.accumulator_bits

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `low`, `high` and `bits` are lists over the output channels."""
        return {
            "layer": self.name,
            "accumulator_bits": self.accumulator_bits,
            "smallest_bits": self.smallest_bits,
            "safe": self.safe,
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "bits": self.channel_bits.tolist(),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class AttainingInput:
    """An input of one layer that takes one of its channels to its extreme.

    codes : int8 (1, …) in the stored (NHWC) layout of the layer's input, all of them legal
    position : (row, column) of the output map, () of a linear layer
    steps : the sum is at its extreme after so many steps: all of them, unless the input's legal codes leave out 0
    value : the extreme
    """

    codes: Codes
    position: tuple[int, ...]
    steps: int
    value: int


def certify(graph: Graph) -> dict[str, LayerCertificate]:
    """{layer name: `LayerCertificate`} of every layer that accumulates in P bits, in the graph's order.

    The legal codes of a layer's input are its producer's y_min … y_max; a padding position contributes 0, so of the
    windows only those count that occur on the layer's map. The operands of a product of two activations are taken to
    be independent of one another. Raises ``TypeError`` for anything but a `Graph`.
    """
    weighted = weighted_layers(graph)
    bits = graph.arithmetic.accumulator_bits
    found: dict[str, LayerCertificate] = {}
    for node in graph.nodes:
        if isinstance(node, MatrixProduct):
            found[node.name] = _product_certificate(node, ProductSums(graph, node), bits)
        elif node.name in weighted:
            found[node.name] = _certificate(PartialSums(graph, weighted[node.name]), bits)
    return found


def attaining_input(graph: Graph, layer: str, channel: int, largest: bool = True) -> AttainingInput:
    """An input that takes a sum of that output channel to `LayerCertificate.high`, or to `low` if not `largest`.

    layer : name of a convolution or linear layer; channel : 0 … O − 1. Raises ``TypeError`` or ``ValueError`` naming
    the argument.
    """
    layers = weighted_layers(graph)
    if layer not in layers:
        raise ValueError(f"layer must be a convolution or linear layer ({', '.join(layers)}), not {layer!r}")
    sums = PartialSums(graph, layers[layer])
    index = check_int("channel", channel, 0, sums.channels - 1)
    found = []
    for position, taps in sums.windows:
        partial = sums.extreme(slice(index, index + 1), taps, largest)[0]
        if not largest:
            partial = -partial
        steps = sums.steps - int(partial[::-1].argmax())  # the last step at which it is there
        found.append((int(partial[steps]), position, steps))
    value, position, steps = max(found)
    return AttainingInput(
        codes=sums.input(index, position, largest),
        position=position,
        steps=steps,
        value=value if largest else -value,
    )


def weighted_layers(graph: Graph) -> dict[str, Convolution | Linear]:
    """{name: layer} of the layers with weights, whose sums have P bits; ``TypeError`` for anything but a `Graph`."""
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a Graph, as load_onnx gives it, not {type(graph).__name__}")
    return {node.name: node for node in graph.nodes if isinstance(node, (Convolution, Linear))}


def _product_certificate(node: MatrixProduct, sums: ProductSums, accumulator_bits: int) -> LayerCertificate:
    low, high = (np.full(node.shape[-1], value, np.int64) for value in (sums.low[0], sums.high[0]))
    return LayerCertificate(name=node.name, accumulator_bits=accumulator_bits, low=low, high=high)


def _certificate(sums: PartialSums, accumulator_bits: int) -> LayerCertificate:
    low, high = sums.node.bias.copy(), sums.node.bias.copy()
    block = max(1, BLOCK_STEPS // (sums.steps + 1))
    for _, taps in sums.windows:
        for start in range(0, sums.channels, block):
            channels = slice(start, start + block)
            low[channels] = np.minimum(low[channels], sums.extreme(channels, taps, largest=False).min(axis=1))
            high[channels] = np.maximum(high[channels], sums.extreme(channels, taps, largest=True).max(axis=1))
    return LayerCertificate(name=sums.node.name, accumulator_bits=accumulator_bits, low=low, high=high)
