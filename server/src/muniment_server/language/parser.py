"""From the text of a condition to its tree, with errors that point at the place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.ids import parse_id
from muniment.model.names import check_text
from muniment_server.language.tree import (
    EVERYTHING,
    Aggregate,
    And,
    Compare,
    Comparison,
    Field,
    FieldKind,
    In,
    Like,
    Match,
    Missing,
    Node,
    Not,
    Or,
    Order,
    Value,
)
from muniment_server.language.vocabulary import KINDS, Vocabulary
from muniment_server.language.words import query_of

LENGTH_LIMIT = 16_384
"""Characters in one condition."""
DEPTH_LIMIT = 30
"""Nested parentheses and NOTs; SQLite's own parser gives up at some 40."""
TERM_LIMIT = 200
"""Comparisons in one condition."""
LIST_LIMIT = 1_000
"""Values in one IN."""

_FAMILIES: dict[str, FieldKind] = {
    "metric": "metric", "metrics": "metric",
    "param": "param", "params": "param", "parameter": "param", "parameters": "param",
    "tag": "tag", "tags": "tag",
}  # fmt: skip
_ATTRIBUTE_PREFIXES = frozenset(("attribute", "attributes", "attr"))


@lru_cache(maxsize=1)
def _grammar() -> Lark:
    text = resources.files(__package__).joinpath("search.lark").read_text("utf-8")
    return Lark(text, start=["where", "order"], parser="lalr", lexer="contextual", propagate_positions=True)


@lru_cache(maxsize=2048)
def parse_where(text: str, kind: str) -> Node:
    """The tree of a condition over records of `kind`; blank text is the condition that always holds.

    Raises:
        InvalidInput: the text is no condition, or asks for what the kind does not have.
    """
    if not text.strip():
        return EVERYTHING
    return cast("Node", _parse(text, "where", kind, "where"))


@lru_cache(maxsize=2048)
def parse_order(text: str, kind: str) -> Order:
    """One sort key such as ``metrics.auc DESC``.

    Raises:
        InvalidInput: the text is no sort key.
    """
    return cast("Order", _parse(text, "order", kind, "order_by"))


def parse_column(text: str, kind: str) -> Field:
    """One column of an answer such as ``metrics.auc``.

    Raises:
        InvalidInput: the text names no field of the kind.
    """
    return cast("Order", _parse(text, "order", kind, "columns")).field


def _parse(text: str, start: str, kind: str, field: str) -> Node | Order:
    if len(text) > LENGTH_LIMIT:
        raise TooLarge(f"{field} has {len(text):,} characters; the limit is {LENGTH_LIMIT:,}", field=field)
    check_text(text, field, LENGTH_LIMIT)
    try:
        tree = _grammar().parse(text, start=start)
        return cast("Node | Order", _Builder(KINDS[kind], field).transform(tree))
    except UnexpectedInput as error:
        raise InvalidInput(_unexpected(text, field, error), field=field) from None
    except VisitError as error:
        if isinstance(error.orig_exc, InvalidInput):
            raise error.orig_exc from None
        if isinstance(error.orig_exc, RecursionError):
            raise TooLarge(f"{field} is nested too deeply; the limit is {DEPTH_LIMIT} levels", field=field) from None
        raise
    except RecursionError:
        raise TooLarge(f"{field} is nested too deeply; the limit is {DEPTH_LIMIT} levels", field=field) from None


def _unexpected(text: str, field: str, error: UnexpectedInput) -> str:
    at = error.pos_in_stream
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        at = None
    if at is None or at < 0 or at >= len(text):
        return (
            f"{field} ends too early: {text[-60:]!r}; a condition reads like metrics.auc > 0.9 AND tags.team = 'risk'"
        )
    return f"{field} cannot be read at character {at + 1}: {text[at : at + 40]!r}"


def _unquote(token: str) -> str:
    mark = token[0]
    return token[1:-1].replace(mark * 2, mark)


