"""Random small graphs with products of two activations, from explicit seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import Arithmetic, Convolution, Graph, MatrixProduct, Node, Reshape, Tensor, Transpose
from emulator.operators.requantization.multiplier import quantize_multiplier


def fields(name: str, shape: tuple[int, ...], zero_point: int, arithmetic: Arithmetic) -> dict[str, Any]:
    low, high = arithmetic.activation_range
    return {
        "name": name, "shape": shape, "scale": 0.05, "zero_point": zero_point, "y_min": low, "y_max": high,
        "channels_last": True,
    }  # fmt: skip


def factors(depth: int, arithmetic: Arithmetic) -> dict[str, int]:
    """Multiplier and shift with which a sum of that many products spans the codes, and sometimes clips."""
    spread = math.sqrt(depth) * 2.0 ** (arithmetic.activation_bits + arithmetic.weight_bits - 4)
    scale = min(2.0 ** (arithmetic.activation_bits - 2) / spread, 0.5)
    multiplier, shift = quantize_multiplier(scale, arithmetic)
    return {"multiplier": int(multiplier), "shift": int(shift)}


def common_range(arithmetic: Arithmetic) -> tuple[int, int]:
    """Codes that are legal of activations and of weights."""
    bits = min(arithmetic.activation_bits, arithmetic.weight_bits)
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def product_graph(seed: int, arithmetic: Arithmetic, zero_points: bool = True, most: int = 9) -> Graph:
    """One product of the inputs a and b: heads 1 to 4, also fewer of one of them; rows of 1; either transposed."""
    rng = np.random.default_rng(seed)
    m, k, n = (int(rng.integers(1, most + 1)) for _ in range(3))
    if seed % 4 == 0:
        m = 1
    heads = int(rng.integers(1, 5))
    kinds: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((), ()),
        ((heads,), (heads,)),
        ((4,), (2,)),
        ((heads,), (1,)),
    ]
    of_a, of_b = kinds[int(rng.integers(len(kinds)))]
    turned = [bool(rng.integers(2)) for _ in range(2)]
    low, high = common_range(arithmetic)
    za = int(rng.integers(*arithmetic.activation_range))
    zb = int(rng.integers(low, high + 1)) if zero_points else 0
    a = Tensor(**fields("a", (*of_a, *((k, m) if turned[0] else (m, k))), za, arithmetic))
    b = Tensor(
        **fields("b", (*of_b, *((n, k) if turned[1] else (k, n))), zb, arithmetic) | {"y_min": low, "y_max": high}
    )
    node = MatrixProduct(
        **fields("product", (*map(max, of_a, of_b), m, n), int(rng.integers(*arithmetic.activation_range)), arithmetic),
        inputs=("a", "b"), depth=k, **factors(k, arithmetic), a_transposed=turned[0], b_transposed=turned[1],
    )  # fmt: skip
    return Graph(inputs=(a, b), nodes=(node,), outputs={"y": "product"}, arithmetic=arithmetic)


def attention_graph(
    seed: int,
    arithmetic: Arithmetic,
    tokens: int = 5,
    heads: tuple[int, int] = (2, 2),
    depth: int = 4,
    zero_points: bool = True,
) -> Graph:
    """Projections to queries, keys and values, q · kᵀ, its product with v, and a projection behind; no softmax.

    heads : of the queries, and of keys and values
    """
    rng = np.random.default_rng(seed)
    width = heads[0] * depth
    low, high = common_range(arithmetic)
    nodes: list[Node] = []

    def zero() -> int:
        return int(rng.integers(low, high + 1)) if zero_points else 0

    def project(name: str, source: str, inputs: int, outputs: int) -> None:
        scale = factors(inputs, arithmetic)
        nodes.append(
            Convolution(
                **fields(name, (tokens, outputs), zero(), arithmetic) | {"y_min": low, "y_max": high},
                inputs=(source,),
                weight=rng.integers(*arithmetic.weight_range, (outputs, 1, 1, inputs)).astype(np.int8),
                bias=rng.integers(-9, 10, outputs),
                multiplier=np.full(outputs, scale["multiplier"]),
                shift=np.full(outputs, scale["shift"]),
            )
        )

    def moved(kind: type[Node], name: str, shape: tuple[int, ...], **extra: Any) -> None:
        source = nodes[-1]
        kept = {key: getattr(source, key) for key in ("scale", "zero_point", "y_min", "y_max", "channels_last")}
        nodes.append(kind(name=name, shape=shape, inputs=(source.name,), **kept, **extra))

    for name, count in (("q", heads[0]), ("k", heads[1]), ("v", heads[1])):
        project(name, "x", width, count * depth)
        moved(Reshape, f"{name}/heads", (tokens, count, depth))
        moved(Transpose, f"{name}/turned", (count, tokens, depth), axes=(0, 2, 1, 3))
    scores = fields("scores", (heads[0], tokens, tokens), int(rng.integers(low, high)), arithmetic)
    mixed = fields("mixed", (heads[0], tokens, depth), zero(), arithmetic)
    nodes.append(
        MatrixProduct(
            **scores, inputs=("q/turned", "k/turned"), depth=depth, b_transposed=True, **factors(depth, arithmetic)
        )
    )
    nodes.append(MatrixProduct(**mixed, inputs=("scores", "v/turned"), depth=tokens, **factors(tokens, arithmetic)))
    moved(Transpose, "mixed/turned", (tokens, heads[0], depth), axes=(0, 2, 1, 3))
    moved(Reshape, "mixed/rows", (tokens, width))
    project("out", "mixed/rows", width, width + 1)
    x = Tensor(**fields("x", (tokens, width), int(rng.integers(low, high)), arithmetic))
    return Graph(inputs=(x,), nodes=tuple(nodes), outputs={"y": "out"}, arithmetic=arithmetic)


def random_inputs(graph: Graph, seed: int, batch: int = 2) -> Mapping[str, NDArray[np.int8]]:
    """Legal codes of all inputs."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.integers(tensor.y_min, tensor.y_max + 1, (batch, *tensor.shape)).astype(np.int8)
        for tensor in graph.inputs
    }
