"""Registers that take their next value where it is chosen, and repeated bits written as repetitions.

The Verilog writer gives a register a process for its next value and one for the clock, and writes a sign extension bit
by bit. Here both processes become one, in which a register that keeps its value is not named: what people write, and
what simulators skip while nothing changes.
"""

from __future__ import annotations

import re
from collections import Counter

_MODULES = re.compile(r"(?<=^endmodule\n)", re.MULTILINE)
_REGISTER = re.compile(r"^  always @\(posedge clk\)\n    (\w+) <= (_\d+_);\n", re.MULTILINE)
_CHOICE = re.compile(r"^  always @\* begin\n((?:    .*\n)*?)  end\n", re.MULTILINE)
_TEMPORARY = re.compile(r"\b_\d+_(?!\w)")
_REPEATED = re.compile(r"(?<![\w.\]])([A-Za-z_]\w*(?:\[\d+\])?)(?:, \1(?![\w\[])){2,}")


def clock_choices(text: str) -> str:
    """The same Verilog with each register's choice in its clocked process, where nothing else reads the choice."""
    return "".join(_module(module) for module in _MODULES.split(text))


def _module(text: str) -> str:
    registers = {found[2]: found[1] for found in _REGISTER.finditer(text)}
    uses = Counter(_TEMPORARY.findall(text))
    merged = set[str]()

    def merge(found: re.Match[str]) -> str:
        body = found[1]
        assigned = re.findall(r"^ *(\w+) = ", body, re.MULTILINE)
        value = assigned[0] if assigned else ""
        # Read by the register's own process, declared, and otherwise only assigned, here.
        alone = {value} == set(assigned) and uses[value] == len(assigned) + 2 == _count(value, body) + 2
        if value not in registers or not alone:
            return found[0]
        merged.add(value)
        register = registers[value]
        body = re.sub(rf"^( *){value} = ", rf"\1{register} <= ", body, flags=re.MULTILINE)
        body = body.replace(f"    {register} <= {register};\n", "", 1).replace("    if (settle) begin end\n", "")
        return f"  always @(posedge clk) begin\n{body}  end\n"

    text = _CHOICE.sub(merge, text)
    text = _REGISTER.sub(lambda found: "" if found[2] in merged else found[0], text)
    return re.sub(
        r"^  reg (?:\[\d+:\d+\] )?(_\d+_);\n",
        lambda found: "" if found[1] in merged else found[0],
        text,
        flags=re.MULTILINE,
    )


def _count(name: str, text: str) -> int:
    return len(re.findall(rf"\b{name}(?!\w)", text))


def repeat_bits(text: str) -> str:
    """``{a, a, a, b}`` as ``{{3{a}}, b}``."""
    return _REPEATED.sub(lambda found: f"{{{found[0].count(',') + 1}{{{found[1]}}}}}", text)
