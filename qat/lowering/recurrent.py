"""What the cells of recurrent networks become: their gates' linear layers, tables, products and sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import fx

from ..layers.expression import Expression, X
from ..layers.moves import Slice
from .activations import unary
from .arguments import Arguments, Handler, shape_of
from .pseudo import Binary, Function
from .weights import add_weighted

if TYPE_CHECKING:
    from .lower import Lowering


class Cell:
    """The two products of one step: `x` of the input, `h` of the hidden state, and layers to combine them.

    Every layer bears the module's name with its part behind it.
    """

    def __init__(self, lowering: Lowering, node: fx.Node, x: fx.Node, h: fx.Node, a: Arguments) -> None:
        self.lowering, self.node = lowering, node
        self.hidden = lowering.source(h)
        self.size = shape_of(h)[0]
        self.x = self._product("ih", lowering.source(x), a.w_ih, a.b_ih)
        self.h = self._product("hh", self.hidden, a.w_hh, a.b_hh)

    def _product(self, part: str, source: str, weight: fx.Node, bias: fx.Node | None) -> str:
        return add_weighted(self.lowering, self.node, self._name(part), source, weight, bias, None)

    def _name(self, part: str) -> str:
        return self.lowering.unique(self.node, part)

    def gate(self, part: str, source: str, index: int) -> str:
        """The rows of one gate in the result of all of them."""
        places = range(self.size * index, self.size * (index + 1))
        return self.lowering.add(self.node, Slice(self._name(part), source, 1, places))

    def function(self, part: str, source: str, expression: Expression) -> str:
        return self.lowering.add(self.node, Function(self._name(part), source, expression))

    def combine(self, part: str, a: str, b: str, operator: str) -> str:
        return self.lowering.add(self.node, Binary(self._name(part), a, b, operator))


SIGMOID, TANH = unary("Sigmoid"), unary("Tanh")


def lstm_cell(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c')."""
    cell = Cell(lowering, node, a.input, a.hx[0], a)
    gates = cell.combine("gates", cell.x, cell.h, "Add")
    functions = {"i": SIGMOID, "f": SIGMOID, "g": TANH, "o": SIGMOID}
    i, f, g, o = (
        cell.function(part, cell.gate(f"{part}.in", gates, index), function)
        for index, (part, function) in enumerate(functions.items())
    )
    kept, new = cell.combine("kept", f, lowering.source(a.hx[1]), "Mul"), cell.combine("new", i, g, "Mul")
    state = cell.combine("c", kept, new, "Add")
    hidden = cell.combine("h", o, cell.function("tanh", state, TANH), "Mul")
    lowering.alias(node, hidden, state)


def gru_cell(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """n = tanh(n_x + σ(r)·n_h), h' = n + σ(z)·(h − n)."""
    cell = Cell(lowering, node, a.input, a.hx, a)

    def gate(part: str, index: int) -> str:
        x, h = cell.gate(f"{part}.x", cell.x, index), cell.gate(f"{part}.h", cell.h, index)
        return cell.function(part, cell.combine(f"{part}.in", x, h, "Add"), SIGMOID)

    r, z = gate("r", 0), gate("z", 1)
    reset = cell.combine("reset", r, cell.gate("n.h", cell.h, 2), "Mul")
    new = cell.function("n", cell.combine("n.in", cell.gate("n.x", cell.x, 2), reset, "Add"), TANH)
    update = cell.combine("update", z, cell.combine("change", cell.hidden, new, "Sub"), "Mul")
    cell.combine("h", new, update, "Add")


def rnn_cell(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """h' = tanh(x + h), or its ReLU."""
    cell = Cell(lowering, node, a.input, a.hx, a)
    gates = cell.combine("in", cell.x, cell.h, "Add")
    relu = Expression("Clip", (X, 0.0, float("inf")))
    cell.function("h", gates, TANH if "tanh" in str(node.target) else relu)


HANDLERS: dict[str, Handler] = {
    "aten.lstm_cell.default": lstm_cell,
    "aten.gru_cell.default": gru_cell,
    "aten.rnn_tanh_cell.default": rnn_cell,
    "aten.rnn_relu_cell.default": rnn_cell,
}
