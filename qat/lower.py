"""From torch.export's graph to the layers of a prepared model: one handler per operator, and fusing."""

from __future__ import annotations

import math
import operator

from torch import Tensor, fx
from torch.export import ExportedProgram

from emulator import Arithmetic

from . import operators, pool_operators
from .arguments import Arguments
from .layer import INPUT, Layer, Requantized
from .moves import Activation, Dropout, Flatten
from .pools import MaxPool
from .trace import describe, layer_name

# An in-place operator is handled as the one without the underscore.
HANDLERS = {**operators.HANDLERS, **pool_operators.HANDLERS}


class Lowering:
    """The layers of one exported program, in order; `output` is the name of the last tensor.

    Raises ``ValueError`` naming the node, and the line of the user's source, where something is not supported.
    """

    def __init__(self, program: ExportedProgram, arithmetic: Arithmetic, learned: bool) -> None:
        signature = program.graph_signature
        self.tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.arithmetic, self.learned = arithmetic, learned
        self.layers: dict[str, Layer] = {}
        self.made: dict[fx.Node, str] = {}  # node → name of the layer that makes its tensor
        self.reordered: dict[str, fx.Node] = {}  # Flatten whose codes the accelerator stores in another order → node
        self.output = ""
        for node in program.graph.nodes:
            try:
                self._lower(node)
            except ValueError as error:
                raise ValueError(f"{describe(node)}: {error}") from None
        self._check_output()

    def _check_output(self) -> None:
        name = self.output
        while isinstance(layer := self.layers.get(name), (Activation, Dropout)):
            name = layer.source
        if name in self.reordered:
            raise ValueError(
                f"{describe(self.reordered[name])}: the model must not end in a flattened feature map, which the "
                "accelerator stores channels last; return the map itself"
            )

    def _lower(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if node.name not in self.tensors:
                self.made[node] = INPUT
        elif node.op == "output":
            results = node.args[0]
            if not isinstance(results, (tuple, list)) or len(results) != 1 or not isinstance(results[0], fx.Node):
                raise ValueError("the model must return one tensor that its layers make")
            self.output = self.source(results[0])
        elif node.target is operator.getitem:
            # Of an operator with several results only the first is made; who reads another one is refused.
            if node.args[1] == 0:
                self.made[node] = self.source(node.args[0])
        elif isinstance(node.meta.get("val"), (Tensor, tuple)):
            handler = HANDLERS.get(str(node.target).replace("_.", "."))
            if handler is None:
                raise ValueError("this operator is not supported")
            handler(self, node, Arguments(node))

    def source(self, node: object) -> str:
        """The layer that makes the tensor of `node`."""
        if not isinstance(node, fx.Node) or node not in self.made:
            raise ValueError("its input must be a tensor that the model's layers make")
        return self.made[node]

    def parameter(self, node: object, what: str) -> str | None:
        """The qualified name of a parameter or buffer; None for None."""
        if node is None:
            return None
        if not isinstance(node, fx.Node) or node.name not in self.tensors:
            raise ValueError(f"its {what} must be a parameter of the model")
        name: str = self.tensors[node.name]
        return name

    def add(self, node: fx.Node, layer: Layer) -> None:
        self.layers[layer.name] = layer
        self.alias(node, layer.name)

    def alias(self, node: fx.Node, name: str) -> None:
        """Let `node`, and the tensor that it overwrites if it works in place, stand for the layer `name`."""
        self.made[node] = name
        if is_in_place(node) and isinstance(node.args[0], fx.Node):
            self.made[node.args[0]] = name

    def unique(self, node: fx.Node) -> str:
        name = layer_name(node)
        taken, number, candidate = {INPUT, *self.layers}, 0, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def alone(self, node: fx.Node, operand: fx.Node) -> bool:
        """Whether only `node` reads the tensor of `operand`; behind an in-place operator all read its result."""
        in_place = self.made.get(operand) is not None and is_in_place(node)
        readers = [user for user in operand.users if isinstance(user.meta.get("val"), Tensor) and user is not node]
        return not any(not in_place or user < node for user in readers)

    def clamp(self, node: fx.Node, operand: object, low: float | None, high: float | None) -> None:
        """Fuse an activation function into the layer whose requantization makes its input.

        A clamp commutes with everything that only moves or selects codes, so it may stand behind a pool or a Flatten.
        """
        if not all(bound is None or isinstance(bound, (int, float)) for bound in (low, high)):
            raise ValueError("its bounds must be numbers")
        bounds = tuple(default if b is None else float(b) for b, default in ((low, -math.inf), (high, math.inf)))
        name = self.source(operand)
        assert isinstance(operand, fx.Node)
        alone, reader = self.alone(node, operand), operand
        # What a dropout sets to 0 must stay 0.
        passed = (MaxPool, Flatten, Dropout) if bounds[0] <= 0 <= bounds[1] else (MaxPool, Flatten)
        while isinstance(self.layers.get(name), passed):
            before = next(n for n in reader.all_input_nodes if n in self.made)
            alone &= self.alone(reader, before)
            name, reader = self.made[before], before
        layer, (least, most) = self.layers.get(name), bounds
        if isinstance(layer, Requantized) and alone:
            layer.clamp = (min(max(layer.clamp[0], least), most), min(max(layer.clamp[1], least), most))
            self.alias(node, self.source(operand))
        else:
            self.add(node, Activation(self.unique(node), self.source(operand), (least, most)))


def is_in_place(node: fx.Node) -> bool:
    """Whether the operator overwrites its first argument: its name ends with an underscore."""
    return str(node.target).split(".")[1].endswith("_")
