"""Whether a node has the inputs, outputs and attributes that the ONNX standard gives its operator."""

from __future__ import annotations

from onnx import AttributeProto, defs

from .operator import Operator

ATTRIBUTE_TYPES: dict[int, str] = {number: name for name, number in AttributeProto.AttributeType.items()}


def check_schema(op: Operator, opset: int) -> int:
    """The operator set that brought the version of `op`, an operator of the default domain, that `opset` has.

    Raises ``ValueError`` unless it has the inputs, outputs and attributes that the standard gives it.
    """
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
    return int(schema.since_version)


def _expected(schema: defs.OpSchema, name: str) -> str:
    return str(schema.attributes[name].type).removeprefix("AttrType.")
