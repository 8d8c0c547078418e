"""From torch.export's graph to the layers of a prepared model: one handler per operator, then fusing."""

from __future__ import annotations

import operator

from torch import SymInt, Tensor, fx
from torch.export import ExportedProgram

from emulator import Arithmetic

from ..host import Host
from ..layers.layer import Layer
from ..results import Results, result_names
from ..scales.settings import Settings
from . import activations, elementwise, moves, orders, pools, recurrent, regroup, steps, unroll, weights
from .arguments import Arguments, Handler, shape_of
from .fuse import fuse
from .host_builder import HostBuilder, is_batched
from .regroup import Regrouped
from .steps import Steps
from .trace import describe, layer_name

# A layer or an input, or what several layers make that are no tensor of the integer graph.
Made = str | Steps | Regrouped

# An in-place operator is handled as the one without the underscore.
HANDLERS: dict[str, Handler] = {
    **weights.HANDLERS,
    **activations.HANDLERS,
    **elementwise.HANDLERS,
    **moves.HANDLERS,
    **orders.HANDLERS,
    **pools.HANDLERS,
    **recurrent.HANDLERS,
    **unroll.HANDLERS,
}


class Lowering:
    """The layers of one exported program, in order, and the host's part.

    layers : name → layer; results : what the model returns of them; host : what is computed before them

    Raises ``ValueError`` naming the node, and the line of the user's source, where something is not supported.
    """

    host: Host
    results: Results

    def __init__(self, program: ExportedProgram, arithmetic: Arithmetic, settings: Settings) -> None:
        signature = program.graph_signature
        self.tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.arithmetic, self.settings = arithmetic, settings
        self.layers: dict[str, Layer] = {}
        shape = program.call_spec.out_spec
        assert shape is not None
        structure = shape.unflatten(range(shape.num_leaves))
        # What the model returns: name in the file → layer.
        self.outputs = dict.fromkeys(result_names(structure), "")
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.builder = HostBuilder(program)
        users = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in signature.user_inputs]
        self._arguments = {node: "input" if len(users) == 1 else node.name for node in users}
        self._nodes: dict[str, fx.Node] = {}  # layer → the node that it stands for
        self._made: dict[fx.Node, Made | tuple[Made, ...]] = {}  # node → what makes its value, or its values
        self._starts: dict[tuple[fx.Node, int], str] = {}  # host's node, index along its first axis → input
        self._overwritten: dict[fx.Node, fx.Node] = {}  # node → the in-place operator behind which it is another value
        self._batches = {batch for node in users for batch in symbols(node.meta["val"])}
        for node in program.graph.nodes:
            try:
                self._lower(node)
            except ValueError as error:
                raise ValueError(f"{describe(node)}: {error}") from None
        fuse(self)
        self.host = self.builder.build(self.inputs)
        self.results = Results(self.outputs, structure)

    def error(self, layer: str, text: str) -> ValueError:
        """An error about the node that `layer` stands for."""
        return ValueError(f"{describe(self._nodes[layer])}: {text}")

    def rank(self, layer: str) -> int:
        """How many axes the node that `layer` stands for has behind the batch's."""
        return len(shape_of(self._nodes[layer]))

    def _lower(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            return
        if node.op == "output":
            for name, result in zip(self.outputs, node.args[0], strict=True):  # type: ignore[arg-type]
                if not isinstance(result, fx.Node):
                    raise ValueError(f"the model must return tensors that its layers make, not {result!r}")
                self.outputs[name] = self.source(result)
        elif self.builder.computes(node):
            return
        elif node.target is operator.getitem:
            made = self._made.get(node.args[0])  # type: ignore[arg-type]
            # Of an operator with several results those that no layer makes are refused where they are read.
            if isinstance(made, tuple) and node.args[1] < len(made):  # type: ignore[operator]
                self._made[node] = made[node.args[1]]  # type: ignore[index]
        elif isinstance(node.meta.get("val"), (Tensor, tuple, list)):
            self._operator(node)
            self._check_batch(node)
            if str(node.target).split(".")[1].endswith("_"):
                self._overwrite(node)

    def _operator(self, node: fx.Node) -> None:
        kind, arguments = str(node.target).replace("_.", "."), Arguments(node)
        if kind not in HANDLERS:
            raise ValueError("this operator is not supported")
        operand = node.args[0]
        made = self.made(operand) if isinstance(operand, fx.Node) and operand in self._made else None
        if isinstance(made, Steps) and kind not in unroll.HANDLERS:
            if steps.handled(self, node, kind, made, arguments):
                return
            self.source(operand)  # where the batch must be first
        if isinstance(made, Regrouped) and regroup.handled(self, node, kind, made, arguments):
            return
        HANDLERS[kind](self, node, arguments)

    def _check_batch(self, node: fx.Node) -> None:
        """Refuse results of which an axis is a part of the batch, or the batch and more."""
        values = node.meta["val"]
        for value in values if isinstance(values, (tuple, list)) else (values,):
            if isinstance(value, Tensor) and not symbols(value) <= self._batches:
                raise ValueError(f"the batch must stay a whole axis, which it is not in {tuple(value.shape)}")

    def _overwrite(self, node: fx.Node) -> None:
        """Behind an in-place operator all names of its tensor mean the result; views of it have lost theirs."""
        operand = node.args[0]
        assert isinstance(operand, fx.Node)
        before, memory = self._made.get(operand), storage(operand)
        for other in (*self._made, *self._arguments):
            if other is not node and (other is operand or storage(other) == memory):
                if other is operand or self._made.get(other) == before:
                    self._made[other] = self._made[node]
                else:
                    self._overwritten[other] = node

    def source(self, node: object) -> str:
        """The layer, or the input, that makes the tensor of `node`."""
        made = self.made(node)
        return made if isinstance(made, str) else made.layer

    def made(self, node: object) -> Made:
        """What makes the tensor of `node`."""
        if isinstance(node, fx.Node):
            if node in self._overwritten:
                raise ValueError(f"its input shares memory with what {describe(self._overwritten[node])} overwrites")
            if node not in self._made and self.builder.has(node) and is_batched(node):
                self._made[node] = self._input(node)
            made = self._made.get(node)
            if isinstance(made, tuple):
                made = made[0]
            if made is not None:
                return made
        raise ValueError("its input must be a tensor that the model's layers make")

    def _input(self, node: fx.Node) -> str:
        if not node.meta["val"].is_floating_point():
            raise ValueError("its input must be a float tensor, not one of integers")
        shape = shape_of(node)
        if not 1 <= len(shape) <= 3:
            raise ValueError(f"its input must have 1 to 3 axes behind the batch's, not {shape}")
        name = self._arguments.get(node) or self.unique(node)
        number, candidate = 0, name
        while candidate in self.outputs:  # the file's results have those names
            number += 1
            candidate = f"{name}_{number}"
        name = candidate
        self.inputs[name] = shape
        self.builder.input(node, name)
        return name

    def start(self, node: fx.Node, index: int, name: str) -> str:
        """Element `index` along the first axis of a tensor (layers, batch, length), a state to start a recurrence from.

        name : of the input, where the host makes it
        """
        shape = node.meta["val"].shape
        made = self.made(node) if node in self._made else None
        if isinstance(made, Steps) and made.batch_second:
            return made.parts[index]
        if not self.builder.has(node) or len(shape) != 3 or type(shape[1]) is int:
            raise ValueError(
                "its states must be tensors (layers, batch, length) that the model's layers or the host make"
            )
        index = 0 if self.builder.is_uniform(node) else index
        if (node, index) not in self._starts:
            self._starts[node, index] = name
            self.inputs[name] = (int(shape[2]),)
            self.builder.part(node, index, name)
        return self._starts[node, index]

    def parameter(self, node: object, what: str) -> str | None:
        """The qualified name of a parameter or buffer; None for None."""
        if node is None:
            return None
        if not isinstance(node, fx.Node) or node.name not in self.tensors:
            raise ValueError(f"its {what} must be a parameter of the model")
        name: str = self.tensors[node.name]
        return name

    def add(self, node: fx.Node, layer: Layer) -> str:
        """Append a layer that makes the value of `node`; returns its name."""
        self.layers[layer.name] = layer
        self._nodes[layer.name] = node
        self.alias(node, layer.name)
        return layer.name

    def alias(self, node: fx.Node, *made: Made) -> None:
        """Let `node` stand for the result of a layer, or for the results of several."""
        self._made[node] = made[0] if len(made) == 1 and isinstance(node.meta["val"], Tensor) else made

    def unique(self, node: fx.Node, part: str = "") -> str:
        """A free name for a layer that stands for `node`, or for a part of what it does."""
        name = layer_name(node) + (f".{part}" if part else "")
        arguments = {name for node, name in self._arguments.items() if node.meta["val"].is_floating_point()}
        taken, number, candidate = {*arguments, *self.inputs, *self.layers}, 0, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        return candidate


def symbols(value: Tensor) -> set[object]:
    """The sizes of a captured tensor that depend on the batch's."""
    sizes: list[object] = list(value.shape)
    return {size.node.expr for size in sizes if isinstance(size, SymInt)}


def storage(node: fx.Node) -> int | None:
    """What identifies the memory of a node's tensor."""
    value = node.meta.get("val")
    return value.untyped_storage()._cdata if isinstance(value, Tensor) else None
