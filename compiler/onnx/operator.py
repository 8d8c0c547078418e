"""`Operator`: one node of an ONNX graph, with typed access to its attributes."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import AttributeProto, NodeProto, TensorProto

from ..reading.origin import Origin


@dataclass(frozen=True, eq=False)
class Operator(Origin):
    """A node; its type has the domain in front unless that is the default one.

    inputs : tensor names, '' where an optional one is left out
    """

    inputs: tuple[str, ...]
    attributes: dict[str, AttributeProto]

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
    result = Operator(node.name, domain + node.op_type, tuple(node.output), tuple(node.input), attributes)
    if len(attributes) != len(node.attribute):
        raise ValueError(f"{result}: an attribute is given twice")
    return result
