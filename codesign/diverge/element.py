"""`ElementTracer`: how the contract computes one code of one layer: its operands, partial sums and roundings.

In Python's integers, by nothing that the implementations share, so it can say which of two of them is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from emulator.graph import Graph, Node

from .operands import Operands
from .operators import TRACES
from .trace import ElementTrace, Index


class ElementTracer:
    """Traces elements of one sample of a graph.

    codes : {input or layer: its codes, stored axes without the batch} as far as they are known; others are computed
    """

    def __init__(self, graph: Graph, codes: Mapping[str, NDArray[Any]]) -> None:
        self._operands = Operands(graph, codes, lambda name, index: self.trace(name, index).code)

    def known(self, name: str) -> bool:
        """Whether the codes of that tensor were given."""
        return self._operands.known(name)

    def code(self, name: str, index: Index) -> int:
        """One code of a tensor: as given, or computed from those that were."""
        return self._operands.code(name, index)

    def trace(self, name: str, index: Index) -> ElementTrace:
        """How the contract computes the code of layer `name` at `index` from the codes of its inputs."""
        node = self._operands.tensors[name]
        if not isinstance(node, Node):
            raise ValueError(f"{name!r} is an input of the graph, which nothing computes")
        return TRACES[type(node)](self._operands, node, index)
