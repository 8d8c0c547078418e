"""`Lowering`: the layers of one exported program while they grow, and what every handler asks of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import SymInt, Tensor, fx
from torch.export import ExportedProgram

from emulator import Arithmetic

from ..layers.computed import Computed
from ..layers.layer import Layer
from ..results import result_names
from ..scales.settings import Settings
from .arguments import shape_of
from .constants import Constants
from .host_builder import HostBuilder, is_batched
from .made import Made, Steps
from .trace import describe, layer_name


class Lowering:
    """The layers of one exported program, in order, and the nodes that they stand for.

    constants : what the model's code makes of parameters and constants alone
    layers : name → layer; inputs : name → shape without the batch axis; outputs : what the model returns, name in the
    file → layer; builder : what is computed on the host
    """

    def __init__(self, program: ExportedProgram, arithmetic: Arithmetic, settings: Settings) -> None:
        signature = program.graph_signature
        self.tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.arithmetic, self.settings = arithmetic, settings
        self.layers: dict[str, Layer] = {}
        shape = program.call_spec.out_spec
        assert shape is not None
        self.structure = shape.unflatten(range(shape.num_leaves))
        self.outputs = dict.fromkeys(result_names(self.structure), "")
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.builder = HostBuilder(program)
        self.constants = Constants(program)
        users = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in signature.user_inputs]
        self._arguments = {node: "input" if len(users) == 1 else node.name for node in users}
        self.states: dict[str, str] = {}  # input that starts a recurrence → the layer of the next such state
        self._nodes: dict[str, fx.Node] = {}  # layer → the node that it stands for
        self._made: dict[fx.Node, Made | tuple[Made, ...]] = {}  # node → what makes its value, or its values
        self._starts: dict[tuple[fx.Node, int], str] = {}  # host's node, index along its first axis → input
        self._overwritten: dict[fx.Node, fx.Node] = {}  # node → the in-place operator behind which it is another value
        self.batches = {batch for node in users for batch in symbols(node.meta["val"])}

    def insert(self, before: str, layer: Layer) -> None:
        """Put a layer in front of the layer `before`, for the same node."""
        layers = list(self.layers.items())
        place = list(self.layers).index(before)
        self.layers.clear()
        self.layers.update([*layers[:place], (layer.name, layer), *layers[place:]])
        self._nodes[layer.name] = self._nodes[before]

    def error(self, layer: str, text: str) -> ValueError:
        """An error about the node that `layer` stands for."""
        return ValueError(f"{describe(self._nodes[layer])}: {text}")

    def rank(self, layer: str) -> int:
        """How many axes the node that `layer` stands for has behind the batch's."""
        return len(shape_of(self._nodes[layer]))

    def overwrite(self, node: fx.Node) -> None:
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

    def has(self, node: fx.Node) -> bool:
        """Whether layers make the value of `node`, or one of its values."""
        return node in self._made

    def pick(self, node: fx.Node) -> None:
        """Let `node` stand for one of the results of an operator with several.

        Those that no layer makes are refused where they are read.
        """
        made = self._made.get(node.args[0])  # type: ignore[arg-type]
        if isinstance(made, tuple) and node.args[1] < len(made):  # type: ignore[operator]
            self._made[node] = made[node.args[1]]  # type: ignore[index]

    def drop_inputs(self) -> None:
        """Forget the inputs that no layer and no result reads any more."""
        read = {source for layer in self.layers.values() for source in layer.sources} | set(self.outputs.values())
        for name in set(self.inputs) - read:
            del self.inputs[name]
            self.states.pop(name, None)
            self.builder.drop(name)

    def source(self, node: object) -> str:
        """The layer, or the input, that makes the tensor of `node`."""
        made = self.made(node)
        return made if isinstance(made, str) else made.layer

    def made(self, node: object) -> Made:
        """What makes the tensor of `node`."""
        if isinstance(node, fx.Node):
            if node in self._overwritten:
                raise ValueError(
                    f"its input shares memory with what {describe(self._overwritten[node])} overwrites: use the "
                    "operator "
                    "there that makes a new tensor"
                )
            if node not in self._made and self.builder.has(node) and is_batched(node):
                self._made[node] = self._input(node)
            made = self._made.get(node)
            if isinstance(made, tuple):
                made = made[0]
            if made is not None:
                return made
        raise ValueError(
            "its input must be a tensor that the model's layers make: give others to the model as arguments of its own"
        )

    def _input(self, node: fx.Node) -> str:
        if not node.meta["val"].is_floating_point():
            raise ValueError(
                "its input must be a float tensor, not one of integers: look it up in an embedding, or convert "
                "it before"
            )
        shape = shape_of(node)
        if not 1 <= len(shape) <= 3:
            raise ValueError(f"its input must have 1 to 3 axes behind the batch's, not {shape}: reshape it before")
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
                "its states must be tensors (layers, batch, length) that the model's layers or the host make: "
                "stack them with unsqueeze and cat"
            )
        index = 0 if self.builder.is_uniform(node) else index
        if (node, index) not in self._starts:
            self._starts[node, index] = name
            self.inputs[name] = (int(shape[2]),)
            self.builder.part(node, index, name)
        return self._starts[node, index]

    def follow(self, before: Sequence[str], after: Sequence[str]) -> None:
        """Note which states come behind which, where the former are inputs."""
        self.states |= {a: b for a, b in zip(before, after, strict=True) if a in self.inputs and a not in self.states}

    def number(self, value: object) -> float | None:
        """A number, or the only element of a constant; None for anything else."""
        return float(value) if isinstance(value, (int, float)) else self.constants.number(value)

    def parameter(self, node: object, what: str) -> str | None:
        """The qualified name of a parameter or buffer; None for None."""
        if node is None:
            return None
        if not isinstance(node, fx.Node) or node.name not in self.tensors:
            raise ValueError(f"its {what} must be a parameter or a buffer of the model: register it")
        name: str = self.tensors[node.name]
        return name

    def tensor(self, node: object, what: str) -> str | Computed | None:
        """A parameter or buffer, or what the model's code makes of them; None for None."""
        if isinstance(node, fx.Node) and node.name not in self.tensors and node in self.constants:
            return self.constants.computed(node)
        if node is not None and node not in self.constants:
            raise ValueError(
                f"its {what} must be a parameter of the model, or made of parameters alone: use torch.matmul for a "
                "product of two activations"
            )
        return self.parameter(node, what)

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
        return self.free(layer_name(node) + (f".{part}" if part else ""))

    def free(self, name: str) -> str:
        """`name`, with a number behind it if a layer or an input bears it."""
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
