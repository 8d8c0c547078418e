"""What a model's code makes of parameters, buffers and constants alone, as programs of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import ExportedProgram

from ..layers.computed import Computed, value_of

Step = tuple[Callable[..., Tensor], Sequence[Any]]


class Constants:
    """The nodes of one captured graph whose values do not depend on the model's arguments."""

    def __init__(self, program: ExportedProgram) -> None:
        signature = program.graph_signature
        self._names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self._lifted = signature.inputs_to_lifted_tensor_constants
        self._constants = program.constants
        self._known: set[fx.Node] = set()
        self._made: dict[object, Computed] = {}
        for node in program.graph.nodes:
            if self._depends_on_none(node):
                self._known.add(node)

    def _depends_on_none(self, node: fx.Node) -> bool:
        value = node.meta.get("val")
        if node.op == "placeholder":
            return node.name in self._names or node.name in self._lifted
        if node.op != "call_function" or not isinstance(node.target, OpOverload) or not isinstance(value, Tensor):
            return False
        if torch.Tag.nondeterministic_seeded in node.target.tags or (
            node.target._schema.is_mutable and node.target is not torch.ops.aten.detach_.default
        ):
            return False
        return all(type(size) is int for size in value.shape) and self._known.issuperset(node.all_input_nodes)

    def __contains__(self, node: object) -> bool:
        return isinstance(node, fx.Node) and node in self._known

    def number(self, node: object) -> float | None:
        """The only element of a tensor that no parameter and no buffer takes part in; None for anything else."""
        if node not in self or not isinstance(node, fx.Node) or node.meta["val"].numel() != 1:
            return None
        computed = self.computed(node)
        return None if computed.names else float(computed(nn.Module()))

    def computed(self, node: fx.Node, *steps: Step) -> Computed:
        """The value of `node` in float32, and steps behind it: functions of the value, with their other arguments.

        The same node with the same steps gives the same object, whose weights layers then share.
        """
        key = (self._origin(node), tuple((function, repr(arguments)) for function, arguments in steps))
        if key not in self._made:
            self._made[key] = self._captured(node, steps)
        return self._made[key]

    def _origin(self, node: fx.Node) -> object:
        return self._names.get(node.name, node) if node.op == "placeholder" else node

    def _captured(self, node: fx.Node, steps: Sequence[Step]) -> Computed:
        graph, root = fx.Graph(), nn.Module()
        owner = graph.placeholder("owner")
        copies: dict[fx.Node, fx.Node] = {}
        names: list[str] = []
        for part in _ancestors(node):
            if part.op != "placeholder":
                copies[part] = graph.node_copy(part, copies.__getitem__)
            elif part.name in self._names:
                names.append(self._names[part.name])
                copies[part] = graph.call_function(value_of, (owner, names[-1]))
            else:
                constant = f"constant{len(copies)}"
                root.register_buffer(constant, self._constants[self._lifted[part.name]], persistent=False)
                copies[part] = graph.get_attr(constant)
        result = graph.call_method("float", (copies[node],))
        for function, arguments in steps:
            result = graph.call_function(function, (result, *arguments))
        graph.output(result)
        for part in graph.nodes:
            # A pickled graph is captured again from its code, in which our own functions are one step each.
            part.meta["is_wrapped"] = getattr(part.target, "__module__", "").startswith("qat.")
        return Computed(fx.GraphModule(root, graph), names)


def _ancestors(node: fx.Node) -> list[fx.Node]:
    """All that the value of `node` is made of, and the node itself, in order."""
    found, waiting = {node}, [node]
    while waiting:
        for before in waiting.pop().all_input_nodes:
            if before not in found:
                found.add(before)
                waiting.append(before)
    return sorted(found)
