"""Pages: stretch by stretch, from where the last page ended, with a token that belongs to one question."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.errors import InvalidInput
from muniment_server.language.tree import And, Compare, Node, Order
from muniment_server.store import current
from muniment_server.store.dialects import through
from muniment_server.store.engine import is_operational_error
from muniment_server.store.search import walking
from muniment_server.store.search.conditions import condition, text_compare
from muniment_server.store.search.ordering import Component, Stretch, beyond, later_components, stretches
from muniment_server.store.search.source import Source
from muniment_server.store.tables import params, tags

_LISTED = 10_000
"""Ids in one list."""
FEW = {"sqlite": 2_000, "postgresql": 500}
"""Matches of one condition up to which it pays to start from them rather than to walk an order, by engine.

PostgreSQL's walks are bounded, so that it finds a rare condition by itself; see `walking.walk`.
"""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the stretch, and the values of its components and of the record's number."""

    question: bytes
    stretch: int
    values: list[Any]


def question_of(*parts: Any) -> bytes:
    """Eight bytes that tell questions apart."""
    return hashlib.sha256(msgspec.json.encode(parts)).digest()[:8]


def to_token(place: Place) -> str:
    """The opaque text of a place."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def from_token(token: str, question: bytes) -> Place:
    """The place that a token names.

    Raises:
        InvalidInput: it is no token, or belongs to another question.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        place = msgspec.msgpack.decode(raw, type=Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidInput("page is no token of this store; leave it out to start", field="page") from None
    if not all(_plausible(value) for value in place.values):
        raise InvalidInput("page is no token of this store; leave it out to start", field="page")
    if place.question != question:
        raise InvalidInput(
            "page is of another question: where, order_by, as_of and the project must be those of the first page",
            field="page",
        )
    return place


def _plausible(value: Any) -> bool:
    """Whether a value can be that of a column."""
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, int):
        return not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value is None or isinstance(value, datetime) or (isinstance(value, float) and value == value)  # noqa: PLR0124


def page(
    source: Source, where: Node, orders: list[Order], extra: Any, limit: int, question: bytes, token: str | None
) -> tuple[list[sa.Row[Any]], str | None]:
    """(rows, token of the next page) of a search.

    Args:
        source: what is searched.
        where: the condition.
        orders: sort keys; none is newest first.
        extra: a further SQL condition on the table.
        limit: rows in the page.
        question: what the token must belong to.
        token: where the last page ended.
    """
    place = from_token(token, question) if token else None
    conditions = [source.base(), extra, condition(source, where)]
    few = _few(source, where)
    if few is not None:
        conditions.append(source.table.c.no.in_(few))
    down = orders[0].descending if orders else True
    tie = Component(source.table.c.no, down)
    later = [part for order in orders[1:] for part in later_components(source, order)]
    parts = stretches(source, orders[0]) if orders else [Stretch(sa.true(), ())]
    walk = orders[0].field if orders and few is None and walking.is_indexed(source, orders[0].field) else None
    found: list[sa.Row[Any]] = []
    reached = place
    for number, part in enumerate(parts):
        if place is not None and number < place.stretch:
            continue
        components = [*part.components, *later, tie]
        after = _after(place, number, components)
        room = limit - len(found)
        with _told_apart(place):
            if walk is not None and number == 0:
                start = None if place is None else place.values[0]
                rows = walking.walk(source, walk, components, [*conditions, after], start, room + 1)
            else:
                rows = _stretch(source, part, components, [*conditions, after], room + 1)
        found.extend(rows[:room])
        if rows[:room]:
            reached = Place(question, number, list(rows[:room][-1])[-len(components) :])
        if len(rows) > room:
            return found, None if reached is None else to_token(reached)
    return found, None


def _after(place: Place | None, number: int, components: list[Component]) -> sa.ColumnElement[bool]:
    """The rows of a stretch that follow a place."""
    if place is None or number != place.stretch:
        return sa.true()
    if len(place.values) != len(components):
        raise InvalidInput("page is no token of this question; leave it out to start", field="page")
    return beyond(components, place.values)


def _stretch(
    source: Source, part: Stretch, components: list[Component], conditions: list[Any], limit: int
) -> list[sa.Row[Any]]:
    """Rows of one stretch."""
    labelled = [part.expression.label(f"sort_{at}") for at, part in enumerate(components)]
    ordering = [
        label.desc() if part.descending else label.asc() for label, part in zip(labelled, components, strict=True)
    ]
    query = current.versions(source.kind, *labelled).where(*conditions, part.condition)
    return list(source.connection.execute(query.order_by(*ordering).limit(limit)).all())


@contextmanager
def _told_apart(place: Place | None) -> Iterator[None]:
    """What a database says of values that are not of the columns they are compared with is said of the token."""
    try:
        yield
    except (sa.exc.DataError, sa.exc.ProgrammingError, sa.exc.StatementError) as error:
        if place is None or is_operational_error(error):
            raise
        raise InvalidInput("page is no token of this question; leave it out to start", field="page") from None


def _few(source: Source, where: Node) -> sa.Select[Any] | None:
    """The runs of a condition that must hold, if they are so few that starting from them beats walking an order."""
    most = FEW[source.connection.dialect.name]
    for node in where.items if isinstance(where, And) else (where,):
        query = _candidates(source, node)
        if query is not None:
            counted = sa.select(sa.func.count()).select_from(query.limit(most + 1).subquery())
            if source.connection.execute(counted).scalar_one() <= most:
                return query
    return None


def _candidates(source: Source, node: Node) -> sa.Select[Any] | None:
    """The runs that a value index holds for a condition, if one does."""
    if not isinstance(node, Compare) or node.field.kind not in {"param", "tag"} or source.as_of is not None:
        return None
    key = source.key(node.field)
    if key is None or node.op != "=" or not isinstance(node.value, str):
        return None
    table = through(params, "params_value") if node.field.kind == "param" else through(tags, "tags_value")
    found = sa.select(table.c.run).where(
        table.c.project_id == source.project_id, table.c.key == key, text_compare(table, "=", node.value)
    )
    return found.where(table.c.valid_to.is_(None)) if "valid_to" in table.c else found


def among_experiments(source: Source, ids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Whether a run is of one of these experiments; of more than an engine takes in one list, in several."""
    column = source.table.c.experiment
    return sa.or_(*(column.in_(ids[start : start + _LISTED]) for start in range(0, len(ids), _LISTED)))


def count(source: Source, where: Node, extra: Any) -> int:
    """How many records match."""
    query = sa.select(sa.func.count()).select_from(source.table)
    return int(source.connection.execute(query.where(source.base(), extra, condition(source, where))).scalar_one())
