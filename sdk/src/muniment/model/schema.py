"""Schemas: the columns of a dataset, or what a model takes and gives."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.names import TEXT_LIMIT, check_document, check_name, check_text

COLUMNS_LIMIT = 10_000
"""Columns in one schema."""


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column or tensor."""

    name: str
    type: str | None = None
    """As its producer spells it, such as ``int64`` or ``VARCHAR``."""
    shape: list[int] | None = None
    """Of one item; -1 is any."""
    nullable: bool | None = None
    unit: str | None = None
    """A UCUM code."""
    description: str | None = None


def check_columns(columns: list[Column], field: str) -> None:
    """Check a schema.

    Raises:
        InvalidInput: a name is not acceptable, or given twice.
    """
    if len(columns) > COLUMNS_LIMIT:
        raise TooLarge(f"{field} has {len(columns):,} columns; the limit is {COLUMNS_LIMIT:,}", field=field)
    seen: set[str] = set()
    for column in columns:
        check_name(column.name, f"a column of {field}")
        if column.name in seen:
            raise InvalidInput(f"{field} has the column {column.name[:100]!r} twice", field=field)
        seen.add(column.name)
        for text in (column.type, column.unit):
            if text is not None:
                check_name(text, f"{field}[{column.name!r}]")
        if column.description is not None:
            check_text(column.description, f"{field}[{column.name!r}].description", TEXT_LIMIT)
        for size in column.shape or ():
            if not -1 <= size < 2**53:
                raise InvalidInput(f"{field}[{column.name!r}].shape holds {size}", field=field)


def similarity(one: list[Column] | None, other: list[Column] | None) -> float:
    """How alike two schemas are: the share of columns, by name and type, that both have (Jaccard), 0 to 1."""
    left = {(column.name, column.type) for column in one or ()}
    right = {(column.name, column.type) for column in other or ()}
    return len(left & right) / len(left | right) if left | right else 0.0


def check_bag(document: dict[str, Any] | None, field: str, limit: int = 262_144) -> None:
    """Check a free document of a record.

    Raises:
        InvalidInput: it holds what JSON cannot carry.
        TooLarge: it is too long.
    """
    if document is None:
        return
    check_document(document, field)
    size = len(msgspec.json.encode(document))
    if size > limit:
        raise TooLarge(f"{field} has {size:,} bytes of JSON; the limit is {limit:,}", field=field)
