"""What whole recurrent modules become: their cells, layer by layer and step by step."""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx

from ...layers.activation import Dropout
from ...layers.concat import Concat
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..made import Steps
from ..registry import Handler, register
from ..steps import joined, taken_apart
from ..trace import module_path
from .recurrent import Cell, Step, Weights, gru, lstm, rnn_relu, rnn_tanh, states_of


def unrolled(step: Step) -> Handler:
    """The handler of a module's operator: layers in one direction or two over as many steps as the example has."""

    def handler(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
        if a.train:
            raise ValueError(
                "a recurrent module must be in eval mode with its model: do not call train() on it in forward"
            )
        parts = _steps(lowering, node, a).parts
        directions = ("", "_reverse") if a.bidirectional else ("",)
        last: list[list[str]] = []
        for layer in range(a.num_layers):
            made = []
            for direction in directions:
                hidden, states = _direction(step, lowering, node, a, parts, len(last), f"l{layer}{direction}.")
                made.append(hidden)
                last.append(states)
            parts = tuple(_both(lowering, node, f"l{layer}.both", pair) for pair in zip(*made, strict=True))
            if a.dropout and layer < a.num_layers - 1:
                parts = tuple(_dropout(lowering, node, f"l{layer}.dropout", part, a.dropout) for part in parts)
        output, *finals = (int(value.shape[-1]) for value in node.meta["val"])
        whole = joined(lowering, node, parts, output)
        ends = [
            joined(lowering, node, names, length, part).turned()
            for names, length, part in zip(zip(*last, strict=True), finals, ("h_n", "c_n"), strict=False)
        ]
        lowering.alias(node, whole if a.batch_first else whole.turned(), *ends)

    return handler


def _steps(lowering: Lowering, node: fx.Node, a: Arguments) -> Steps:
    """The steps of the module's input."""
    made = lowering.made(a.input)
    second = made.batch_second if isinstance(made, Steps) else False
    if second is bool(a.batch_first) or type(a.input.meta["val"].shape[1 - second]) is not int:
        where, given = ("first", "True") if a.batch_first else ("second", "False")
        raise ValueError(
            f"its input must have the batch on its {where} axis, as batch_first={given} says: transpose it, or "
            "set batch_first"
        )
    if isinstance(made, Steps):
        return made
    return taken_apart(lowering, node, lowering.source(a.input), shape_of(a.input), "step")


def _direction(
    step: Step, lowering: Lowering, node: fx.Node, a: Arguments, parts: Sequence[str], index: int, prefix: str
) -> tuple[list[str], list[str]]:
    """One layer in one direction: its hidden state behind each step, and its last states."""
    count = len(a.params) // (a.num_layers * (2 if a.bidirectional else 1))
    own = a.params[count * index : count * (index + 1)]
    ih_bias, hh_bias = own[2:4] if a.has_biases else (None, None)
    weights = Weights(own[0], own[1], ih_bias, hh_bias, projection=own[-1] if count % 2 else None)
    states: Sequence[str] = [
        lowering.start(state, index, lowering.unique(node, name))
        for state, name in zip(states_of(a), ("h_0", "c_0"), strict=False)
    ]
    hidden = []
    reverse = prefix.endswith("_reverse.")
    for x in reversed(parts) if reverse else parts:
        before, states = states, step(Cell(lowering, node, weights, x, states, prefix))
        lowering.follow(before, states)
        hidden.append(states[0])
    return hidden[::-1] if reverse else hidden, list(states)


def _both(lowering: Lowering, node: fx.Node, part: str, directions: Sequence[str]) -> str:
    """The hidden states of both directions side by side; that of the only one itself."""
    if len(directions) == 1:
        return directions[0]
    arithmetic, settings = lowering.arithmetic, lowering.settings
    name = lowering.unique(node, part)
    return lowering.add(node, Concat(name, *directions, arithmetic=arithmetic, settings=settings, axis=1))


def _dropout(lowering: Lowering, node: fx.Node, part: str, source: str, p: float) -> str:
    name, module = lowering.unique(node, part), module_path(node)
    return lowering.add(node, Dropout(name, source, p=p, whole_channels=False, module=module))


register("lstm.input", handler=unrolled(lstm), reads_steps=True)
register("gru.input", handler=unrolled(gru), reads_steps=True)
register("rnn_tanh.input", handler=unrolled(rnn_tanh), reads_steps=True)
register("rnn_relu.input", handler=unrolled(rnn_relu), reads_steps=True)
