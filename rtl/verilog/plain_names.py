"""Plain names in RTLIL: no ``.``, no ``$`` and no reserved word, so that the Verilog has no escaped identifier.

Amaranth names a module by its path (``accelerator.compute.unit``), tells equal names apart by ``$`` and a number, and a
port that brings a part of a signal into a submodule has no name but ``port$`` and two numbers. Here the parts of a path
and the numbers follow ``_``, and such a port is called by the signal and by the lowest bit of the part, or just
``port`` where no signal is connected: Amaranth's numbers count the whole design, and change with any part of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .keywords import KEYWORDS

_MODULE = re.compile(r"^module \\(\S+)$")
_DECLARED = re.compile(r"^  (?:wire|memory) .*\\(\S+)$")
_CELL = re.compile(r"^  cell \\(\S+) \\(\S+)$")
_CONNECT = re.compile(r"^    connect \\(\S+) (.*)$")
_PART = re.compile(r"^\\(\S+)(?: \[(?:\d+:)?(\d+)\])?$")
_NAME = re.compile(r'(\\+)([^\s\\"]+)')
_UNNAMED = re.compile(r"port\$\d+\$\d+")
_PLAIN = re.compile(r"[A-Za-z_]\w*")


def plain(name: str) -> str:
    """A name with ``_`` for what Verilog does not take."""
    made = re.sub(r"\W+", "_", name).strip("_")
    return f"{made}_" if made in KEYWORDS or not _PLAIN.fullmatch(made) else made


def _table(names: Iterable[str], wanted: dict[str, str]) -> dict[str, str]:
    """A plain name for each of a module's, all different; `wanted` says what a port without a name is to be called."""
    made = {name: name for name in names if _PLAIN.fullmatch(name) and name not in KEYWORDS}
    taken = set(made)
    for name in names:
        if name in made:
            continue
        first = candidate = plain(wanted.get(name, "port" if _UNNAMED.fullmatch(name) else name))
        count = 2
        while candidate in taken:
            candidate, count = f"{first}_{count}", count + 1
        taken.add(candidate)
        made[name] = candidate
    return made


def _modules(text: str) -> dict[str, list[str]]:
    """The lines of each module between ``module`` and ``end``, in their order."""
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.splitlines():
        opened = _MODULE.match(line)
        if opened:
            lines = found[opened[1]] = []
        elif line == "end":
            lines = None
        elif lines is not None:
            lines.append(line)
    return found


def _tables(modules: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """The new names of all modules' names; a submodule stands behind the module that has it."""
    tables: dict[str, dict[str, str]] = {}
    wanted: dict[str, dict[str, str]] = {name: {} for name in modules}
    for name, lines in modules.items():
        tables[name] = _table([found[1] for line in lines if (found := _DECLARED.match(line))], wanted[name])
        child = ""
        for line in lines:
            if line == "  end":
                child = ""
            elif opened := _CELL.match(line):
                child = opened[1]
            elif child in wanted and (connect := _CONNECT.match(line)) and _UNNAMED.fullmatch(connect[1]):
                part = _PART.match(connect[2])
                if part:
                    signal = tables[name].get(part[1], part[1])
                    wanted[child].setdefault(connect[1], signal if part[2] is None else f"{signal}_{part[2]}")
    return tables


def rename(text: str, prefix: str = "") -> str:
    """RTLIL of any number of modules with plain names; `prefix` comes before the names of all of its modules.

    A submodule must stand behind its module, as Amaranth writes them; modules outside of the text keep their names.
    """
    tables = _tables(_modules(text))
    table: dict[str, str] = {}
    child: dict[str, str] | None = None

    def named(match: re.Match[str]) -> str:
        return match[1] + table.get(match[2], match[2])

    lines = []
    for line in text.splitlines():
        if opened := _MODULE.match(line):
            table = tables[opened[1]]
            lines.append(f"module \\{prefix}{plain(opened[1])}")
        elif opened := _CELL.match(line):
            child = tables.get(opened[1])
            lines.append(f"  cell \\{prefix}{plain(opened[1])} \\{plain(opened[2])}")
        elif child is not None and (connect := _CONNECT.match(line)):
            lines.append(f"    connect \\{child.get(connect[1], connect[1])} {_NAME.sub(named, connect[2])}")
        elif line.startswith("    connect "):
            port, _, value = line.removeprefix("    connect ").partition(" ")
            lines.append(f"    connect {port} {_NAME.sub(named, value)}")
        elif line.startswith(("    parameter ", "attribute ", "  attribute ", "    attribute ")):
            name, _, value = line.lstrip().partition(" ")[2].partition(" ")
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}{line.split()[0]} {name} {_NAME.sub(named, value)}")
        else:
            child = None if line == "  end" else child
            lines.append(_NAME.sub(named, line))
    return "\n".join(lines) + "\n"
