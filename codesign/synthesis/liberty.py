"""Liberty files: the areas of the cells that a synthesizer may use, read with no more than that needs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 1 << 28
FEWEST_GATES = 3
"""Functions of combinational cells below which ABC does not take a library."""
_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|\\\r?\n|\n|"[^"]*"|[{}();:,]|[^\s{}();:,"]+', re.DOTALL)
_NOT_A_TOKEN = ("/*", "//", "\\\n", "\\\r")


@dataclass(frozen=True)
class Liberty:
    """A library of cells.

    areas : cell → area, in the file's own unit, which the format leaves open: mostly square micrometers
    flip_flops : how many of the cells are flip-flops
    """

    name: str
    areas: dict[str, float]
    flip_flops: int


def load_liberty(file: Path) -> Liberty:
    """Read a Liberty file; what a synthesizer could not work with is a ``ValueError`` of one sentence."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"{file}: a Liberty file must be at most {MOST_BYTES >> 20} MiB")
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    if not re.search(r"\blibrary\s*\(", text):
        raise ValueError(f"{file}: is not a Liberty file: it has no `library (NAME) {{`")
    name, areas, sequential, functions = "", dict[str, float](), dict[str, str](), list[tuple[str, str]]()
    for path, key, value in _statements(text, file):
        kinds = [kind for kind, _ in path]
        if not path and key == "library":
            name = value
        elif kinds == ["library", "cell"] and key == "area":
            areas[path[1][1]] = _area(value, path[1][1], file)
        elif kinds == ["library", "cell"] and key in ("ff", "latch", "statetable"):
            sequential[path[1][1]] = key
        elif kinds == ["library", "cell", "pin"] and key == "function":
            functions.append((path[1][1], value))
    if not any(areas.values()):
        raise ValueError(f"{file}: must have cells with an area above 0")
    flip_flops = sum(kind == "ff" for kind in sequential.values())
    if not flip_flops:
        raise ValueError(f"{file}: must have a flip-flop, a cell with an `ff` group")
    gates = {function for cell, function in functions if cell not in sequential}
    if len(gates) < FEWEST_GATES:
        raise ValueError(f"{file}: must have cells of {FEWEST_GATES} functions or more, not of {len(gates)}")
    if not any(re.fullmatch(r"\(?\w+\)?", function) for function in gates):
        raise ValueError(f"{file}: must have a buffer, a cell whose function is its input (ABC stops without one)")
    return Liberty(name, areas, flip_flops)


def _area(value: str, cell: str, file: Path) -> float:
    try:
        area = float(value)
    except ValueError:
        area = math.nan
    if not 0 <= area < math.inf:
        raise ValueError(f"{file}: the area of cell {cell} must be a number of at least 0, not {value!r}")
    return area


def _statements(text: str, file: Path) -> Iterator[tuple[list[tuple[str, str]], str, str]]:
    """(groups around it, name, value) of each attribute, and of each group where it begins."""
    path: list[tuple[str, str]] = []
    words: list[str] = []
    is_attribute = False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token.startswith(_NOT_A_TOKEN):
            continue
        if token in "{};" or (token == "\n" and is_attribute and len(words) > 1):
            key, value = (words[0] if words else ""), "".join(words[1:])
            if token == "{" or (words and token != "}"):
                yield list(path), key, value
            if token == "{":
                path.append((key, value))
            elif token == "}":
                if not path:
                    raise ValueError(f"{file}: is not a Liberty file: it has a `}}` too many")
                path.pop()
            words, is_attribute = [], False
        elif token == ":":
            is_attribute = True
        elif token not in "(),\n":
            words.append(token.strip('"'))
    if path:
        raise ValueError(f"{file}: is not a whole Liberty file: {path[-1][0]} ({path[-1][1]}) has no end")
