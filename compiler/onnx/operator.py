"""`Operator`: one node of an ONNX graph, with typed access to its attributes."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from ..reading.origin import Origin


@dataclass(frozen=True, eq=False)
class Operator(Origin):
    """A node; its type has the domain in front unless that is the default one.

    inputs : tensor names, '' where an optional one is left out
    node : as the file has it; of an operator that is a step of another one, an empty one
    """

    inputs: tuple[str, ...]
    attributes: dict[str, AttributeProto]
    node: NodeProto = field(default_factory=NodeProto)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all tensors that it depends on: its inputs, and what its subgraphs take from outside."""
        graphs = [graph for attribute in self.attributes.values() for graph in (attribute.g, *attribute.graphs)]
        return tuple(name for name in self.inputs if name) + tuple(
            name for graph in graphs if graph.node for name in _captured(graph)
        )

    def input(self, index: int) -> str:
        """Name of an input, '' where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """An INT attribute."""
        return int(self.attributes[name].i) if name in self.attributes else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An INTS attribute, None where it is left out."""
        return tuple(int(v) for v in self.attributes[name].ints) if name in self.attributes else None

    def real(self, name: str, default: float) -> float:
        """A FLOAT attribute."""
        return float(self.attributes[name].f) if name in self.attributes else default

    def text(self, name: str, default: str) -> str:
        """A STRING attribute."""
        return self.attributes[name].s.decode("utf-8", "replace") if name in self.attributes else default

    def tensor(self, name: str) -> TensorProto | None:
        """A TENSOR attribute, None where it is left out."""
        return self.attributes[name].t if name in self.attributes else None

    def only(self, name: str, value: int | float | str, reason: str) -> None:
        """Raise ``ValueError`` with `reason` unless attribute `name`, whose default is `value`, has that value."""
        if isinstance(value, str):
            found: int | float | str = self.text(name, value)
        else:
            found = self.integer(name, value) if isinstance(value, int) else self.real(name, value)
        if found != value:
            raise ValueError(f"{name} must be {value!r}, not {found!r} ({reason})")


def operator(node: NodeProto) -> Operator:
    """The `Operator` of a node; ``ValueError`` if an attribute occurs twice."""
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    attributes = {attribute.name: attribute for attribute in node.attribute}
    result = Operator(node.name, domain + node.op_type, tuple(node.output), tuple(node.input), attributes, node)
    if len(attributes) != len(node.attribute):
        raise ValueError(f"{result}: an attribute is given twice")
    return result


def _captured(graph: GraphProto) -> list[str]:
    """What a subgraph reads from the graphs around it; protobuf's own limit bounds how deep they lie."""
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer} | {""}
    names: dict[str, None] = {}
    for node in graph.node:
        inner = [g for attribute in node.attribute for g in (attribute.g, *attribute.graphs) if g.node]
        reads = [*node.input, *(name for g in inner for name in _captured(g))]
        names |= dict.fromkeys(name for name in reads if name not in known)
        known |= set(node.output)
    return [*names, *(value.name for value in graph.output if value.name not in known and value.name not in names)]
