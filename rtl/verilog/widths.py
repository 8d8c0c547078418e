"""Operands as wide as the operation in RTLIL, so that the Verilog extends and truncates nothing silently.

Verilog extends the narrower operand of an operator, and takes any vector for a truth value, by rules that every linter
warns about. Here an operand is extended where it stands, by its sign or by zeros, and compared with 0 where a truth
value is wanted; a synthesis takes that away again. A product's operands stay as they are: multipliers are inferred from
their widths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
ARITHMETIC = frozenset({"add", "sub", "and", "or", "xor"})
NEGATION = "logic_not"
SHIFTS = frozenset({"shift", "shr"})
_CELL = re.compile(r"^  cell \$(\w+) (\S+)$")
_WIRE = re.compile(r"^  wire (?:width (\d+) )?.*?([\\$]\S+)$")
_PARAMETER = re.compile(r"^    parameter \\(\w+) (\S+)$")
_OPERAND = re.compile(r"^    connect \\([ABY]) (.*)$")
_CONSTANT = re.compile(r"^(\d+)'([01xz]+)$")
_PIECE = re.compile(r"(\d+'[01xz]+|[\\$]\S+)(?: \[(\d+)(?::\d+)?\])?")


def _top_bit(value: str, wires: Mapping[str, int]) -> str:
    """The most significant bit of what a port is connected to."""
    first = _PIECE.search(value.lstrip("{ "))
    if first is None:
        raise ValueError(f"RTLIL has an operand that cannot be read: {value!r}")
    if constant := _CONSTANT.match(first[1]):
        return f"1'{constant[2][0]}"
    return f"{first[1]} [{first[2] if first[2] else wires[first[1]] - 1}]"


def _extended(value: str, width: int, wanted: int, signed: bool, wires: Mapping[str, int]) -> str:
    """The operand with `wanted` bits."""
    more = wanted - width
    if width == 0:
        return f"{wanted}'{'0' * wanted}"
    if constant := _CONSTANT.match(value):
        fill = constant[2][0] if signed else "0"
        return f"{wanted}'{fill * more}{constant[2]}"
    high = " ".join([_top_bit(value, wires)] * more) if signed else f"{more}'{'0' * more}"
    return f"{{ {high} {value} }}"


def _cell(kind: str, name: str, lines: list[str], wires: Mapping[str, int]) -> list[str]:
    """A cell's lines with both operands as wide as the wider one and, but for a comparison, as the result."""
    given = {found[1]: found[2] for line in lines if (found := _PARAMETER.match(line))}
    operands = {found[1]: found[2] for line in lines if (found := _OPERAND.match(line))}
    if kind == NEGATION:
        kind, operands["B"] = "eq", ""
        given |= {"B_WIDTH": "0", "A_SIGNED": "0", "B_SIGNED": "0"}
    widths = {port: int(given[f"{port}_WIDTH"]) for port in "AB"}
    signed = given["A_SIGNED"] == "1" and given["B_SIGNED"] == "1"
    wanted = max(1, *widths.values(), 0 if kind in COMPARISONS else int(given["Y_WIDTH"]))
    for port, width in widths.items():
        if width < wanted:
            operands[port] = _extended(operands[port], width, wanted, signed, wires)
            given[f"{port}_WIDTH"] = str(wanted)
    return [
        f"  cell ${kind} {name}",
        *(f"    parameter \\{parameter} {value}" for parameter, value in given.items()),
        *(f"    connect \\{port} {value}" for port, value in operands.items()),
        "  end",
    ]


def _shift(kind: str, name: str, lines: list[str]) -> list[str]:
    """A shift with a result as wide as what is shifted, of which the wanted bits are taken."""
    given = {found[1]: found[2] for line in lines if (found := _PARAMETER.match(line))}
    result = next(found[2] for line in lines if (found := _OPERAND.match(line)) and found[1] == "Y")
    width, wanted, wide = int(given["A_WIDTH"]), int(given["Y_WIDTH"]), f"{name}$wide"
    if wanted >= width:
        return [f"  cell ${kind} {name}", *lines, "  end"]
    inner = [line.replace(f"\\Y_WIDTH {wanted}", f"\\Y_WIDTH {width}") for line in lines]
    inner = [f"    connect \\Y {wide}" if line.startswith("    connect \\Y ") else line for line in inner]
    declared, part = f"  wire width {width} {wide}", f"  connect {result} {wide} [{wanted - 1}:0]"
    return [declared, f"  cell ${kind} {name}", *inner, "  end", part]


def extend_operands(text: str) -> str:
    """RTLIL whose sums, differences, comparisons and bitwise operations have operands of one width."""
    lines, inside, opened, wires = list[str](), list[str](), None, dict[str, int]()
    for line in text.splitlines():
        if opened is None:
            if wire := _WIRE.match(line):
                wires[wire[2]] = int(wire[1] or 1)
            elif line.startswith("module "):
                wires = {}
            cell = _CELL.match(line)
            if cell is not None and cell[1] in COMPARISONS | ARITHMETIC | SHIFTS | {NEGATION}:
                opened, inside = cell, []
            else:
                lines.append(line)
        elif line == "  end":
            kind, name = opened[1], opened[2]
            lines += _shift(kind, name, inside) if kind in SHIFTS else _cell(kind, name, inside, wires)
            opened = None
        else:
            inside.append(line)
    return "\n".join(lines) + "\n"
