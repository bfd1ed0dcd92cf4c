"""What a name or a text may be, and the limits that every door shares."""

from __future__ import annotations

import re
from collections.abc import Mapping

from muniment.model.errors import InvalidInput, TooLarge

NAME_LIMIT = 250
"""Characters in a name or key."""
VALUE_LIMIT = 65_536
"""Characters in the value of a param or tag."""
TEXT_LIMIT = 1_048_576
"""Characters in a description."""
ITEMS_LIMIT = 10_000
"""Params or tags in one request."""

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


def check_slug(text: str, field: str = "slug") -> str:
    """`text`, if it can name a project in a URL: lower-case letters, digits and inner dashes, at most 63.

    Raises:
        InvalidInput: it cannot.
    """
    if not _SLUG.match(text):
        raise InvalidInput(f"{field} must be 1 to 63 of a-z, 0-9 and inner dashes, not {text[:80]!r}", field=field)
    return text


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
