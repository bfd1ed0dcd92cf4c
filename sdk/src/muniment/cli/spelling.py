"""How values are written for people: text without control characters, numbers, spans and moments."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.cells import cell_len

from muniment.model.metric import WireNumber

NONE = "-"
"""What stands where a record has nothing."""
_WHOLE = 2.0**53
"""Whole numbers up to this are exact, and written with all their digits."""
_SPANS = ((60.0, 1.0, "s"), (3600.0, 60.0, "min"), (86_400.0, 3600.0, "h"), (60 * 86_400.0, 86_400.0, "d"),
          (730 * 86_400.0, 30.44 * 86_400.0, "mo"), (math.inf, 365.25 * 86_400.0, "y"))  # fmt: skip
"""(seconds below which it is used, seconds of one, name)."""


def plain(text: str) -> str:
    r"""`text` on one line that no terminal obeys: what cannot be seen is written as Python would, such as ``\x1b``.

    Characters that turn the direction of writing are among those, since they make a name look like another.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else repr(c)[1:-1] for c in text)


def cut(text: str, width: int, more: str = "…") -> str:
    """`text`, or its beginning and `more`, in at most `width` columns of a terminal."""
    if cell_len(text) <= width:
        return text
    room = max(0, width - cell_len(more))
    kept, used = [], 0
    for character in text:
        used += cell_len(character)
        if used > room:
            break
        kept.append(character)
    return ("".join(kept) + more)[:width] if width < cell_len(more) else "".join(kept) + more


def cut_within(text: str, width: int, more: str = "…") -> str:
    """`text`, or its beginning, `more` and its end: of names that begin alike, the end tells them apart."""
    if cell_len(text) <= width or width < cell_len(more) + 2:
        return cut(text, width, more)
    tail = (width - cell_len(more)) // 2
    end = cut(text[::-1], tail, "")[::-1]
    return cut(text, width - cell_len(end), more) + end


def number(value: WireNumber | None, digits: int = 6) -> str:
    """A number with so many significant digits; whole numbers have all of theirs."""
    if value is None:
        return NONE
    exact = float(value)
    if math.isfinite(exact) and exact.is_integer() and abs(exact) <= _WHOLE:
        return str(int(exact))
    return f"{exact:.{digits}g}"


def aligned(texts: Iterable[str]) -> list[str]:
    """Numbers padded behind, so that their decimal points stand below one another when they are set right."""
    given = list(texts)
    tails = [_tail(text) for text in given]
    longest = max(tails, default=0)
    return [text + " " * (longest - tail) for text, tail in zip(given, tails, strict=True)]


def _tail(text: str) -> int:
    return len(text) - text.index(".") if "." in text else 0


def duration(seconds: float) -> str:
    """A span of time, such as ``3 min 05 s``; two units at the most."""
    if seconds < 10:
        return f"{max(0.0, seconds):.2f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago a moment was, such as ``3 min ago``."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{rough(seconds)} ago" if seconds > 0 else f"in {rough(-seconds)}"


def rough(seconds: float) -> str:
    """A span in one unit, rounded down, such as ``3 min``."""
    unit, name = next((unit, name) for below, unit, name in _SPANS if seconds < below)
    return f"{int(max(0.0, seconds) / unit)} {name}"


def size(count: int) -> str:
    """Bytes, such as ``1.2 MB``; a thousand makes the next unit."""
    if count < 1000:
        return f"{count} B"
    scaled = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        scaled /= 1000
        if scaled < 999.95:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1000:.1f} PB"


def value(document: Any) -> str:
    """Any value of a record on one line; it may hold control characters, as the record does."""
    if document is None or document in ([], {}):
        return NONE
    if isinstance(document, str):
        return document
    if isinstance(document, bool):
        return "true" if document else "false"
    if isinstance(document, int | float):
        return number(document) if isinstance(document, float) else str(document)
    if isinstance(document, datetime):
        return document.isoformat()
    if isinstance(document, list) and all(isinstance(item, str) for item in document):
        return ", ".join(document)
    if isinstance(document, list) and all(isinstance(item, dict) and "name" in item for item in document):
        return f"{len(document)}: " + ", ".join(str(item["name"]) for item in document)
    return json.dumps(document, ensure_ascii=False, default=str)


def flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of a document by their paths, such as ``code.commit``; lists are leaves."""
    made: dict[str, Any] = {}
    for name, item in document.items():
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(item, dict):
            made.update(flat(item, path))
        else:
            made[path] = item
    return made
