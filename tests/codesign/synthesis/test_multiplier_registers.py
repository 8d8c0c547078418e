"""Flip-flops move into multipliers only where nothing but the place of the register changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from codesign.synthesis.multiplier_registers import use_input_registers, use_output_registers

CLOCK, BITS = 1, 4


def flip_flop(data: int, output: int, **connections: list[Any]) -> dict[str, Any]:
    directions = dict.fromkeys(("CLK", "DI", "LSR", "CE"), "input") | {"Q": "output"}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET"},
        "connections": {"CLK": [CLOCK], "DI": [data], "LSR": ["0"], "Q": [output]} | connections,
        "port_directions": directions,
    }


def make_module() -> dict[str, Any]:
    """One multiplier, whose first outputs, bits 10 …, go to flip-flops, bits 20 …; the last output is not used."""
    outputs = {f"P{i}": [10 + i] for i in range(BITS + 1)}
    multiplier = {
        "type": "MULT18X18D",
        "parameters": {},
        "connections": {"A0": [2], "B0": [3], **outputs},
        "port_directions": {"A0": "input", "B0": "input"} | dict.fromkeys(outputs, "output"),
    }
    cells = {"product": multiplier} | {f"q{i}": flip_flop(10 + i, 20 + i) for i in range(BITS)}
    return {"cells": cells, "ports": {"clk": {"direction": "input", "bits": [CLOCK]}}}


def test_registers_move_into_the_multiplier() -> None:
    module = make_module()
    assert use_output_registers(module) == 1
    assert list(module["cells"]) == ["product"]
    multiplier = module["cells"]["product"]
    assert [multiplier["connections"][f"P{i}"] for i in range(BITS + 1)] == [[20], [21], [22], [23], []]
    assert multiplier["parameters"]["REG_OUTPUT_CLK"] == "CLK0"
    assert {port: multiplier["connections"][port] for port in ("CLK0", "CE0", "RST0")} == {
        "CLK0": [CLOCK],
        "CE0": ["1"],
        "RST0": ["0"],
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["cells"].update(other=flip_flop(11, 30)),
        lambda m: m["ports"].update(out={"direction": "output", "bits": [12]}),
        lambda m: m["cells"]["q1"]["connections"].update(CLK=[5]),
        lambda m: m["cells"]["q1"]["connections"].update(LSR=[5]),
        lambda m: m["cells"]["q1"]["parameters"].update(CEMUX="CE"),
        lambda m: m["cells"]["q1"]["parameters"].update(REGSET="SET"),
        lambda m: m["cells"]["q1"].update(type="LUT4"),
    ],
    ids=["two users", "port", "clocks", "reset", "enable", "starts with 1", "no register"],
)
def test_what_must_stay(change: Any) -> None:
    module = make_module()
    change(module)
    before = copy.deepcopy(module)
    assert use_output_registers(module) == 0
    assert module == before


def make_factors() -> dict[str, Any]:
    """A multiplier with bits 10 … of two flip-flops in one factor, the last of them twice, as the extension of a sign,
    and bit 20 of another flip-flop in the other one; the first flip-flop has a second user."""
    multiplier = {
        "type": "MULT18X18D",
        "parameters": {},
        "connections": {"A0": [10], "A1": [11], "A2": [11], "B0": [20], "B1": ["0"], "P0": [30]},
        "port_directions": dict.fromkeys(("A0", "A1", "A2", "B0", "B1"), "input") | {"P0": "output"},
    }
    cells = {"product": multiplier} | {f"q{bit}": flip_flop(bit + 100, bit) for bit in (10, 11, 20)}
    ports = {"clk": {"direction": "input", "bits": [CLOCK]}, "out": {"direction": "output", "bits": [10, 30]}}
    return {"cells": cells, "ports": ports}


def test_copies_of_registers_move_before_the_multiplier() -> None:
    module = make_factors()
    assert use_input_registers(module) == 1
    assert list(module["cells"]) == ["product", "q10"]  # the port still needs it
    multiplier = module["cells"]["product"]
    wanted = {"A0": [110], "A1": [111], "A2": [111], "B0": [120], "B1": ["0"], "P0": [30]}
    assert {port: multiplier["connections"][port] for port in wanted} == wanted
    assert multiplier["connections"]["CLK0"] == [CLOCK]
    assert {key: multiplier["parameters"][key] for key in ("REG_INPUTA_CLK", "REG_INPUTB_CLK")} == {
        "REG_INPUTA_CLK": "CLK0",
        "REG_INPUTB_CLK": "CLK0",
    }


def test_a_register_between_two_multipliers_is_of_one_of_them() -> None:
    module = make_factors()
    module["ports"]["out"]["bits"] = [30]
    before = copy.deepcopy(module["cells"]["product"])
    before["connections"] = {"A0": [120], "B0": [120], "P0": [110]}
    module["cells"] |= {"before": before}
    assert use_output_registers(module) == 1
    assert use_input_registers(module) == 0  # a product's bit is no flip-flop's any more
    assert module["cells"]["before"]["connections"]["P0"] == [10]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["cells"]["q20"]["connections"].update(CLK=[5]),
        lambda m: m["cells"]["q20"]["connections"].update(LSR=[5]),
        lambda m: m["cells"]["q11"]["parameters"].update(CEMUX="CE"),
        lambda m: m["cells"]["q10"]["parameters"].update(REGSET="SET"),
        lambda m: m["cells"]["q20"].update(type="LUT4"),
        lambda m: m["cells"]["product"]["connections"].update(B1=["1"]),
    ],
    ids=[
        "clocks",
        "reset",
        "enable",
        "starts with 1",
        "no register",
        "a constant that a register would not start with",
    ],
)
def test_factors_that_must_stay(change: Any) -> None:
    module = make_factors()
    change(module)
    before = copy.deepcopy(module)
    assert use_input_registers(module) == 0
    assert module == before
