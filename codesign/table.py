"""`Table`: rows of text, shown in a terminal and in a report alike."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import rich.table


MOST_NAME = 36
"""Characters of a row's name in a terminal."""


@dataclass
class Table:
    """A title, columns and rows of text; `left` columns are text, the others are numbers and stand to the right.

    whole : columns whose cells a narrow terminal does not break, as long as it can break those of others

    The first column has the rows' names, of which a terminal shows the beginning and the end where they are long.
    """

    title: str
    columns: Sequence[str]
    left: int = 1
    rows: list[tuple[str, ...]] = field(default_factory=list)
    whole: Sequence[str] = ()

    def add(self, *cells: object) -> None:
        """Add a row; integers get thousands separated by a narrow space, None becomes a dash."""
        if len(cells) != len(self.columns):
            raise ValueError(f"cells must be {len(self.columns)}, one a column, not {len(cells)}")
        self.rows.append(tuple(cell_text(cell) for cell in cells))

    def rich(self) -> rich.table.Table:
        """For a terminal."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            title=self.title,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
        )
        for index, column in enumerate(self.columns):
            justify: Literal["left", "right"] = "left" if index < self.left else "right"
            table.add_column(column, justify=justify, overflow="fold", no_wrap=column in self.whole)
        for row in self.rows:
            table.add_row(Text(short(row[0], MOST_NAME)), *(Text(cell) for cell in row[1:]))
        return table

    def html(self) -> str:
        """For a report."""
        lines = ["<table>", "<thead><tr>"]
        lines += [f"<th{self._class(i)}>{html.escape(column)}</th>" for i, column in enumerate(self.columns)]
        lines += ["</tr></thead>", "<tbody>"]
        for row in self.rows:
            cells = "".join(f"<td{self._class(i)}>{html.escape(cell)}</td>" for i, cell in enumerate(row))
            lines.append(f"<tr>{cells}</tr>")
        return "\n".join([*lines, "</tbody>", "</table>"])

    def _class(self, index: int) -> str:
        return "" if index < self.left else ' class="number"'


def cell_text(value: object) -> str:
    """A table cell's text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return str(value)


def short(name: str, most: int = 40) -> str:
    """A name in at most `most` characters: of a longer one, the beginning and the end."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half]}…{name[-half:]}"


def percent(share: float) -> str:
    """0.9722 → ``97.2 %``."""
    return f"{100 * share:.1f} %"
