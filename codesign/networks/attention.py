"""Products of attention and of a transformer's layer, of known shapes; nothing by rows between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from emulator.arithmetic import Arithmetic
from emulator.graph import Convolution, Graph, MatrixProduct, Node, Reshape, Tensor, Transpose
from emulator.operators.requantization.multiplier import quantize_multiplier

SCALE = 0.05
"""Of every tensor: shapes and cycles do not depend on it."""
N = TypeVar("N", bound=Tensor)


def attention_products(
    arithmetic: Arithmetic,
    tokens: int,
    heads: int,
    depth: int,
    *,
    queries: int | None = None,
    parts: Sequence[str] = ("scores", "mixed"),
) -> Graph:
    """q · kᵀ and what it gives times v, each of heads × depth channels, from (tokens, channels) as a layer leaves them.

    queries : rows of q, `tokens` if None; 1 is a token that is decoded against a cache
    parts : ``scores`` for q · kᵀ, ``mixed`` for the product with v; alone, the latter takes the scores as input
    """
    net = _Products(arithmetic)
    rows = tokens if queries is None else queries
    if "scores" in parts:
        q, k = (net.heads(net.input(name, (size, heads * depth)), heads) for name, size in (("q", rows), ("k", tokens)))
        last = net.product("scores", q, k, depth, transposed=True)
    else:
        last = net.input("scores", (heads, rows, tokens))
    if "mixed" in parts:
        v = net.heads(net.input("v", (tokens, heads * depth)), heads)
        last = net.product("mixed", last, v, tokens)
    return net.finish(last)


def encoder_products(arithmetic: Arithmetic, tokens: int, heads: int, depth: int, inner: int, seed: int = 0) -> Graph:
    """The eight products of an encoder's layer: q, k, v, both of attention, its projection, and the two of the network
    behind, of `inner` channels; weights are seeded integers."""
    net, width = _Products(arithmetic, seed), heads * depth
    x = net.input("x", (tokens, width))
    q, k, v = (net.heads(net.linear(name, x, width), heads) for name in "qkv")
    scores = net.product("scores", q, k, depth, transposed=True)
    mixed = net.rows(net.product("mixed", scores, v, tokens))
    return net.finish(net.linear("down", net.linear("up", net.linear("projection", mixed, width), inner), width))


class _Products:
    """A graph of linear layers and products, node by node."""

    def __init__(self, arithmetic: Arithmetic, seed: int = 0) -> None:
        self.arithmetic = arithmetic
        self.inputs: list[Tensor] = []
        self.nodes: list[Node] = []
        self._rng = np.random.default_rng(seed)

    def input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        self.inputs.append(Tensor(**self._fields(name, shape)))
        return self.inputs[-1]

    def linear(self, name: str, x: Tensor, channels: int) -> Tensor:
        """A linear layer of each row of (rows, channels)."""
        rows, depth = x.shape
        multiplier, shift = self._factors(depth)
        weight = self._rng.integers(*self.arithmetic.weight_range, (channels, 1, 1, depth), np.int8, endpoint=True)
        return self._add(
            Convolution(
                **self._fields(name, (rows, channels)), inputs=(x.name,), weight=weight,
                bias=np.zeros(channels, np.int64), multiplier=np.full(channels, multiplier),
                shift=np.full(channels, shift),
            )
        )  # fmt: skip

    def heads(self, x: Tensor, heads: int) -> Tensor:
        """(rows, heads · depth) → (heads, rows, depth)."""
        rows, width = x.shape
        split = (rows, heads, width // heads)
        parted = self._add(Reshape(**self._fields(f"{x.name}/heads", split), inputs=(x.name,)))
        turned = self._fields(f"{x.name}/turned", (heads, rows, width // heads))
        return self._add(Transpose(**turned, inputs=(parted.name,), axes=(0, 2, 1, 3)))

    def rows(self, x: Tensor) -> Tensor:
        """(heads, rows, depth) → (rows, heads · depth)."""
        heads, rows, depth = x.shape
        turned = self._fields(f"{x.name}/turned", (rows, heads, depth))
        back = self._add(Transpose(**turned, inputs=(x.name,), axes=(0, 2, 1, 3)))
        return self._add(Reshape(**self._fields(f"{x.name}/rows", (rows, heads * depth)), inputs=(back.name,)))

    def product(self, name: str, a: Tensor, b: Tensor, depth: int, *, transposed: bool = False) -> Tensor:
        """a · b, or a · bᵀ."""
        multiplier, shift = self._factors(depth)
        shape = (*a.shape[:-1], b.shape[-2 if transposed else -1])
        return self._add(
            MatrixProduct(
                **self._fields(name, shape), inputs=(a.name, b.name), depth=depth, multiplier=multiplier, shift=shift,
                b_transposed=transposed,
            )
        )  # fmt: skip

    def finish(self, output: Tensor) -> Graph:
        return Graph(
            inputs=tuple(self.inputs),
            nodes=tuple(self.nodes),
            outputs={"output": output.name},
            arithmetic=self.arithmetic,
        )

    def _add(self, node: N) -> N:
        assert isinstance(node, Node)
        self.nodes.append(node)
        return node

    def _fields(self, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
        low, high = self.arithmetic.activation_range
        return {
            "name": name, "shape": shape, "scale": SCALE, "zero_point": 0, "y_min": low, "y_max": high,
            "channels_last": True,
        }  # fmt: skip

    def _factors(self, depth: int) -> tuple[int, int]:
        """Multiplier and shift with which a sum of so many products spans about the codes' range."""
        spread = math.sqrt(depth) * 2.0 ** (self.arithmetic.activation_bits + self.arithmetic.weight_bits - 4)
        scale = min(2.0 ** (self.arithmetic.activation_bits - 2) / spread, 0.5)
        multiplier, shift = quantize_multiplier(scale, self.arithmetic)
        return int(multiplier), int(shift)
