"""Words: what full-text search looks for, the same on every engine since it is cut here.

A word is a run of letters, digits and underscores; case and accents do not matter.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate
from typing import Any

_WORD = re.compile(r"\w+")
_FIELDS = ("name", "namespace", "title", "description", "text", "type", "slice", "license", "uri", "user", "version")
"""Fields of records whose texts are searched."""
_SIZE_LIMIT = 500_000
"""Bytes of all words of a record; PostgreSQL keeps a megabyte at the most."""
WORD_LIMIT = 100
"""Characters of a word; what follows is cut off."""


def words(text: str) -> list[str]:
    """The words of a text, each once, in order; of a very long text those that come first."""
    if not text.isascii():
        whole = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(letter for letter in whole if not unicodedata.combining(letter))
    found = list(dict.fromkeys(word[:WORD_LIMIT] for word in _WORD.findall(text.lower())))
    if len(text) > _SIZE_LIMIT // 4:
        sizes = accumulate(len(word.encode()) for word in found)
        found = [word for word, size in zip(found, sizes, strict=True) if size <= _SIZE_LIMIT]
    return found


def words_of(record: Any) -> list[str]:
    """The words by which a record is found: of its name, its texts, its columns and slices."""
    texts = [value for field in _FIELDS if isinstance(value := getattr(record, field, None), str)]
    for parts in (getattr(record, "schema", None), getattr(record, "slices", None)):
        if isinstance(parts, list):
            texts += [text for part in parts for text in (part.name, getattr(part, "description", None)) if text]
    return words(" ".join(texts))


def query_of(text: str) -> list[tuple[str, bool]]:
    """What a query looks for: (word, whether words that begin so will do) for each; all of them must be there."""
    found: dict[tuple[str, bool], None] = {}
    for part in text.split():
        inside = words(part)
        for at, word in enumerate(inside):
            found[word, part.endswith("*") and at == len(inside) - 1] = None
    return list(found)
