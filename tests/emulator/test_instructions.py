"""The instruction set: encoding, decoding and refusal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.instructions import (
    DEPTHWISE,
    FORMATS,
    INSTRUCTION_BYTES,
    RAW_OUTPUTS,
    RESCALED_ADDER,
    Error,
    Instruction,
    Opcode,
    decode,
    field_offsets,
    instruction,
    used_bits,
)


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    opcode = draw(st.sampled_from(list(Opcode)))
    return Instruction(opcode, {f.name: draw(st.integers(f.low, f.high)) for f in FORMATS[opcode]})


@given(instructions())
@settings(max_examples=200, deadline=None)
def test_decode_gives_back_what_was_encoded(made: Instruction) -> None:
    code = made.encode()
    assert len(code) == INSTRUCTION_BYTES
    assert decode(code) == (Error.NONE, made)


@given(instructions())
@settings(max_examples=100, deadline=None)
def test_a_spare_bit_is_refused(made: Instruction) -> None:
    word = int.from_bytes(made.encode(), "little") | 1 << used_bits(made.opcode)
    assert decode(word.to_bytes(INSTRUCTION_BYTES, "little")) == (Error.FIELD, None)


def test_fields_that_not_every_accelerator_has() -> None:
    """They may be left out, are then 0, and are illegal bits where the accelerator has not what they steer."""
    for opcode, name, feature in (
        (Opcode.REQUANTIZE, "byte", RAW_OUTPUTS),
        (Opcode.ADDER, "a_shift", RESCALED_ADDER),
        (Opcode.ADDER, "multiplier", RESCALED_ADDER),
    ):
        always = {f.name: max(f.low, min(1, f.high)) for f in FORMATS[opcode] if not f.feature}
        without, made = Instruction(opcode, always), Instruction(opcode, {**always, name: 3})
        assert (without[name], made[name]) == (0, 3)
        assert decode(without.encode(), frozenset()) == (Error.NONE, without)
        assert decode(made.encode(), frozenset()) == (Error.FIELD, None)
        error, found = decode(made.encode(), {feature})
        assert error == Error.NONE and found is not None and found[name] == 3
        assert used_bits(opcode, {feature}) == used_bits(opcode) > used_bits(opcode, frozenset())
        with pytest.raises(KeyError):
            without["no such field"]


def test_depthwise_is_refused_where_the_accelerator_has_it_not() -> None:
    """The opcode, and the number of its memory."""
    made = Instruction(Opcode.DEPTHWISE, {f.name: max(f.low, min(1, f.high)) for f in FORMATS[Opcode.DEPTHWISE]})
    load = Instruction(Opcode.LOAD, {f.name: max(f.low, 0) for f in FORMATS[Opcode.LOAD]} | {"target": 5})
    for features, errors in (((), (Error.OPCODE, Error.FIELD)), ((DEPTHWISE,), (Error.NONE, Error.NONE))):
        assert tuple(decode(one.encode(), features)[0] for one in (made, load)) == errors
    for i, name, value in ((made, "add", 1), (made, "weight_word", 64), (load, "target", 6)):
        assert decode(Instruction(i.opcode, {**i.fields, name: value}).encode(), (DEPTHWISE,))[0] == Error.FIELD


@pytest.mark.parametrize("code", sorted(set(range(256)) - set(Opcode)))
def test_unknown_opcodes_are_refused(code: int) -> None:
    assert decode(bytes([code]) + bytes(INSTRUCTION_BYTES - 1)) == (Error.OPCODE, None)


@pytest.mark.parametrize(
    ("opcode", "name", "value"),
    [
        (opcode, field.name, value)
        for opcode, fields in FORMATS.items()
        for field in fields
        for value, limit in ((0, field.minimum), ((1 << field.bits) - 1, field.maximum))
        if limit is not None
    ],
)
def test_illegal_field_values_are_refused(opcode: Opcode, name: str, value: int) -> None:
    legal = {f.name: max(f.low, min(1, f.high)) for f in FORMATS[opcode]}
    assert decode(Instruction(opcode, legal).encode())[0] == Error.NONE
    assert decode(Instruction(opcode, {**legal, name: value}).encode()) == (Error.FIELD, None)


def test_every_format_fits_and_fields_do_not_overlap() -> None:
    for opcode, fields in FORMATS.items():
        taken = [
            bit for f in fields for bit in range(field_offsets(opcode)[f.name], field_offsets(opcode)[f.name] + f.bits)
        ]
        assert len(taken) == len(set(taken))
        assert used_bits(opcode) <= 8 * INSTRUCTION_BYTES


def test_encoding_is_fixed() -> None:
    """By hand: opcode 5, wait, signal, 5 × 16 bits, two strides of 12, 4, three signed bytes, 1, 1, 7 and 4 bits."""
    made = instruction(
        Opcode.REQUANTIZE,
        wait=2,
        signal=8,
        counter_row=0x0A0B,
        accumulator_row=0x0102,
        operand_row=0x0708,
        output_row=0x0304,
        count=0x0506,
        operand_stride=0x123,
        output_stride=0x456,
        parameters=9,
        zero_point=-1,
        y_min=-128,
        y_max=127,
        add=1,
        table=1,
        lanes=0x55,
        further_blocks=13,
    )
    head = bytes([5, 0x82, 0x0B, 0x0A, 2, 1, 8, 7, 4, 3, 6, 5, 0x23, 0x61, 0x45])
    assert made.encode() == head + bytes([0xF9, 0x0F, 0xF8, 0x77, 0xB5, 0x01]) + bytes(11)


def test_wrong_fields_are_named() -> None:
    with pytest.raises(ValueError, match="COUNTERS must have the fields"):
        instruction(Opcode.COUNTERS, rows=1).encode()
    with pytest.raises(ValueError, match=r"COUNTERS\.output_row must be from 0 to 65535, not 65536"):
        instruction(Opcode.COUNTERS, wait=0, signal=0, output_row=65536).encode()
