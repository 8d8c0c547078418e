"""The validated parameters of the contract."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from emulator import Arithmetic


def test_defaults() -> None:
    assert Arithmetic().as_dict() == {
        "activation_bits": 8,
        "weight_bits": 8,
        "accumulator_bits": 32,
        "overflow": "saturate",
        "multiplier_bits": 24,
        "rounding": "half_even",
        "adder": "shared_shift",
    }


def test_ranges() -> None:
    arithmetic = Arithmetic(activation_bits=4, weight_bits=2, accumulator_bits=12, multiplier_bits=4)
    assert arithmetic.activation_range == (-8, 7)
    assert arithmetic.weight_range == (-2, 1)
    assert arithmetic.accumulator_range == arithmetic.bias_range == (-2048, 2047)
    assert (arithmetic.operand_bits, arithmetic.adder_multiplier_bits) == (24, 16)
    wide = Arithmetic(accumulator_bits=48, multiplier_bits=15)
    assert wide.bias_range == (-(2**31), 2**31 - 1)
    assert wide.operand_bits == 48


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_bits": 1}, "activation_bits must be an integer from 2 to 8, not 1"),
        ({"activation_bits": 9}, "activation_bits must be an integer from 2 to 8, not 9"),
        ({"activation_bits": 8.0}, "activation_bits must be an integer from 2 to 8, not 8.0"),
        ({"weight_bits": True}, "weight_bits must be an integer from 2 to 8, not True"),
        ({"accumulator_bits": 7}, "accumulator_bits must be an integer from 8 to 48, not 7"),
        ({"accumulator_bits": 49}, "accumulator_bits must be an integer from 8 to 48, not 49"),
        ({"overflow": "clip"}, "overflow must be one of saturate, wrap, not 'clip'"),
        ({"multiplier_bits": 0}, "multiplier_bits must be an integer from 1 to 31, not 0"),
        ({"multiplier_bits": 32}, "multiplier_bits must be an integer from 1 to 31, not 32"),
        ({"accumulator_bits": 40}, "multiplier_bits must be at most 63 − max.accumulator_bits, 24. = 23, not 24"),
        ({"rounding": None}, "rounding must be one of half_even, .*, not None"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Arithmetic(**change)


def test_frozen_and_hashable() -> None:
    arithmetic = Arithmetic()
    with pytest.raises(FrozenInstanceError):
        arithmetic.rounding = "floor"  # type: ignore[misc]
    assert {arithmetic: 1}[Arithmetic()] == 1
