"""`Operator`: one node of an ONNX graph, checked against the standard's schema; and the order of reading them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx import AttributeProto, NodeProto, TensorProto, defs

ATTRIBUTE_TYPES: dict[int, str] = {number: name for name, number in AttributeProto.AttributeType.items()}


@dataclass(frozen=True, eq=False)
class Operator:
    """A node.

    name : the file's, may be empty
    type : operator, with its domain in front unless that is the default one
    inputs, outputs : tensor names, '' where an optional one is left out
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, AttributeProto]

    def __str__(self) -> str:
        kind = self.type if self.type.isprintable() else repr(self.type)
        return f"{kind} {self.name!r}" if self.name else f"{kind} (unnamed, makes {self.output!r})"

    @property
    def output(self) -> str:
        """The first output's name."""
        return self.outputs[0] if self.outputs else ""

    @property
    def label(self) -> str:
        """The node's name, or its first output's where it has none."""
        return self.name or self.output

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
    result = Operator(node.name, domain + node.op_type, tuple(node.input), tuple(node.output), attributes)
    if len(attributes) != len(node.attribute):
        raise ValueError(f"{result}: an attribute is given twice")
    return result


def check_schema(op: Operator, opset: int) -> None:
    """Raise ``ValueError`` unless `op` has the inputs, outputs and attributes that the ONNX standard gives it."""
    try:
        schema = defs.get_schema(op.type, opset, "")
    except defs.SchemaError:
        raise ValueError(f"operator set {opset} has no such operator") from None
    for what, names, low, high in (
        ("inputs", op.inputs, schema.min_input, schema.max_input),
        ("outputs", op.outputs, schema.min_output, schema.max_output),
    ):
        if not low <= len(names) <= high or not all(names[:low]):
            raise ValueError(f"must have {low} to {high} {what}, not {len([n for n in names if n])}")
    for name, attribute in op.attributes.items():
        if name not in schema.attributes:
            raise ValueError(f"has the unknown attribute {name!r}")
        if attribute.ref_attr_name or ATTRIBUTE_TYPES[int(attribute.type)] != _expected(schema, name):
            raise ValueError(f"attribute {name!r} must be of type {_expected(schema, name)}")
    for name, definition in schema.attributes.items():
        if definition.required and name not in op.attributes:
            raise ValueError(f"attribute {name!r} is missing")


def _expected(schema: defs.OpSchema, name: str) -> str:
    return str(schema.attributes[name].type).removeprefix("AttrType.")


def needed_in_order(operators: Sequence[Operator], given: Iterable[str], wanted: Iterable[str]) -> list[Operator]:
    """The operators that the tensors `wanted` depend on, each after all those it reads.

    given : names that exist from the start (graph inputs, initializers)

    Raises ``ValueError`` for a name that nothing makes or two nodes make, and for a cycle.
    """
    known = set(given)
    maker: dict[str, int] = {}
    for index, op in enumerate(operators):
        for name in op.outputs:
            if name and (name in maker or name in known):
                raise ValueError(f"{op}: its output {name!r} is made twice")
            maker[name] = index
    maker.pop("", None)
    order: list[Operator] = []
    done: set[int] = set()
    open_: set[int] = set()
    for name in wanted:
        if name not in maker and name not in known:
            raise ValueError(f"output {name!r} is made by no node, input or initializer")
        # Depth first with an explicit stack: a file may hold a chain deeper than Python's recursion limit.
        stack = [maker[name]] if name in maker else []
        while stack:
            index = stack[-1]
            if index in done:
                stack.pop()
                continue
            open_.add(index)
            waiting = []
            for read in operators[index].inputs:
                if read in maker and maker[read] not in done:
                    waiting.append(maker[read])
                elif read and read not in maker and read not in known:
                    raise ValueError(f"{operators[index]}: reads {read!r}, which no node, input or initializer makes")
            if not waiting:
                stack.pop()
                open_.discard(index)
                done.add(index)
                order.append(operators[index])
            for other in waiting:
                if other in open_:
                    raise ValueError(f"{operators[other]}: depends on its own output, so the graph has a cycle")
            stack.extend(waiting)
    return order
