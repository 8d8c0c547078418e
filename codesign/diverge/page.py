"""The page about a `Divergence`: the layers, the element with its partial sums, the cycle; HTML or Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ..files import write_text
from ..table import Table, cell_text
from .cycles import CycleDifference, instruction_text
from .divergence import Divergence, ElementDifference
from .signals import MEANINGS
from .trace import ElementTrace, Index

SUFFIXES = (".html", ".md")
STYLE = (
    "body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem } "
    "table { border-collapse: collapse; margin: 1rem 0; font-size: 13px } "
    "th, td { border-bottom: 1px solid #ddd; padding: 2px 10px; text-align: left; vertical-align: top } "
    ".number { text-align: right; font-variant-numeric: tabular-nums } caption { text-align: left; font-weight: 600 }"
)
MOST_ROWS = 64
"""Rows of a table that a terminal shows; longer ones are for the page."""
AXES = {1: ("channel",), 2: ("position", "channel"), 3: ("row", "column", "channel")}
"""Number of stored axes → what they are."""
Part = Table | str
"""A paragraph, or a table under its title."""


def sentence(found: Divergence) -> str:
    """What was found, in one line."""
    a, b = found.implementations
    samples = f"{found.samples} sample{'s' if found.samples != 1 else ''}"
    if found.agree:
        return f"{a} and {b} agree: over {samples}, no code of {_compared(found)} layers that both show differs"
    parts = []
    if found.element is not None:
        place = found.element.place
        codes = " and ".join(f"{code} in {name}" for name, code in found.element.codes.items())
        parts.append(f"{a} and {b} part in layer {place.layer!r}, sample {place.sample}, {_at(place.index)}: {codes}")
        parts.append(_judgement(found.element))
    else:
        parts.append(f"{a} and {b} have the same codes in every layer that both show")
    for name, stops in found.stops.items():
        parts += [f"{name} stopped in sample {sample}: {why}" for sample, why in list(stops.items())[:1]]
    if found.cycle is not None:
        parts.append(f"machine and RTL part in cycle {found.cycle.cycle} at {found.cycle.signal!r}")
    return "; ".join(parts)


def _compared(found: Divergence) -> int:
    return sum(layer.differing is not None for layer in found.layers)


def _judgement(element: ElementDifference) -> str:
    right = element.right
    wrong = [name for name in element.codes if name not in right]
    if not right:
        return f"the contract has {element.trace.code}: both are wrong"
    return f"the contract has {element.trace.code}: {', '.join(right)} right, {', '.join(wrong)} wrong"


def _at(index: Index) -> str:
    axes = AXES.get(len(index))
    if axes is None:
        return f"index {index}"
    return ", ".join(f"{axis} {at}" for axis, at in zip(axes, index, strict=True))


def parts(found: Divergence, title: str) -> list[Part]:
    """The page's paragraphs and tables."""
    made: list[Part] = [sentence(found) + "."]
    made += [f"{name}, sample {sample}: {why}." for name, stops in found.stops.items() for sample, why in stops.items()]
    if found.element is not None:
        made += _element_parts(found.element)
    if found.cycle is not None:
        made += _cycle_parts(found, found.cycle)
    made += [f"Machine and RTL, {text}." for text in found.other]
    a, b = found.implementations
    layers = Table(f"{title}: layers of {a} and {b}", ("layer", "operator", "codes", "differ", "largest"), left=2)
    for layer in found.layers:
        layers.add(layer.name, layer.operator, layer.compared, layer.differing, layer.largest)
    made.append(layers)
    hidden = [layer.name for layer in found.layers if layer.compared is None]
    if hidden:
        made.append(f"Not shown by both, or nowhere in memory: {', '.join(hidden)}.")
    return made


def summary(found: Divergence, title: str) -> list[Part]:
    """What a terminal shows of the page: the layers, the steps of the element, the cycle, and the sentence last."""
    shown = [part for part in parts(found, title)[1:] if isinstance(part, Table) and len(part.rows) <= MOST_ROWS]
    return [*shown, sentence(found)]


