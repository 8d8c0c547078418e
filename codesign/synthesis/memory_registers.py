"""Registers behind block RAMs become part of them: what Yosys leaves undone for the ECP5's DP16KD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .netlist import FLIP_FLOP, users_of

MEMORY = "DP16KD"
_WIDE = 36
"""Bits of a row from which on a block RAM has one port for writes and one for reads, with the outputs of both sides."""
_CLOCKED = {"CLKMUX": "CLK", "REGSET": "RESET", "SRMODE": "LSR_OVER_CE"}
"""A flip-flop that the rising edge clocks, and that starts with 0; its reset is looked at by itself."""


def use_memory_registers(module: dict[str, Any]) -> int:
    """Move flip-flops into the block RAMs of a flattened module in Yosys' JSON, in place; returns how many block RAMs
    have got some.

    A read port's output register is used where each of its output bits that is used at all goes to one flip-flop and
    nowhere else, and these flip-flops have the port's clock, one enable or none, and no reset.
    """
    cells, users = module["cells"], users_of(module)
    changed = 0
    for memory in [cell for cell in cells.values() if cell["type"] == MEMORY]:
        wide = int(memory.get("parameters", {}).get("DATA_WIDTH_B", "0"), 2) == _WIDE
        changed += sum(_use(cells, users, memory, sides, wide) for sides in (["AB"] if wide else ["A", "B"])) > 0
    return changed


def _use(
    cells: dict[str, Any], users: Mapping[Any, list[tuple[str, str]]], memory: dict[str, Any], sides: str, wide: bool
) -> bool:
    """Use the output register of a read port that has the outputs of `sides`; returns whether it could be."""
    connections = memory["connections"]
    outputs = [f"DO{side}{bit}" for side in sides for bit in range(18) if connections.get(f"DO{side}{bit}")]
    taken = {port: found for port in outputs if (found := users.get(connections[port][0]))}
    registers = {port: found[0][0] for port, found in taken.items()}
    if not taken or any(len(found) > 1 or not _is_clocked(cells, *found[0]) for found in taken.values()):
        return False
    enables = {_enable(cells[name]) for name in registers.values()}
    clock = connections["CLKB" if wide else f"CLK{sides}"][0]
    if len(enables) != 1 or {cells[name]["connections"]["CLK"][0] for name in registers.values()} != {clock}:
        return False
    for port in outputs:
        connections[port] = cells.pop(registers[port])["connections"]["Q"] if port in registers else []
    enable = enables.pop()
    for side in sides:
        memory["parameters"][f"REGMODE_{side}"] = "OUTREG"
        connections[f"OCE{side}"] = [enable]
    return True


def _is_clocked(cells: Mapping[str, Any], name: str, port: str) -> bool:
    """Whether a bit's user is the data input of a flip-flop without reset, which no enable's inverse enables."""
    if port != "DI" or cells[name]["type"] != FLIP_FLOP or cells[name]["connections"].get("LSR", ["0"]) != ["0"]:
        return False
    parameters = cells[name]["parameters"]
    plain = all(parameters.get(key, value).strip() == value for key, value in _CLOCKED.items())
    return plain and parameters.get("CEMUX", "1").strip() in ("1", "CE")


def _enable(flip_flop: Mapping[str, Any]) -> Any:
    """The bit that enables a flip-flop: "1" where it takes a value in every cycle."""
    enabled = flip_flop["parameters"].get("CEMUX", "1").strip() == "CE"
    return flip_flop["connections"]["CE"][0] if enabled else "1"
