"""The speeds that `lockstep benchmark simulation` compares: the whole accelerator, and its array fed by itself."""

from __future__ import annotations

from emulator.instructions import Instruction, Opcode
from emulator.machine import Machine
from rtl.simulation import Plan
from rtl.speed import accelerator_speed, array_speed
from tests.end_to_end.configs import CONFIGS

CONFIG = CONFIGS["4x4"]
START = 8
"""Cycles at the beginning of a simulation that are not counted, while cocotb starts."""


def test_both_are_measured_over_all_their_cycles() -> None:
    image = Instruction(Opcode.HALT, {}).encode()
    (record,) = Machine(CONFIG).execute([image], 0, len(image))
    cycles, seconds = accelerator_speed(CONFIG, Plan(image, 0, len(image)))
    assert cycles > record.cycles and seconds > 0
    cycles, seconds = array_speed(CONFIG, 5000)
    assert 5000 - START <= cycles <= 5010 and seconds > 0
