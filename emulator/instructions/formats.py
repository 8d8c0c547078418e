"""The format of each opcode: its fields, one after the other, with what each means and which values are legal."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .opcodes import Opcode
from .sizes import DEPTHWISE_WORDS, OPCODE_BITS, RAW_BYTES


@dataclass(frozen=True)
class Field:
    """One field of an instruction: `bits` wide, legal from `low` to `high` (by default all that the bits can hold).

    feature : of `AcceleratorConfig.features`, the one without which the field does not exist; "": there is none
    further : the feature without which the largest value is not legal; "": there is none
    """

    name: str
    bits: int
    doc: str
    signed: bool = False
    minimum: int | None = None
    maximum: int | None = None
    feature: str = ""
    further: str = ""

    @property
    def low(self) -> int:
        """Smallest legal value."""
        return self.minimum if self.minimum is not None else -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest legal value."""
        return self.maximum if self.maximum is not None else (1 << (self.bits - self.signed)) - 1

    def most(self, features: Collection[str] | None) -> int:
        """Largest value that is legal in an accelerator with these features; None: in any."""
        return self.high - (features is not None and self.further != "" and self.further not in features)


def _count(name: str, bits: int, doc: str) -> Field:
    return Field(name, bits, doc, minimum=1)


_TOKENS = (
    Field("wait", 4, "units of which a token is consumed before the start, bit u for unit u"),
    Field("signal", 4, "units that are given a token at the end, bit u for unit u"),
)
_TRANSFER = (
    Field("memory_address", 32, "byte address of the first pixel, from the memory region's beginning"),
    Field("row", 16, "scratchpad row of the first pixel"),
    _count("lines", 16, "lines"),
    Field("line_stride", 24, "bytes from line to line"),
    _count("pixels", 16, "pixels of a line"),
    Field("pixel_stride", 24, "bytes from pixel to pixel"),
    _count("pixel_bytes", 20, "bytes of a pixel, in as many rows as it needs; LOAD fills the last one up with 0"),
    Field("pixel_rows", 12, "scratchpad rows from pixel to pixel, also from a line's last to the next line's first"),
)
_WINDOW = (
    _count("output_height", 12, "output lines"),
    _count("output_width", 12, "output pixels of a line"),
    _count("kernel_height", 8, "window lines"),
    _count("kernel_width", 8, "window pixels of a line"),
    _count("input_height", 12, "input lines in the scratchpad; a position outside contributes nothing"),
    _count("input_width", 12, "input pixels of a line in the scratchpad"),
    _count("stride_height", 8, "input lines from output line to output line"),
    _count("stride_width", 8, "input pixels from output pixel to output pixel"),
    _count("dilation_height", 8, "input lines from window line to window line"),
    _count("dilation_width", 8, "input pixels from window pixel to window pixel"),
    Field("pad_top", 12, "lines of padding above the input; negative: lines skipped", signed=True),
    Field("pad_left", 12, "pixels of padding left of the input; negative: pixels skipped", signed=True),
    _count("pixel_rows", 12, "scratchpad rows from input pixel to input pixel"),
)
_CLAMP = (
    Field("zero_point", 8, "added after rounding", signed=True),
    Field("y_min", 8, "smallest output code", signed=True),
    Field("y_max", 8, "largest output code", signed=True),
)
_PARAMETERS = Field("parameters", 4, "entry of the parameter memory")
_AFTER = (
    Field("add", 1, "1: the code and the operand's code go through the adder"),
    Field("table", 1, "1: the code goes through the table, after the adder"),
    Field("lanes", 7, "lanes that count overflows and clips, from the first one; the others are padding"),
)

RESCALED_ADDER, RAW_OUTPUTS, DEPTHWISE, COLUMN_BLOCKS = "rescaled_adder", "raw_outputs", "depthwise", "column_blocks"
"""Features that bring fields, values or an opcode with them."""
FEATURE_OF = {Opcode.DEPTHWISE: DEPTHWISE}
"""Opcodes that not every accelerator has: the feature without which they are refused."""

