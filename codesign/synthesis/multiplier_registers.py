"""Registers before and behind multipliers become part of them: what Yosys leaves undone for the ECP5's MULT18X18D."""

from __future__ import annotations

from typing import Any

from .netlist import FLIP_FLOP, users_of

MULTIPLIER = "MULT18X18D"
_PLAIN = {"CEMUX": "1", "CLKMUX": "CLK", "REGSET": "RESET"}
"""A flip-flop that takes a value in every cycle, and starts with 0."""
_OUTPUT, _INPUTS = ("OUTPUT",), ("INPUTA", "INPUTB")
_FACTORS = tuple(f"{factor}{bit}" for factor in "AB" for bit in range(18))
"""A multiplier's data inputs."""


def use_registers(module: dict[str, Any]) -> None:
    """`use_output_registers`, then `use_input_registers`."""
    use_output_registers(module)
    use_input_registers(module)


def use_input_registers(module: dict[str, Any]) -> int:
    """Let multipliers of a flattened module in Yosys' JSON have copies of the flip-flops before them, in place; returns
    how many of these have.

    Both input registers of a multiplier are used where each bit of both factors is a 0 or comes from a flip-flop, and
    these flip-flops have one clock, no enable and no reset. A flip-flop that nothing else uses goes away.
    """
    cells, users = module["cells"], users_of(module)
    flip_flops = {name: cell for name, cell in cells.items() if cell["type"] == FLIP_FLOP}
    drivers = {bit: name for name, cell in flip_flops.items() for bit in cell["connections"].get("Q", [])}
    changed = 0
    for at, cell in [(name, cell) for name, cell in cells.items() if cell["type"] == MULTIPLIER]:
        connections = cell["connections"]
        bits = {port: connections[port][0] for port in _FACTORS if connections.get(port, ["0"])[0] not in ("0", "x")}
        registers = {port: drivers[bit] for port, bit in bits.items() if bit in drivers}
        clocks = {cells[name]["connections"]["CLK"][0] for name in registers.values()}
        plain = all(_is_plain(cells, name, "DI") for name in registers.values())
        if len(registers) < len(bits) or len(clocks) != 1 or not plain:
            continue
        for port, name in registers.items():
            before, after = cells[name]["connections"]["DI"][0], bits[port]
            connections[port] = [before]
            users.setdefault(before, []).append((at, port))
            users[after].remove((at, port))
        for name in sorted(set(registers.values())):
            if not users[cells[name]["connections"]["Q"][0]]:
                data = cells.pop(name)["connections"]["DI"][0]
                users[data].remove((name, "DI"))
        _clock(cell, clocks.pop(), _INPUTS)
        changed += 1
    return changed


def use_output_registers(module: dict[str, Any]) -> int:
    """Move flip-flops into the multipliers of a flattened module in Yosys' JSON, in place; returns how many of these.

    A multiplier's output register is used where each of its output bits that is used at all goes to one flip-flop and
    nowhere else, and these flip-flops have one clock, no enable and no reset.
    """
    cells, users = module["cells"], users_of(module)
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
                _clock(cell, clocks.pop(), _OUTPUT)
                moved += 1
    return moved


def _is_plain(cells: dict[str, Any], name: str, port: str) -> bool:
    """Whether a bit's user is the data input of a flip-flop without enable and reset."""
    if port != "DI" or cells[name]["type"] != FLIP_FLOP or cells[name]["connections"].get("LSR", ["0"]) != ["0"]:
        return False
    parameters = cells[name]["parameters"]
    return all(parameters.get(key, value).strip() == value for key, value in _PLAIN.items())


def _clock(cell: dict[str, Any], clock: int | str, registers: tuple[str, ...]) -> None:
    """Use a multiplier's registers, by the parts of their parameters' names."""
    for register in registers:
        cell["parameters"] |= {
            f"REG_{register}_CLK": "CLK0",
            f"REG_{register}_CE": "CE0",
            f"REG_{register}_RST": "RST0",
        }
    for port, bit in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
        cell["connections"][port] = [bit]
        cell["port_directions"][port] = "input"
