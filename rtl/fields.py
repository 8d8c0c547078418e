"""An instruction format's fields as an Amaranth layout, made from the declarations in `emulator.instructions`."""

from amaranth import Shape
from amaranth.lib import data

from emulator.instructions import FORMATS, INSTRUCTION_BITS, Opcode, field_offsets


def fields_layout(opcode: Opcode) -> data.FlexibleLayout:
    """Layout over a whole instruction: each field of the format at its place."""
    offsets = field_offsets(opcode)
    return data.FlexibleLayout(
        INSTRUCTION_BITS,
        {field.name: data.Field(Shape(field.bits, field.signed), offsets[field.name]) for field in FORMATS[opcode]},
    )
