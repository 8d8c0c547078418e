"""`ProductSums`: the largest and smallest that the steps of a product of two activations can become."""

from __future__ import annotations

from itertools import product

from .graph import Graph
from .nodes import MatrixProduct
from .partial_sums import legal_codes

Extreme = tuple[int, int, int]


class ProductSums:
    """All sums of one `MatrixProduct`, which have the same extremes: every operand takes any legal code at any step.

    low, high : (extreme, code of the first operand, code of the second one), which reach it if all steps have them; 0
        where all sums lie beyond it on the other side, as each sum is 0 before its first step
    """

    def __init__(self, graph: Graph, node: MatrixProduct) -> None:
        sources = [graph.tensor(name) for name in node.inputs]
        za, zb = (source.zero_point for source in sources)
        # A product is linear in each factor, so it is at its extremes at the ends of both.
        corners = [
            ((a - za) * (b - zb) * node.depth, a, b)
            for a, b in product(*(legal_codes(graph, source) for source in sources))
        ]
        (low, *low_codes), (high, *high_codes) = min(corners), max(corners)
        self.low: Extreme = (min(low, 0), low_codes[0], low_codes[1])
        self.high: Extreme = (max(high, 0), high_codes[0], high_codes[1])
