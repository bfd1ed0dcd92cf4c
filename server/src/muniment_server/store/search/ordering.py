"""Orders: each sort key becomes stretches (present, NaN, missing) that are walked one after the other.

Numbers come first, then NaN, then records that lack the field, whichever the direction. A param sorts by number where
it is one, then by text. Ties are broken by the record's number, in the direction of the first key.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
import sqlalchemy as sa

from muniment_server.language.tree import Field, Order
from muniment_server.store.search import relations
from muniment_server.store.search.conditions import column_of
from muniment_server.store.search.source import Source
from muniment_server.store.tables import params, summaries, tags


def nullable(source: Source, field: Field) -> bool:
    """Whether a record may lack an attribute."""
    column = source.table.c.get(field.name)
    return column is not None and bool(column.nullable)


class Component(msgspec.Struct, frozen=True):
    """One expression to sort by."""

    expression: Any
    descending: bool


class Stretch(msgspec.Struct, frozen=True):
    """A part of the answer in which the first key has one shape, with the components that sort it."""

    condition: Any
    components: tuple[Component, ...]


def stretches(source: Source, order: Order) -> list[Stretch]:
    """The stretches of the first sort key, in the order in which they follow each other."""
    field, down = order.field, order.descending
    if field.kind == "attribute":
        column = column_of(source, field)
        present = (Component(column, down),)
        if not nullable(source, field):
            return [Stretch(sa.true(), present)]
        return [Stretch(column.isnot(None), present), Stretch(column.is_(None), ())]
    if source.key(field) is None:
        return [Stretch(sa.true(), ())]
    missing = Stretch(sa.not_(relations.has(source, field, lambda _: sa.true())), ())
    if field.kind in {"metric", "score"}:
        found = metric_value(source, field) if field.kind == "metric" else relations.score(source, field)
        value = Component(found, down)
        return [
            Stretch(relations.has(source, field, lambda column: column.isnot(None)), (value,)),
            Stretch(relations.has(source, field, lambda column: column.is_(None)), ()),
            missing,
        ]
    text = Component(_item(source, field, "value"), down)
    if field.kind == "tag":
        return [Stretch(relations.has(source, field, lambda _: sa.true()), (text,)), missing]
    number = Component(_item(source, field, "number"), down)
    return [
        Stretch(relations.has(source, field, lambda table: table.c.number.isnot(None)), (number, text)),
        Stretch(relations.has(source, field, lambda table: table.c.number.is_(None)), (text,)),
        missing,
    ]


def later_components(source: Source, order: Order) -> list[Component]:
    """The components of a sort key that is not the first: which stretch, then what sorts within it."""
    parts = stretches(source, order)
    if len(parts) == 1:
        return list(parts[0].components)
    rank = sa.case(*((part.condition, number) for number, part in enumerate(parts[:-1])), else_=len(parts) - 1)
    longest = max(parts, key=lambda part: len(part.components))
    return [Component(rank, descending=False), *longest.components]


def metric_value(source: Source, field: Field) -> sa.ColumnElement[Any]:
    """A metric's value for the run at hand, as of the source's moment."""
    column = summaries.c[field.aggregate]
    stored = sa.select(column).where(*source.summary(field)).scalar_subquery()
    overlay = source.overlay(field)
    if overlay is None:
        return stored
    folded = sa.select(overlay.c.value).where(overlay.c.run == source.table.c.no).scalar_subquery()
    return sa.func.coalesce(stored, folded)


def _item(source: Source, field: Field, name: str) -> sa.ColumnElement[Any]:
    table = params if field.kind == "param" else tags
    return sa.select(table.c[name]).where(*source.item(table, field)).scalar_subquery()


def beyond(components: list[Component], values: list[Any]) -> sa.ColumnElement[bool]:
    """The rows that come after the one with these values of the components.

    A value of None is of a component that no row of the stretch has.
    """
    pairs = [(part, value) for part, value in zip(components, values, strict=True) if value is not None]
    alternatives = []
    for number, (part, value) in enumerate(pairs):
        equal = [before.expression == known for before, known in pairs[:number]]
        further = part.expression < value if part.descending else part.expression > value
        alternatives.append(sa.and_(*equal, further))
    if not pairs:
        return sa.true()
    # said again for the first component, so that an index on it can start in the right place
    return sa.and_(reached(*pairs[0]), sa.or_(*alternatives))


def reached(component: Component, value: Any) -> sa.ColumnElement[bool]:
    """The rows that do not come before the one with this value of a component."""
    found = component.expression <= value if component.descending else component.expression >= value
    return cast("sa.ColumnElement[bool]", found)
