"""Registers are copied only where their users lie far apart, and a copy changes nothing but who is driven by which."""

from __future__ import annotations

import copy
from typing import Any

from codesign.synthesis.register_copies import copy_registers

CLOCK, DATA, ENABLE, OUTPUT, UNUSED, UNUSED_INPUT = 1, 2, 3, 10, 30, 31


def cell(kind: str, inputs: dict[str, list[int]], outputs: dict[str, list[int]], bel: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "parameters": {},
        "attributes": {"BEL": bel} if bel else {},
        "connections": inputs | outputs,
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
    }


def make_module(xs: list[int], more: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """A register whose output, a port of the module, enables memories at `xs` in parts ``part_0``, …."""
    cells = {"register": cell("TRELLIS_FF", {"CLK": [CLOCK], "DI": [DATA], "CE": [ENABLE]}, {"Q": [OUTPUT]})}
    for index, x in enumerate(xs):
        cells[f"part_{index}.memory"] = cell("DP16KD", {"CEB": [OUTPUT], "CLKB": [CLOCK]}, {}, f"X{x}/Y22/EBR0")
        cells[f"part_{index}"] = cell("$scopeinfo", {}, {})
    return {
        "cells": cells | (more or {}),
        "ports": {
            "out": {"direction": "output", "bits": [OUTPUT]},
            "unused": {"direction": "input", "bits": [UNUSED_INPUT]},
        },
        "netnames": {"nothing": {"hide_name": 0, "bits": [UNUSED], "attributes": {}}},
    }


def drivers(module: dict[str, Any], name: str, port: str) -> list[str]:
    bits = module["cells"][name]["connections"][port]
    return [
        other
        for other, found in module["cells"].items()
        for out, side in found["port_directions"].items()
        if side == "output" and found["connections"][out] == bits
    ]


def test_users_on_the_right_get_a_copy() -> None:
    module = make_module([4, 30, 80, 114])
    before = copy.deepcopy(module)
    assert copy_registers(module) == 1
    assert [drivers(module, f"part_{i}.memory", "CEB") for i in range(4)] == [
        ["register"],
        ["register"],
        ["register_copy"],
        ["register_copy"],
    ]
    made = module["cells"].pop("register_copy")
    bit = made["connections"]["Q"][0]
    assert bit > max(UNUSED, UNUSED_INPUT)
    assert module["netnames"].pop("register_copy")["bits"] == [bit]
    assert made == {**before["cells"]["register"], "connections": {**made["connections"]}}
    assert made["connections"] == {**before["cells"]["register"]["connections"], "Q": [bit]}
    for found in module["cells"].values():
        for port, bits in found["connections"].items():
            assert bit not in bits or port == "CEB"
            found["connections"][port] = [OUTPUT if each == bit else each for each in bits]
    assert module == before


def test_what_lies_around_something_fixed_has_its_place() -> None:
    user = cell("LUT4", {"A": [OUTPUT]}, {"Z": [20]})
    module = make_module([4, 114], {"part_0.lut": user, "part_1.inner.lut": copy.deepcopy(user)})
    assert copy_registers(module) == 1
    assert drivers(module, "part_0.lut", "A") == ["register"]
    assert drivers(module, "part_1.inner.lut", "A") == ["register_copy"]


def test_what_has_no_place_stays_with_the_register() -> None:
    module = make_module([4, 114], {"lut": cell("LUT4", {"A": [OUTPUT]}, {"Z": [20]})})
    assert copy_registers(module) == 1
    assert drivers(module, "lut", "A") == ["register"]


def test_a_part_that_is_all_over_the_chip_has_no_place() -> None:
    far = {f"wide.memory_{x}": cell("DP16KD", {}, {}, f"X{x}/Y46/EBR0") for x in (4, 114)}
    far |= {"wide": cell("$scopeinfo", {}, {}), "wide.lut": cell("LUT4", {"A": [OUTPUT]}, {"Z": [20]})}
    assert copy_registers(make_module([4], far)) == 0


def test_near_users_share_the_register() -> None:
    module = make_module([4, 22, 40])
    before = copy.deepcopy(module)
    assert copy_registers(module) == 0
    assert module == before
