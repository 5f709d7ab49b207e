"""A table of text, laid out for a surface: the columns that fit, each as wide as it needs.

Cells are clean text already. Where there is no room, columns give way in the order of their
`gives_way` (1 first, 0 never), and the one flexible column is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable_cli.output import Span, Surface, cell_len, fit, pad
from durable_core.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and its cells, from top to bottom. `styles` has one for each cell, or one in all.

    `least` is how narrow a flexible column may become; None for a column that can't be cut.
    """

    head: str
    cells: Sequence[str]
    styles: Sequence[str] | str = ""
    right: bool = True
    gives_way: int = 0
    least: int | None = None

    @property
    def width(self) -> int:
        """How wide it wants to be."""
        return max(cell_len(self.head), *(cell_len(cell) for cell in self.cells), 0)

    @property
    def least_width(self) -> int:
        """How wide it has to be."""
        return self.width if self.least is None else min(self.width, self.least)

    def style_of(self, row: int) -> str:
        """Return the style of one cell."""
        return self.styles if isinstance(self.styles, str) else self.styles[row]


_GAP = "  "


def least_width(columns: Sequence[Column]) -> int:
    """Return how many columns of a terminal the table needs, with nothing given up."""
    return sum(len(_GAP) + column.least_width for column in columns)


def table(columns: Sequence[Column], surface: Surface) -> list[str]:
    """Return the heading and one line for each row."""
    shown = _that_fit(columns, surface.width)
    spare = surface.width - least_width(shown)
    widths = [
        column.width if column.least is None else min(column.width, column.least_width + spare)
        for column in shown
    ]
    heads = [(column.head, "dim", column.right) for column in shown]
    lines = [_line(heads, widths, surface)]
    for row in range(len(columns[0].cells)):
        cells = [(column.cells[row], column.style_of(row), column.right) for column in shown]
        lines.append(_line(cells, widths, surface))
    return lines


def _that_fit(columns: Sequence[Column], width: int) -> list[Column]:
    shown = list(columns)
    for column in sorted(columns, key=lambda column: column.gives_way):
        if column.gives_way and least_width(shown) > width:
            shown.remove(column)
    return shown


def _line(cells: Sequence[tuple[str, str, bool]], widths: Sequence[int], surface: Surface) -> str:
    spans: list[Span] = []
    for (text, style, right), width in zip(cells, widths, strict=True):
        shown = pad(fit(text, max(width, 0), surface.unicode), width, right=right)
        spans += [(_GAP, ""), (shown, style)]
    last, style = spans[-1]
    return surface.line([*spans[:-1], (last.rstrip(), style)])
