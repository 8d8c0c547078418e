"""Flip-flops move into block RAMs only where nothing but the place of the register changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from codesign.synthesis.memory_registers import use_memory_registers

CLOCK, ENABLE = 1, 2
BITS = 3


def flip_flop(data: int, output: int, **connections: list[Any]) -> dict[str, Any]:
    directions = dict.fromkeys(("CLK", "DI", "LSR", "CE"), "input") | {"Q": "output"}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "CE", "CLKMUX": "CLK", "REGSET": "RESET"},
        "connections": {"CLK": [CLOCK], "DI": [data], "LSR": ["0"], "CE": [ENABLE], "Q": [output]} | connections,
        "port_directions": directions,
    }


def make_module(width: int) -> dict[str, Any]:
    """A block RAM that is read at side B, and from 36 bits on with the outputs of both; bits 10 … and 15 … go to
    flip-flops, bits 20 … and 25 …; each side's last output is not used."""
    sides = "AB" if width == 36 else "B"
    outputs = {f"DO{side}{i}": [10 + 5 * (side == "A") + i] for side in sides for i in range(BITS + 1)}
    memory = {
        "type": "DP16KD",
        "parameters": {"DATA_WIDTH_B": f"{width:032b}", "REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
        "connections": {"CLKA": [3], "CLKB": [CLOCK], "OCEA": ["1"], "OCEB": ["1"], **outputs},
        "port_directions": dict.fromkeys(("CLKA", "CLKB", "OCEA", "OCEB"), "input") | dict.fromkeys(outputs, "output"),
    }
    used = [bits[0] for name, bits in outputs.items() if not name.endswith(str(BITS))]
    cells = {"memory": memory} | {f"q{bit}": flip_flop(bit, bit + 10) for bit in used}
    return {"cells": cells, "ports": {"clk": {"direction": "input", "bits": [CLOCK]}}}


@pytest.mark.parametrize(("width", "sides"), [(9, "B"), (36, "AB")])
def test_registers_move_into_the_block_ram(width: int, sides: str) -> None:
    module = make_module(width)
    assert use_memory_registers(module) == 1
    assert list(module["cells"]) == ["memory"]
    memory = module["cells"]["memory"]
    for side, first in (("B", 20), ("A", 25)):
        used = side in sides
        assert memory["parameters"][f"REGMODE_{side}"] == ("OUTREG" if used else "NOREG")
        assert memory["connections"][f"OCE{side}"] == ([ENABLE] if used else ["1"])
        if used:
            outputs = [memory["connections"][f"DO{side}{i}"] for i in range(BITS + 1)]
            assert outputs == [[first], [first + 1], [first + 2], []]


def test_registers_without_enable() -> None:
    module = make_module(9)
    for bit in range(10, 10 + BITS):
        module["cells"][f"q{bit}"]["parameters"]["CEMUX"] = "1 "
        del module["cells"][f"q{bit}"]["connections"]["CE"]
    assert use_memory_registers(module) == 1
    assert module["cells"]["memory"]["connections"]["OCEB"] == ["1"]


@pytest.mark.parametrize("width", [9, 36])
@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["cells"].update(other=flip_flop(11, 30)),
        lambda m: m["ports"].update(out={"direction": "output", "bits": [12]}),
        lambda m: m["cells"]["q11"]["connections"].update(CLK=[3]),
        lambda m: m["cells"]["q11"]["connections"].update(CE=[5]),
        lambda m: m["cells"]["q11"]["connections"].update(LSR=[5]),
        lambda m: m["cells"]["q11"]["parameters"].update(CEMUX="1 "),
        lambda m: [cell["parameters"].update(CEMUX="INV") for name, cell in m["cells"].items() if name[0] == "q"],
        lambda m: m["cells"]["q11"]["parameters"].update(CLKMUX="INV"),
        lambda m: m["cells"]["q11"]["parameters"].update(REGSET="SET"),
        lambda m: m["cells"]["q11"].update(type="LUT4"),
        lambda m: [m["cells"].pop(name) for name in list(m["cells"]) if name[0] == "q"],
    ],
    ids=[
        "two users",
        "port",
        "clocks",
        "enables",
        "reset",
        "enabled or not",
        "inverted enable",
        "other edge",
        "starts with 1",
        "no register",
        "no user",
    ],
)
def test_what_must_stay(width: int, change: Any) -> None:
    module = make_module(width)
    change(module)
    before = copy.deepcopy(module)
    assert use_memory_registers(module) == 0
    assert module == before
