"""`Operands`: the codes that an element of a layer is made of, wherever they are known from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from emulator.graph import AveragePool, Convolution, Graph, MaxPool, Node, Tensor

from .trace import Index, Operand


class Operands:
    """Codes of one sample of a graph.

    codes : {input or layer: its codes, stored axes without the batch} as far as they are known
    compute : gives the code of a layer whose codes are not known
    """

    def __init__(self, graph: Graph, codes: Mapping[str, NDArray[Any]], compute: Callable[[str, Index], int]) -> None:
        self.arithmetic = graph.arithmetic
        self.tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in (*graph.inputs, *graph.nodes)}
        self._codes, self._compute = dict(codes), compute
        self._computed: dict[tuple[str, Index], int] = {}

    def known(self, name: str) -> bool:
        """Whether the codes of that tensor were given."""
        return name in self._codes

    def code(self, name: str, index: Index) -> int:
        """One code of a tensor: as given, or computed from those that were."""
        if name in self._codes:
            return int(self._codes[name][index])
        if (name, index) not in self._computed:
            self._computed[name, index] = self._compute(name, index)
        return self._computed[name, index]

    def operand(self, node: Node, number: int, index: Index) -> Operand:
        """An operand of an elementwise layer; an axis of size 1 counts for every index."""
        tensor = self.tensors[node.inputs[number]]
        place = tuple(0 if size == 1 else at for at, size in zip(index, tensor.shape, strict=True))
        return Operand(tensor.name, place, self.code(tensor.name, place))

    def zero_point(self, node: Node, number: int = 0) -> int:
        """Of an input of a layer."""
        return self.tensors[node.inputs[number]].zero_point

    def shape(self, node: Node, number: int = 0) -> Index:
        """Stored shape of an input of a layer."""
        return self.tensors[node.inputs[number]].shape

    def windows(self, node: Convolution | MaxPool | AveragePool, index: Index) -> list[tuple[int, int, Index | None]]:
        """(kernel row, kernel column, position in the input without its channel; None: padding), in a sum's order."""
        kernel = node.weight.shape[1:3] if isinstance(node, Convolution) else node.kernel
        at = (0, *index[:-1])[-2:]
        sizes = (1, *self.shape(node)[:-1])[-2:]
        found = []
        for row in range(kernel[0]):
            for column in range(kernel[1]):
                place = tuple(
                    out * stride - before + k * dilation
                    for out, stride, before, k, dilation in zip(
                        at, node.strides, node.padding, (row, column), node.dilations, strict=False
                    )
                )
                inside = all(0 <= position < size for position, size in zip(place, sizes, strict=True))
                found.append((row, column, place[2 - len(index[:-1]) :] if inside else None))
        return found