class _Literal:
    """A value as it was written, until its field tells what it must be."""

    def __init__(self, raw: str | float, spelled: str) -> None:
        self.raw = raw
        self.spelled = spelled


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Builds the tree bottom-up; every field is checked against the vocabulary of the kind."""

    def __init__(self, vocabulary: Vocabulary, place: str) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.place = place

    def wrong(self, message: str) -> InvalidInput:
        return InvalidInput(f"{self.place}: {message}", field=self.place)

    # values

    def text(self, token: Token) -> _Literal:
        return _Literal(_unquote(token), str(token))

    def number(self, token: Token) -> _Literal:
        try:
            number = int(token)
        except ValueError:
            try:
                return _Literal(float(token), str(token))
            except ValueError:
                raise self.wrong(f"{token!s} is no number; put quotes around text") from None
        if not -(2**63) <= number < 2**63:
            raise self.wrong(f"{token!s} does not fit into 64 bits")
        return _Literal(number, str(token))

    # fields

    def part(self, token: Token) -> str:
        return _unquote(token) if token[0] in '`"' else str(token)

    def field(self, first: Token, *rest: str) -> Field:
        family = _FAMILIES.get(first.lower())
        if rest and self.is_score(family, first, rest):
            return Field("score", ".".join(rest))
        if family is not None and rest:
            if family not in self.vocabulary.families:
                raise self.wrong(f"a {self.vocabulary.kind} has no {family}s")
            return Field(family, ".".join(rest))
        words = (str(first), *rest)
        if rest and (first.lower() in _ATTRIBUTE_PREFIXES or first.lower() == self.vocabulary.kind):
            words = rest
        attribute = self.vocabulary.attributes.get(".".join(words).lower())
        relation = self.vocabulary.relations.get(".".join((str(first), *rest)).lower())
        if attribute is None and relation is not None:
            return Field("relation", relation.name)
        if attribute is None:
            of_both = (*self.vocabulary.attributes.values(), *self.vocabulary.relations.values())
            known = ", ".join(sorted({a.name for a in of_both}))
            families = "".join(f", {family}s.KEY" for family in sorted(self.vocabulary.families))
            families += ", evaluation.METRIC" if self.vocabulary.scores else ""
            raise self.wrong(f"{'.'.join((str(first), *rest))} is not known; it can be {known}{families}")
        return Field("attribute", attribute.name)

    def is_score(self, family: FieldKind | None, first: Token, rest: tuple[str, ...]) -> bool:
        """Whether a field is a metric of an evaluation; an evaluation's own attributes are none."""
        if self.vocabulary.kind == "evaluation":
            named = first.lower() == "evaluation" and ".".join(rest).lower() not in self.vocabulary.attributes
            return family == "metric" or named
        return first.lower() == "evaluation" and self.vocabulary.scores

    def plain(self, field: Field) -> Field:
        return field

    def aggregated(self, aggregate: Token, field: Field) -> Field:
        if field.kind != "metric":
            raise self.wrong(f"{aggregate!s}(…) applies to metrics, not to {field}")
        return Field("metric", field.name, cast("Aggregate", aggregate.lower()))

    # conditions

    def comparison(self, field: Field, op: Token, literal: _Literal) -> Node:
        return Compare(field, cast("Comparison", str(op)), self.value(field, literal, str(op)))

    def between(self, field: Field, *rest: Any) -> Node:
        *negation, low, high = rest
        inside = (
            Compare(field, ">=", self.value(field, low, ">=")),
            Compare(field, "<=", self.value(field, high, "<=")),
        )
        if not negation:
            return And(inside)
        return And((Not(Missing(field)), Not(And(inside))))

    def membership(self, field: Field, *rest: Any) -> Node:
        negated = isinstance(rest[0], Token)
        literals = rest[1:] if negated else rest
        if len(literals) > LIST_LIMIT:
            raise self.wrong(f"IN lists {len(literals):,} values; the limit is {LIST_LIMIT:,}")
        values = tuple(self.value(field, literal, "IN") for literal in literals)
        if field.kind == "param" and len({isinstance(value, str) for value in values}) == 2:
            raise self.wrong(f"IN mixes text and numbers for {field}; quote all of them or none")
        return In(field, values, negated)

    def likeness(self, field: Field, *rest: Any) -> Node:
        *negation, word, literal = rest
        if field.kind in {"metric", "score"} or (
            field.kind in {"attribute", "relation"} and self.type_of(field) not in {"text", "id"}
        ):
            raise self.wrong(f"LIKE compares text, and {field} is none")
        return Like(field, literal.raw, word.upper() == "ILIKE", bool(negation))

    def matching(self, field: Token, word: Token, literal: _Literal) -> Node:
        del word
        if field.lower() != "text":
            raise self.wrong(f"MATCH looks for words in all texts of a record: text MATCH {literal.spelled}")
        wanted = query_of(str(literal.raw))
        if not wanted:
            raise self.wrong(f"text MATCH {literal.spelled} has no word to look for")
        return Match(tuple(wanted))

    def nullness(self, field: Field, *negation: Token) -> Node:
        return Not(Missing(field)) if negation else Missing(field)

    def negated(self, item: Node) -> Node:
        return Not(item)

    def all_of(self, *items: Node) -> Node:
        return items[0] if len(items) == 1 else And(items)

    def any_of(self, *items: Node) -> Node:
        return items[0] if len(items) == 1 else Or(items)

    def where(self, item: Node) -> Node:
        depth, terms = _size(item)
        if depth > DEPTH_LIMIT:
            raise TooLarge(f"{self.place} is nested too deeply; the limit is {DEPTH_LIMIT} levels", field=self.place)
        if terms > TERM_LIMIT:
            raise TooLarge(f"{self.place} has {terms} comparisons; the limit is {TERM_LIMIT}", field=self.place)
        return item

    def order(self, field: Field, direction: Token | None = None) -> Order:
        if field.kind == "relation" or (field.kind == "score" and self.vocabulary.kind != "evaluation"):
            raise self.wrong(f"{field} may have many values, so nothing can be sorted by it")
        return Order(field, direction is not None and direction.upper() == "DESC")

    # types

    def type_of(self, field: Field) -> str:
        asked = self.vocabulary.relations if field.kind == "relation" else self.vocabulary.attributes
        return next(a.type for a in asked.values() if a.name == field.name)

    def value(self, field: Field, literal: _Literal, op: str) -> Value:
        raw = literal.raw
        if field.kind in {"metric", "score"}:
            if isinstance(raw, str):
                raise self.wrong(f"{field} is a number; {literal.spelled} is text")
            return raw
        if field.kind == "param":
            return raw
        if field.kind == "tag":
            return self._text(field, literal)
        return _CHECKS[self.type_of(field)](self, field, literal, op)

    def _text(self, field: Field, literal: _Literal, op: str = "=") -> str:
        del op
        if not isinstance(literal.raw, str):
            raise self.wrong(f"{field} is text; write it as '{literal.spelled}'")
        return literal.raw

    def _integer(self, field: Field, literal: _Literal, op: str) -> float | int:
        del op
        if isinstance(literal.raw, str):
            raise self.wrong(f"{field} is a number; {literal.spelled} is text")
        return literal.raw

    def _id(self, field: Field, literal: _Literal, op: str) -> str:
        if op not in {"=", "!=", "IN"}:
            raise self.wrong(f"{field} is an id and knows only =, !=, IN, LIKE and IS NULL")
        try:
            return parse_id(self._text(field, literal), field=str(field))
        except InvalidInput as error:
            raise self.wrong(error.message) from None

    def _time(self, field: Field, literal: _Literal, op: str) -> datetime:
        del op
        if isinstance(literal.raw, str):
            try:
                moment = datetime.fromisoformat(literal.raw)
            except ValueError:
                raise self.wrong(f"{field} is a time such as '2026-01-31T12:00:00Z', not {literal.spelled}") from None
            try:
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            except OverflowError:
                raise self.wrong(f"{literal.spelled} lies outside the years 1 to 9999") from None
        try:
            return datetime.fromtimestamp(literal.raw / 1000, tz=UTC)
        except (ValueError, OverflowError, OSError):
            raise self.wrong(f"{literal.spelled} as epoch milliseconds is out of range") from None


_CHECKS: dict[str, Callable[[_Builder, Field, _Literal, str], Value]] = {
    "text": _Builder._text,  # noqa: SLF001 - the table belongs to the class
    "integer": _Builder._integer,  # noqa: SLF001
    "id": _Builder._id,  # noqa: SLF001
    "time": _Builder._time,  # noqa: SLF001
}


def _size(node: Node) -> tuple[int, int]:
    """(levels, comparisons) of a tree."""
    deepest, terms, waiting = 0, 0, [(node, 1)]
    while waiting:
        current, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(current, Not):
            waiting.append((current.item, depth + 1))
        elif isinstance(current, And | Or):
            waiting.extend((item, depth + 1) for item in current.items)
        else:
            terms += 1
    return deepest, terms
