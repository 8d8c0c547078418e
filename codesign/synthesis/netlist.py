"""A flattened module in Yosys' JSON: who uses a bit, where a cell comes from."""

from __future__ import annotations

from typing import Any

FLIP_FLOP = "TRELLIS_FF"


def users_of(module: dict[str, Any]) -> dict[Any, list[tuple[str, str]]]:
    """Bit → the inputs that it goes to, (cell, port); a port of the module is ("", its name)."""
    users = dict[Any, list[tuple[str, str]]]()
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    users.setdefault(bit, []).append((name, port))
    for name, port in module["ports"].items():
        for bit in port["bits"]:
            users.setdefault(bit, []).append(("", name))
    return users


def scope(name: str, scopes: set[str]) -> list[str]:
    """The path of the module that a cell comes from."""
    path = name.split(".")[:-1]
    while path and ".".join(path) not in scopes:
        path.pop()
    return path
