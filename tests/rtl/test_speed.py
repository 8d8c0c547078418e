"""The speed to which `lockstep benchmark simulation` compares: the array alone, fed by itself."""

from __future__ import annotations

from rtl.speed import array_speed
from tests.end_to_end.configs import CONFIGS

START = 8
"""Cycles at the beginning of a simulation that are not counted, while cocotb starts."""


def test_the_array_is_measured_over_all_its_cycles() -> None:
    cycles, seconds = array_speed(CONFIGS["4x4"], 5000)
    assert 5000 - START <= cycles <= 5010 and seconds > 0
