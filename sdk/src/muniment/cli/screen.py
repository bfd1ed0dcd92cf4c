"""Where answers go: a terminal, a pipe or a file."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from muniment.cli import sparkline, tables
from muniment.cli.spelling import plain

PIPED_WIDTH = 120
"""Columns where nobody says how wide it is."""
NARROWEST = 20
"""Columns that are assumed at the least."""
_UNSEEN = re.compile(r"[^\x20-\x7e\n]")


class Glyphs(msgspec.Struct, frozen=True, kw_only=True):
    """The signs of drawings."""

    more: str = "…"
    arrow: str = "→"
    dot: str = "·"
    greatest: str = "▲"
    least: str = "▼"
    blocks: str = sparkline.BLOCKS
    branch: str = "├─ "
    corner: str = "└─ "
    trunk: str = "│  "


ASCII = Glyphs(
    more="...", arrow="->", dot="-", greatest="^", least="v", blocks=sparkline.PLAIN_BLOCKS,
    branch="|- ", corner="`- ", trunk="|  ",
)  # fmt: skip
_SPELLED = {"…": "...", "→": "->", "·": "-"}


class Screen:
    """Standard output as it is: how wide, in which encoding, with colours or without.

    Whatever is printed passes `shown`, so that nothing that was recorded can command the terminal.
    """

    def __init__(self) -> None:
        self.file = sys.stdout
        self.terminal = self.file.isatty()
        self.width = _width(self.terminal)
        encoding = (getattr(self.file, "encoding", None) or "ascii").lower().replace("_", "-")
        self._encoding = encoding
        self.glyphs = Glyphs() if encoding.startswith("utf") else ASCII
        self.console = Console(file=self.file, width=self.width, highlight=False, markup=False, emoji=False)

    def shown(self, text: str) -> str:
        """`text` on one line, without what a terminal would obey or its encoding does not know."""
        text = plain(text)
        if text.isascii() or self._encoding.startswith("utf"):
            return text
        text = "".join(_SPELLED.get(character, character) for character in text)
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def line(self, *parts: str | tables.Part) -> None:
        """Print one line of parts, plain or with a style."""
        self.console.print(self.text(*parts), no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)

    def text(self, *parts: str | tables.Part) -> Text:
        """One line of parts as the console draws it."""
        made = Text(no_wrap=True, overflow="ignore")
        for part in parts:
            text, style = (part, "") if isinstance(part, str) else part
            made.append(self.shown(text), style)
        return made

    def measure(self) -> None:
        """Notice that the terminal has another width now."""
        self.width = self.console.width = _width(self.terminal)

    def table(self, columns: list[tables.Column], indent: int = 0) -> list[str]:
        """Print a table that fits; the heads of the columns that did not."""
        safe = self.safe(columns)
        width = self.width - indent
        for parts in tables.lines(safe, width, self.glyphs.more):
            self.line(" " * indent, *parts)
        kept = {id(column) for column, _ in tables.fit(safe, width)}
        return [column.head for column in safe if id(column) not in kept]

    def safe(self, columns: list[tables.Column]) -> list[tables.Column]:
        """Columns with heads and cells as they will be shown, so that their widths are true."""
        return [
            msgspec.structs.replace(
                column, head=self.shown(column.head), cells=[self.shown(cell) for cell in column.cells]
            )
            for column in columns
        ]

    def raw(self, text: str) -> None:
        """Print text of several lines as it is, but for what a terminal would obey."""
        for line in text.splitlines():
            self.file.write(self.shown(line) + "\n")
        self.file.flush()

    def json(self, document: Any) -> None:
        """Print one JSON document on a line of its own."""
        self.file.write(json_text(document, ascii_only=not self._encoding.startswith("utf")) + "\n")
        self.file.flush()


def json_text(document: Any, *, ascii_only: bool = False) -> str:
    """A document as JSON in which every character that cannot be seen is escaped.

    Args:
        document: records, or what they are made of.
        ascii_only: escape everything beyond ASCII, for an encoding that lacks it.
    """

    def escaped(found: re.Match[str]) -> str:
        character = found[0]
        if character.isprintable() and not ascii_only:
            return character
        units = character.encode("utf-16-be")
        return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))

    return _UNSEEN.sub(escaped, msgspec.json.encode(document).decode())


def _width(terminal: bool) -> int:
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said) > 0:
        return max(NARROWEST, int(said))
    if terminal:
        try:
            return max(NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns)
        except OSError:
            return 80
    return PIPED_WIDTH
