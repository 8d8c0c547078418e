"""Registers behind multipliers become part of them: what Yosys leaves undone for the ECP5's MULT18X18D."""

from __future__ import annotations

from typing import Any

MULTIPLIER, FLIP_FLOP = "MULT18X18D", "TRELLIS_FF"
_PLAIN = {"CEMUX": "1", "CLKMUX": "CLK", "REGSET": "RESET"}
"""A flip-flop that takes a value in every cycle, and starts with 0."""
_OUTPUT_REGISTER = {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"}


def use_output_registers(module: dict[str, Any]) -> int:
    """Move flip-flops into the multipliers of a flattened module in Yosys' JSON, in place; returns how many of these.

    A multiplier's output register is used where each of its output bits that is used at all goes to one flip-flop and
    nowhere else, and these flip-flops have one clock, no enable and no reset.
    """
    cells, users = module["cells"], dict[Any, list[tuple[str, str]]]()
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    users.setdefault(bit, []).append((name, port))
    for name, port in module["ports"].items():
        for bit in port["bits"]:
            users.setdefault(bit, []).append(("", name))
    moved = 0
    for cell in [cell for cell in cells.values() if cell["type"] == MULTIPLIER]:
        connections = cell["connections"]
        outputs = [port for port in connections if cell["port_directions"][port] == "output" and connections[port]]
        taken = {port: users.get(connections[port][0], []) for port in outputs}
        if all(len(found) <= 1 and all(_is_plain(cells, *user) for user in found) for found in taken.values()):
            registers = {port: found[0][0] for port, found in taken.items() if found}
            clocks = {cells[name]["connections"]["CLK"][0] for name in registers.values()}
            if len(clocks) == 1:
                for port in outputs:
                    connections[port] = cells.pop(registers[port])["connections"]["Q"] if port in registers else []
                _clock(cell, clocks.pop())
                moved += 1
    return moved


def _is_plain(cells: dict[str, Any], name: str, port: str) -> bool:
    """Whether a bit's user is the data input of a flip-flop without enable and reset."""
    if port != "DI" or cells[name]["type"] != FLIP_FLOP or cells[name]["connections"].get("LSR", ["0"]) != ["0"]:
        return False
    parameters = cells[name]["parameters"]
    return all(parameters.get(key, value).strip() == value for key, value in _PLAIN.items())


def _clock(cell: dict[str, Any], clock: int | str) -> None:
    """Use a multiplier's output register."""
    cell["parameters"] |= _OUTPUT_REGISTER
    for port, bit in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
        cell["connections"][port] = [bit]
        cell["port_directions"][port] = "input"
