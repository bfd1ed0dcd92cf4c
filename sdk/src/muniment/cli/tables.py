"""Tables that fit: which columns are shown, and how wide each is."""

from __future__ import annotations

import msgspec
from rich.cells import cell_len

from muniment.cli.spelling import cut, cut_within

GAP = 2
"""Blanks between columns."""
COMFORT = 24
"""Columns in which most texts can be read."""
ESSENTIAL = 3
"""Columns of a table up to this rank are rather cut than left out; the others are rather left out."""
Part = tuple[str, str]
"""Text and its style."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column: what stands above it, its cells, and what becomes of it where there is little room.

    Attributes:
        head: above the cells; may be empty.
        cells: one a row.
        right: set to the right, as numbers are.
        rank: 0 is shown whatever the width; of the others, the greatest goes first.
        least: the narrowest it may be cut to; None is never cut.
        style: of its cells.
        styles: of each cell, instead.
        within: whether it is cut in its middle, as names are.
    """

    head: str
    cells: list[str]
    right: bool = False
    rank: int = 0
    least: int | None = None
    style: str = ""
    styles: list[str] | None = None
    within: bool = False

    @property
    def natural(self) -> int:
        """The width that it would like."""
        return max([cell_len(self.head), *(cell_len(cell) for cell in self.cells)])

    @property
    def floor(self) -> int:
        """The width that it needs."""
        return self.natural if self.least is None else min(self.natural, self.least)

    @property
    def comfort(self) -> int:
        """The width that does not hide much."""
        return max(self.floor, min(self.natural, COMFORT))


def fit(columns: list[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that fit into `width`, in order, each with its own.

    Those of rank 0 are there even if they do not fit: a line that is too long is better than an id that is cut.
    """
    kept = _without(list(columns), [column.comfort for column in columns], ESSENTIAL, width)
    kept = _without(kept, [column.floor for column in kept], 0, width)
    widths = [column.floor for column in kept]
    room = width - sum(widths) - GAP * max(0, len(kept) - 1)
    while room > 0:
        short = [at for at, column in enumerate(kept) if widths[at] < column.natural]
        if not short:
            break
        widths[min(short, key=lambda at: widths[at])] += 1  # the narrowest first, so that all are readable
        room -= 1
    return list(zip(kept, widths, strict=True))


def _without(columns: list[Column], widths: list[int], above: int, width: int) -> list[Column]:
    """The columns without as many of those above a rank as it takes to fit, the greatest rank first."""
    kept = list(zip(columns, widths, strict=True))
    while sum(needed for _, needed in kept) + GAP * (len(kept) - 1) > width:
        ranked = [at for at, (column, _) in enumerate(kept) if column.rank > above]
        if not ranked:
            break
        del kept[max(ranked, key=lambda at: (kept[at][0].rank, at))]
    return [column for column, _ in kept]


def lines(columns: list[Column], width: int, more: str = "…") -> list[list[Part]]:
    """A table, line by line, each of parts with their style; no blanks at the end of a line."""
    fitted = fit(columns, width)
    rows = max((len(column.cells) for column in columns), default=0)
    made = [_line([(column.head, "bold", column, w) for column, w in fitted], more)]
    if not any(column.head for column in columns):
        made = []
    made.extend(
        _line([(column.cells[row], _style(column, row), column, w) for column, w in fitted], more)
        for row in range(rows)
    )
    return made


def _style(column: Column, row: int) -> str:
    return column.style if column.styles is None else column.styles[row]


def _line(cells: list[tuple[str, str, Column, int]], more: str) -> list[Part]:
    parts: list[Part] = []
    for at, (text, style, column, width) in enumerate(cells):
        shown = (cut_within if column.within else cut)(text, width, more)
        padding = " " * (width - cell_len(shown))
        before = " " * GAP if at else ""
        parts.append((before + padding if column.right else before, ""))
        parts.append((shown, style))
        parts.append(("" if column.right else padding, ""))
    while parts and not parts[-1][0].strip():
        parts.pop()
    if parts:
        parts[-1] = (parts[-1][0].rstrip(), parts[-1][1])
    return parts
