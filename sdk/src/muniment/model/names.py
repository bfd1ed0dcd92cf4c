"""What a name or a text may be, and the limits that every door shares."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from muniment.model.errors import InvalidInput, TooLarge

NAME_LIMIT = 250
"""Characters in a name or key."""
TITLE_LIMIT = 500
"""Characters in the name of an experiment or a run: other trackers let people write sentences there."""
VALUE_LIMIT = 65_536
"""Characters in the value of a param or tag."""
TEXT_LIMIT = 1_048_576
"""Characters in a description."""
ITEMS_LIMIT = 10_000
"""Params or tags in one request."""

DEPTH_LIMIT = 32
"""Levels of a document."""

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


def check_text(text: str, field: str, limit: int) -> str:
    """`text`, if it is at most `limit` characters of storable Unicode.

    Raises:
        TooLarge: it is longer.
        InvalidInput: it holds a NUL character or half of a surrogate pair, which not every engine can keep.
    """
    if len(text) > limit:
        raise TooLarge(f"{field} has {len(text):,} characters; the limit is {limit:,}", field=field)
    if "\x00" in text:
        raise InvalidInput(f"{field} holds a NUL character at {text.index(chr(0))}; remove it", field=field)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{field} holds half of a surrogate pair at {error.start}", field=field) from None
    return text


def check_name(text: str, field: str) -> str:
    """`text`, if it can name a record or a key: 1 to 250 characters, not blank.

    Raises:
        InvalidInput: it cannot.
    """
    if not text or text.isspace():
        raise InvalidInput(f"{field} must not be empty", field=field)
    return check_text(text, field, NAME_LIMIT)


def check_title(text: str, field: str) -> str:
    """`text`, if it can name an experiment or a run: as `check_name`, up to 500 characters.

    Raises:
        InvalidInput: it cannot.
    """
    if not text or text.isspace():
        raise InvalidInput(f"{field} must not be empty", field=field)
    return check_text(text, field, TITLE_LIMIT)


def check_slug(text: str, field: str = "slug") -> str:
    """`text`, if it can name a project in a URL: lower-case letters, digits and inner dashes, at most 63.

    Raises:
        InvalidInput: it cannot.
    """
    if not _SLUG.match(text):
        raise InvalidInput(f"{field} must be 1 to 63 of a-z, 0-9 and inner dashes, not {text[:80]!r}", field=field)
    return text


def check_time(moment: datetime, field: str) -> datetime:
    """`moment` in UTC.

    Raises:
        InvalidInput: it has no time zone, or lies outside the years 1 to 9999 in UTC.
    """
    if moment.tzinfo is None:
        raise InvalidInput(f"{field} has no time zone; write it like 2026-01-31T12:00:00Z", field=field)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(f"{field} lies outside the years 1 to 9999", field=field) from None


def check_document(document: Any, field: str) -> None:
    """Check a JSON-like document: what every engine and both formats can carry, not too deep.

    Raises:
        InvalidInput: it holds something else; the message says what.
    """
    waiting = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_LIMIT:
            raise InvalidInput(f"{field} is nested deeper than {DEPTH_LIMIT} levels", field=field)
        if isinstance(value, str):
            check_text(value, field, TEXT_LIMIT)
        elif isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise InvalidInput(f"{field} has a key that is no text", field=field)
            waiting.extend((part, depth + 1) for pair in value.items() for part in pair)
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"{field} holds {value}, which JSON cannot carry; write it as text", field=field)
        elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
            raise InvalidInput(f"{field} holds an integer beyond 64 bits; write it as text", field=field)
        elif value is not None and not isinstance(value, (bool, int, float)):
            raise InvalidInput(f"{field} holds a {type(value).__name__}, which JSON cannot carry", field=field)


def check_map(items: Mapping[str, str], field: str) -> None:
    """Check every key and value of `items`, for params and tags alike.

    Raises:
        InvalidInput: a key or value is not acceptable; the message names it.
    """
    if len(items) > ITEMS_LIMIT:
        raise TooLarge(f"{field} has {len(items):,} items; the limit is {ITEMS_LIMIT:,}", field=field)
    for key, value in items.items():
        check_name(key, f"a key of {field}")
        check_text(value, f"{field}[{key!r}]", VALUE_LIMIT)