FORMATS: dict[Opcode, tuple[Field, ...]] = {
    Opcode.HALT: (),
    Opcode.LOAD: (
        *_TOKENS,
        *_TRANSFER,
        Field(
            "target",
            3,
            "memory: 0 activation, 1 weight, 2 operand, 3 parameter, 4 table, 5 depthwise weights",
            maximum=5,
            further=DEPTHWISE,
        ),
    ),
    Opcode.STORE: (*_TOKENS, *_TRANSFER),
    Opcode.CONVOLVE: (
        *_TOKENS,
        Field("input_row", 16, "activation scratchpad row of the input's first pixel"),
        Field("weight_row", 16, "weight scratchpad row of the first weight tile"),
        Field("accumulator_row", 16, "accumulator row of the first output position"),
        *_WINDOW,
        _count("channel_rows", 12, "weight tiles (of `rows` input channels) per window position"),
        Field("zero_point", 8, "the input's zero point", signed=True),
        Field("carry", 1, "0: sums start at the bias; 1: at the accumulator memory"),
        _PARAMETERS,
        Field(
            "further_blocks",
            4,
            "column blocks after the first one, which take turns tile by tile",
            feature=COLUMN_BLOCKS,
        ),
    ),
    Opcode.REQUANTIZE: (
        *_TOKENS,
        Field("counter_row", 16, "first of the output scratchpad's rows for the counters between column blocks"),
        Field("accumulator_row", 16, "first accumulator row"),
        Field("operand_row", 16, "operand scratchpad row of the first position, read where `add` is 1"),
        Field("output_row", 16, "output scratchpad row of the first position"),
        _count("count", 16, "positions, one accumulator row each"),
        Field("operand_stride", 12, "operand scratchpad rows from position to position"),
        Field("output_stride", 12, "output scratchpad rows from position to position"),
        _PARAMETERS,
        *_CLAMP,
        *_AFTER,
        Field("further_blocks", 4, "column blocks after the first one"),
        Field("byte", 3, "0: the code; n: byte n − 1 of the sum, 0 the lowest", maximum=RAW_BYTES, feature=RAW_OUTPUTS),
    ),
    Opcode.REDUCE: (
        *_TOKENS,
        Field("input_row", 16, "operand scratchpad row of the input's first pixel"),
        Field("output_row", 16, "output scratchpad row of the first output"),
        *_WINDOW,
        Field("output_stride", 12, "output scratchpad rows from output to output"),
        Field("mode", 2, "0 maximum; 1 sum of code − input_zero_point; 2 product; 3 first code − input_zero_point"),
        Field("input_zero_point", 8, "zero point of the input, in mode 2 of the window's first code", signed=True),
        Field("second_zero_point", 8, "mode 2: zero point of the window's second code", signed=True),
        _PARAMETERS,
        *_CLAMP,
        *_AFTER,
    ),
    Opcode.ADDER: (
        *_TOKENS,
        Field("a_multiplier", 31, "of the requantized code"),
        Field("b_multiplier", 31, "of the operand's code"),
        Field("shift", 6, "shared by both; of their sum with the rescaled adder", maximum=62),
        Field("a_zero_point", 8, "of the requantized code", signed=True),
        Field("b_zero_point", 8, "of the operand's code", signed=True),
        *_CLAMP,
        Field("subtract", 1, "1: the operand's term is negated"),
        Field("a_shift", 6, "of the requantized code", maximum=62, feature=RESCALED_ADDER),
        Field("b_shift", 6, "of the operand's code", maximum=62, feature=RESCALED_ADDER),
        Field("multiplier", 31, "of the sum", feature=RESCALED_ADDER),
    ),
    Opcode.DEPTHWISE: (
        *_TOKENS,
        Field("input_row", 16, "operand scratchpad row of the input's first pixel"),
        Field("output_row", 16, "output scratchpad row of the first output"),
        *_WINDOW,
        Field("output_stride", 12, "output scratchpad rows from output to output"),
        Field("carry", 1, "0: sums start at the bias; 1: at the waiting sums"),
        Field("keep", 1, "1: the sums wait for the next DEPTHWISE; there are no outputs"),
        Field("input_zero_point", 8, "zero point of the input", signed=True),
        Field("weight_word", 8, "word of the first segment's weights", maximum=DEPTHWISE_WORDS - 1),
        _PARAMETERS,
        *_CLAMP,
        Field("add", 1, "0: no code is left to add", maximum=0),
        *_AFTER[1:],
    ),
    Opcode.COUNTERS: (*_TOKENS, Field("output_row", 16, "first of the output scratchpad's 12 rows")),
}


def largest(opcode: Opcode, name: str) -> int:
    """Largest legal value of a format's field."""
    return next(field.high for field in FORMATS[opcode] if field.name == name)


def field_offsets(opcode: Opcode) -> dict[str, int]:
    """First bit of each field of a format."""
    offsets, bit = {}, OPCODE_BITS
    for field in FORMATS[opcode]:
        offsets[field.name] = bit
        bit += field.bits
    return offsets


def fields_of(opcode: Opcode, features: Collection[str] | None = None) -> tuple[Field, ...]:
    """The fields of a format that exist in an accelerator with these features, None: in any."""
    return tuple(f for f in FORMATS[opcode] if features is None or not f.feature or f.feature in features)


def exists(opcode: Opcode, features: Collection[str] | None = None) -> bool:
    """Whether an accelerator with these features, None: any, executes the opcode."""
    return features is None or opcode not in FEATURE_OF or FEATURE_OF[opcode] in features


def used_bits(opcode: Opcode, features: Collection[str] | None = None) -> int:
    """Bits of a format, the opcode's included, as in `fields_of`; those above must be 0."""
    return OPCODE_BITS + sum(field.bits for field in fields_of(opcode, features))
