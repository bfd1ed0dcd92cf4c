"""What runs and in what, found out by looking: nothing here patches, raises, waits for a network or changes a file."""

from __future__ import annotations

PARTS = frozenset(("code", "environment", "seeds", "command"))
"""What can be chosen; the command line can be left out without the rest of the code."""


def chosen(setting: str | None) -> frozenset[str]:
    """The parts that a setting such as ``$MUNIMENT_CAPTURE`` asks for.

    Args:
        setting: parts, separated by commas; None, nothing or ``all`` for every part, ``none`` for no part. A word that
            is no part counts for nothing: whoever mistypes a limit gets less than was meant, never more.
    """
    words = {word.strip().lower() for word in (setting or "").split(",")} - {""}
    if not words or words == {"all"}:
        return PARTS
    return frozenset() if "none" in words else PARTS & words


def storable(text: str, limit: int) -> str:
    """`text` as every engine can keep it: no NUL, no half of a surrogate pair, at most `limit` characters."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters)"
