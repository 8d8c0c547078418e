"""`HostBuilder`: the nodes of a captured graph that the host computes in floats, as a program of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import ExportedProgram

from ..host import Argument, Host, filled, tensor_named
from .arguments import Arguments

# What may still be done to a float tensor that the host has made.
MOVES = frozenset(
    f"aten.{name}"
    for name in (
        "alias.default", "clone.default", "contiguous.default", "expand.default", "flatten.using_ints",
        "repeat.default", "reshape.default", "squeeze.default", "squeeze.dim", "unsqueeze.default",
        "view.default",
    )
)  # fmt: skip
FILLS = {
    "zeros": 0.0, "new_zeros": 0.0, "zeros_like": 0.0, "ones": 1.0, "new_ones": 1.0, "ones_like": 1.0,
    "full": None, "new_full": None, "full_like": None,
}  # fmt: skip


class HostBuilder:
    """Collects what depends on integers, parameters and constants only, up to its first float result.

    The look-ups of an embedding are that, and the zeros that a recurrent cell starts from.
    """

    def __init__(self, program: ExportedProgram) -> None:
        signature = program.graph_signature
        self._names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self._constants = signature.inputs_to_lifted_tensor_constants
        self._program = program
        self._graph = fx.Graph()
        self._root = nn.Module()
        self._owner = self._graph.placeholder("owner")
        self._values: dict[fx.Node, fx.Node] = {}
        self._uniform: set[fx.Node] = set()  # what is filled with one number
        self.arguments: list[Argument] = []
        self.inputs: dict[str, fx.Node] = {}
        self._first: fx.Node | None = None
        users = [
            node for node in program.graph.nodes if node.op == "placeholder" and node.name in signature.user_inputs
        ]
        for node in users:
            self._argument(node, "x" if len(users) == 1 else node.name)

    def _argument(self, node: fx.Node, name: str) -> None:
        value = node.meta["val"]
        self.arguments.append(Argument(name, tuple(value.shape[1:]), value.is_floating_point()))
        self._values[node] = self._graph.placeholder(node.name)
        self._first = self._first or self._values[node]

    def computes(self, node: fx.Node) -> bool:
        """Take `node` if the host is to compute it; whether it is."""
        if not isinstance(node.target, OpOverload):
            return False
        kind = str(node.target)
        operator = kind.split(".")[1]
        if kind == "aten.sym_size.int" or node.meta.get("val") is None:
            if node.args[1:] == (0,):
                self._values[node] = self._graph.call_function(torch.ops.aten.sym_size.int, (self._first, 0))
            return True
        if operator in FILLS and isinstance(node.meta["val"], Tensor):
            number = Arguments(node).fill_value if FILLS[operator] is None else FILLS[operator]
            shape = list(node.meta["val"].shape)
            axes = [axis for axis, size in enumerate(shape) if type(size) is not int]
            if isinstance(number, (int, float)) and len(axes) == 1:
                shape.pop(axes[0])
                value = self._graph.call_function(filled, (self._first, tuple(shape), float(number)))
                self._values[node] = self._graph.call_function(torch.movedim, (value, 0, axes[0]))
                self._uniform.add(node)
                return True
        operands = node.all_input_nodes
        if not operands or not all(self._known(operand) for operand in operands):
            return False
        made = [o for o in operands if o.op != "placeholder" and is_float(o)]
        if made and kind not in MOVES:
            return False
        self._values[node] = self._graph.node_copy(node, lambda operand: self._value(operand))
        return True

    def input(self, node: fx.Node, name: str) -> None:
        """Let the quantized layers read `node` as the input `name`."""
        self.inputs[name] = self._values[node]

    def part(self, node: fx.Node, index: int, name: str) -> None:
        """Let them read element `index` along the first axis of `node` as the input `name`."""
        self.inputs[name] = self._graph.call_function(torch.ops.aten.select.int, (self._values[node], 0, index))

    def drop(self, name: str) -> None:
        """Do not compute the input `name`."""
        del self.inputs[name]

    def is_uniform(self, node: fx.Node) -> bool:
        """Whether all elements of `node` are one number."""
        return node in self._uniform

    def has(self, node: fx.Node) -> bool:
        """Whether the host has the value of `node`."""
        return node in self._values

    def integers(self, node: object) -> list[int] | None:
        """The elements of a constant vector or a buffer of integers; None for anything else."""
        while isinstance(node, fx.Node) and str(node.target) in (
            "aten.lift_fresh_copy.default",
            "aten.detach_.default",
        ):
            node = node.args[0]
        if not isinstance(node, fx.Node):
            return None
        name = self._constants.get(node.name) or self._names.get(node.name)
        value = self._program.constants.get(name, self._program.state_dict.get(name)) if name else None
        if not isinstance(value, Tensor) or value.is_floating_point() or value.ndim != 1:
            return None
        return [int(element) for element in value]

    def _known(self, operand: fx.Node) -> bool:
        if operand.name in self._names or operand.name in self._constants:
            return True
        # A float argument of the model is quantized, not computed with.
        return operand in self._values and not (operand.op == "placeholder" and is_float(operand))

    def _value(self, operand: fx.Node) -> fx.Node:
        if operand not in self._values:
            if operand.name in self._names:
                value = self._graph.call_function(tensor_named, (self._owner, self._names[operand.name]))
            else:
                name = f"constant{len(self._values)}"
                constant = self._program.constants[self._constants[operand.name]]
                self._root.register_buffer(name, constant, persistent=False)
                value = self._graph.get_attr(name)
            self._values[operand] = value
        return self._values[operand]

    def build(self, shapes: dict[str, tuple[int, ...]]) -> Host:
        """The host's part, when all inputs are known; shapes : of the inputs."""
        self._graph.output(tuple(self.inputs.values()))
        for node in self._graph.nodes:
            # A pickled graph is captured again from its code, in which these are one step each.
            node.meta["is_wrapped"] = node.target in (filled, tensor_named)
        program = fx.GraphModule(self._root, self._graph)
        program.graph.eliminate_dead_code()
        program.recompile()
        return Host(self.arguments, program, list(self.inputs), [shapes[name] for name in self.inputs])


def is_float(node: fx.Node) -> bool:
    value: Any = node.meta.get("val")
    return isinstance(value, Tensor) and value.is_floating_point()


def is_batched(node: fx.Node) -> bool:
    """Whether the first axis, and no other one, has the size of the batch."""
    shape = node.meta["val"].shape
    return len(shape) > 0 and type(shape[0]) is not int and all(type(size) is int for size in shape[1:])