def _element_parts(element: ElementDifference) -> list[Part]:
    place = element.place
    made: list[Part] = [
        f"The inputs of layer {place.layer!r} are equal in both. How the contract makes its element at "
        f"{_at(place.index)}, sample {place.sample}:"
    ]
    made += _trace_parts(element.trace)
    for trace in element.hidden:
        made.append(f"Layer {trace.layer!r} is fused into it, and is not shown by both; its element:")
        made += _trace_parts(trace)
    return made


def _trace_parts(trace: ElementTrace) -> list[Part]:
    made: list[Part] = []
    if trace.start is not None:
        table = Table(
            f"{trace.layer} ({trace.operator}): products and partial sums, from the bias {trace.start} on",
            ("k", "operand at", "x", "w", "(x − zx)·(w − zw)", "sum", "overflowed"),
            left=2,
        )
        for k, term in enumerate(trace.sums):
            where = "padding" if term.place is None else "×".join(map(str, term.place))
            table.add(str(k), where, term.x, term.w, term.product, term.total, "yes" if term.overflowed else "")
        made.append(table)
    elif trace.operands:
        table = Table(f"{trace.layer} ({trace.operator}): operands", ("tensor", "at", "code"), left=2)
        for operand in trace.operands:
            where = "padding" if operand.place is None else "×".join(map(str, operand.place))
            table.add(operand.tensor, where, operand.code)
        made.append(table)
    if trace.steps:
        table = Table(f"{trace.layer}: from there to the code", ("step", "value"))
        for step in trace.steps:
            table.add(step.what, step.value)
        made.append(table)
    made.append(f"Code of {trace.layer!r}: {trace.code}.")
    return made


def _cycle_parts(found: Divergence, cycle: CycleDifference) -> list[Part]:
    table = Table(
        f"Cycle {cycle.cycle} of sample {cycle.sample}: the first in which a signal differs",
        ("signal", "machine", "RTL", "what it says"),
        left=4,
    )
    values = {cycle.signal: (cycle.machine, cycle.rtl), **cycle.others}
    for name, pair in values.items():
        table.add(name, *(_value(name, value) for value in pair), MEANINGS.get(name, cycle.meaning))
    made: list[Part] = [table]
    if cycle.under_way:
        units = Table("Instructions under way in the machine", ("unit", "layer", "instruction"), left=3)
        for unit, index in ((unit, index) for unit, taken in cycle.under_way.items() for index in taken):
            layer = found.instruction_layers[index] if index < len(found.instruction_layers) else None
            units.add(unit, layer, instruction_text(found.instructions, index))
        made.append(units)
    return made


def _value(name: str, value: int | None) -> str:
    if value is None:
        return "–"
    wide = any(word in name for word in ("data", "codes", "address", "bytes"))
    return f"0x{value:x}" if wide else str(value)


def page_html(found: Divergence, title: str) -> str:
    """The page as one HTML file, without anything from elsewhere."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for part in parts(found, title):
        body.append(f"<h2>{html.escape(part.title)}</h2>\n{part.html()}" if isinstance(part, Table) else _p(part))
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"


def _p(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def page_markdown(found: Divergence, title: str) -> str:
    """The page as Markdown."""
    lines = [f"# {title}", ""]
    for part in parts(found, title):
        lines += [f"## {part.title}", "", *_markdown_table(part), ""] if isinstance(part, Table) else [part, ""]
    return "\n".join(lines)


def _markdown_table(table: Table) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    ruler = ["---" if number < table.left else "---:" for number in range(len(table.columns))]
    return [row(table.columns), row(ruler), *(row([cell_text(cell) for cell in cells]) for cells in table.rows)]


def check_suffix(path: str | PathLike[str]) -> str:
    """The suffix of a page's file; ``ValueError`` unless it is one of `SUFFIXES`."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"a page must be a file named *{' or *'.join(SUFFIXES)}, not {Path(path).name!r}")
    return suffix


def write_page(path: str | PathLike[str], found: Divergence, title: str) -> None:
    """Write the page, in the format that the file's name asks for, as a whole or not at all."""
    text = page_html if check_suffix(path) == ".html" else page_markdown
    write_text(path, text(found, title))
