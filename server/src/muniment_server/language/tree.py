"""The tree of a condition.

Truth is two-valued, so that every engine and every reader agrees: a comparison with a key that a record lacks is
false, whatever the operator, and NOT turns that into true. NaN satisfies only ``!=``. Text compares by code point.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Aggregate = Literal["last", "first", "min", "max", "count"]
Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
FieldKind = Literal["metric", "param", "tag", "attribute", "relation", "score"]
Value = str | float | int | datetime


class Field(msgspec.Struct, frozen=True):
    """What is compared: a metric's aggregate, a param, a tag, an attribute of the record itself, or of one related.

    A score is a metric of an evaluation: of the record itself, or of any that judged it.
    """

    kind: FieldKind
    name: str
    aggregate: Aggregate = "last"

    def __str__(self) -> str:
        if self.kind in {"attribute", "relation"}:
            return self.name
        if self.kind == "score":
            return f"evaluation.`{self.name}`"
        spelled = f"{self.kind}s.`{self.name}`"
        return spelled if self.kind != "metric" or self.aggregate == "last" else f"{self.aggregate}({spelled})"


class Compare(msgspec.Struct, frozen=True, tag=True):
    """``field op value``; a param compares as a number with a number and as text with text."""

    field: Field
    op: Comparison
    value: Value


class In(msgspec.Struct, frozen=True, tag=True):
    """``field [NOT] IN (…)``: the record has the field, and its value is (not) among these."""

    field: Field
    values: tuple[Value, ...]
    negated: bool = False


class Like(msgspec.Struct, frozen=True, tag=True):
    r"""``field [NOT] [I]LIKE pattern``: ``%`` any text, ``_`` one character, ``\`` escapes; ILIKE folds ASCII only."""

    field: Field
    pattern: str
    fold: bool = False
    negated: bool = False


class Match(msgspec.Struct, frozen=True, tag=True):
    """``text MATCH '…'``: the record's texts hold all these words; one with True may go on."""

    words: tuple[tuple[str, bool], ...]


class Missing(msgspec.Struct, frozen=True, tag=True):
    """``field IS NULL``: the record lacks it."""

    field: Field


class Not(msgspec.Struct, frozen=True, tag=True):
    """``NOT item``."""

    item: Node


class And(msgspec.Struct, frozen=True, tag=True):
    """All items hold; the empty conjunction is true."""

    items: tuple[Node, ...]


class Or(msgspec.Struct, frozen=True, tag=True):
    """At least one item holds."""

    items: tuple[Node, ...]


Node = Compare | In | Like | Match | Missing | Not | And | Or

EVERYTHING = And(())
"""The condition that every record meets."""


class Order(msgspec.Struct, frozen=True):
    """One sort key: numbers, then NaN, then records that lack the field, whichever the direction."""

    field: Field
    descending: bool = False
