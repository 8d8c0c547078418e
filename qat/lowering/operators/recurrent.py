"""What the cells of recurrent networks become: their gates' linear layers, tables, products and sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import fx

from ...layers.activation import Activation
from ...layers.expression import Expression
from ...layers.moves import Slice
from ..arguments import Arguments
from ..context import Lowering
from ..pseudo import Binary, Function
from ..registry import Handler, register
from .activations import unary
from .weights import add_weighted


@dataclass(frozen=True)
class Weights:
    """A cell's parameters: of the input, of the hidden state, their biases, and of an LSTM's projection."""

    ih: fx.Node
    hh: fx.Node
    ih_bias: fx.Node | None = None
    hh_bias: fx.Node | None = None
    projection: fx.Node | None = None


class Cell:
    """The two products of one step: `x` of the input, `h` of the hidden state, and layers to combine them.

    states : the hidden state, and an LSTM's second one; every layer bears the module's name, `prefix` and its part
    """

    def __init__(
        self, lowering: Lowering, node: fx.Node, weights: Weights, x: str, states: Sequence[str], prefix: str = ""
    ) -> None:
        self.lowering, self.node, self.weights, self.prefix = lowering, node, weights, prefix
        self.states = tuple(states)
        self.rows = int(weights.hh.meta["val"].shape[0])
        self.x = self.product("ih", x, weights.ih, weights.ih_bias)
        self.h = self.product("hh", states[0], weights.hh, weights.hh_bias)

    def product(self, part: str, source: str, weight: fx.Node, bias: fx.Node | None = None) -> str:
        return add_weighted(self.lowering, self.node, self.name(part), source, weight, bias, None)

    def name(self, part: str) -> str:
        return self.lowering.unique(self.node, self.prefix + part)

    def gate(self, part: str, source: str, index: int, count: int) -> str:
        """The rows of one of `count` gates in the result of all of them."""
        size = self.rows // count
        return self.lowering.add(self.node, Slice(self.name(part), source, 1, range(size * index, size * (index + 1))))

    def function(self, part: str, source: str, expression: Expression) -> str:
        return self.lowering.add(self.node, Function(self.name(part), source, expression))

    def combine(self, part: str, a: str, b: str, operator: str) -> str:
        return self.lowering.add(self.node, Binary(self.name(part), a, b, operator))


SIGMOID, TANH = unary("Sigmoid"), unary("Tanh")


def lstm(cell: Cell) -> tuple[str, ...]:
    """c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c'), projected where there are weights for it."""
    gates = cell.combine("gates", cell.x, cell.h, "Add")
    functions = {"i": SIGMOID, "f": SIGMOID, "g": TANH, "o": SIGMOID}
    i, f, g, o = (
        cell.function(part, cell.gate(f"{part}.in", gates, index, 4), function)
        for index, (part, function) in enumerate(functions.items())
    )
    kept, new = cell.combine("kept", f, cell.states[1], "Mul"), cell.combine("new", i, g, "Mul")
    state = cell.combine("c", kept, new, "Add")
    hidden = cell.combine("h", o, cell.function("tanh", state, TANH), "Mul")
    if cell.weights.projection is not None:
        hidden = cell.product("hr", hidden, cell.weights.projection)
    return hidden, state


def gru(cell: Cell) -> tuple[str, ...]:
    """n = tanh(n_x + σ(r)·n_h), h' = n + σ(z)·(h − n)."""

    def gate(part: str, index: int) -> str:
        x, h = cell.gate(f"{part}.x", cell.x, index, 3), cell.gate(f"{part}.h", cell.h, index, 3)
        return cell.function(part, cell.combine(f"{part}.in", x, h, "Add"), SIGMOID)

    r, z = gate("r", 0), gate("z", 1)
    reset = cell.combine("reset", r, cell.gate("n.h", cell.h, 2, 3), "Mul")
    new = cell.function("n", cell.combine("n.in", cell.gate("n.x", cell.x, 2, 3), reset, "Add"), TANH)
    update = cell.combine("update", z, cell.combine("change", cell.states[0], new, "Sub"), "Mul")
    return (cell.combine("h", new, update, "Add"),)


Step = Callable[[Cell], tuple[str, ...]]


def rnn_tanh(cell: Cell) -> tuple[str, ...]:
    """h' = tanh(x + h)."""
    return (cell.function("h", cell.combine("in", cell.x, cell.h, "Add"), TANH),)


def rnn_relu(cell: Cell) -> tuple[str, ...]:
    """h' = relu(x + h): the sum's own clamp."""
    total = cell.combine("h", cell.x, cell.h, "Add")
    return (cell.lowering.add(cell.node, Activation(cell.name("relu"), total, (0.0, math.inf))),)


def cell(step: Step) -> Handler:
    """The handler of a cell's operator, which takes one step."""

    def handler(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
        states = [lowering.source(state) for state in states_of(a)]
        weights = Weights(a.w_ih, a.w_hh, a.b_ih, a.b_hh)
        made = step(Cell(lowering, node, weights, lowering.source(a.input), states))
        lowering.follow(states, made)
        lowering.alias(node, *made)

    return handler


def states_of(a: Arguments) -> list[fx.Node]:
    """The nodes of the states before a cell's or a module's first step."""
    return list(a.hx) if isinstance(a.hx, (list, tuple)) else [a.hx]


register("lstm_cell.default", handler=cell(lstm))
register("gru_cell.default", handler=cell(gru))
register("rnn_tanh_cell.default", handler=cell(rnn_tanh))
register("rnn_relu_cell.default", handler=cell(rnn_relu))
