"""Walking the index of a metric's values: the first rows of an order are found without sorting the others."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from muniment_server.language.tree import Field
from muniment_server.store import current
from muniment_server.store.dialects import OrderedJoin, through
from muniment_server.store.search.ordering import Component, reached
from muniment_server.store.search.source import Source
from muniment_server.store.tables import summaries

_FAR, _FURTHER = 4_000, 20
"""Rows of the index that are looked at before PostgreSQL is left to its own plan: so many, or so many for each wanted.

Beyond that a condition is so rare that it is better to start from it than to walk.
"""


def is_indexed(source: Source, field: Field) -> bool:
    """Whether there is an index to walk for an order."""
    return (
        source.as_of is None and field.kind == "metric" and field.aggregate == "last" and source.key(field) is not None
    )


def walk(
    source: Source, field: Field, components: list[Component], conditions: list[Any], start: float | None, limit: int
) -> list[sa.Row[Any]]:
    """The first rows of an order by a metric, then by other components, that satisfy conditions.

    SQLite does as it is told. PostgreSQL takes a common condition for a rare one where it knows too little, and then
    reads all runs that satisfy it; so it is made to walk, but not too far.

    Args:
        source: what is searched.
        field: the metric.
        components: the order: its value, others, the number of the run.
        conditions: all that must hold.
        start: the value at which the walk begins; None is the first.
        limit: rows wanted.
    """
    value = components[0]
    entries = through(summaries, "summaries_last")
    within = [
        entries.c.project_id == source.project_id, entries.c.key == source.key(field), entries.c.last.isnot(None),
    ]  # fmt: skip
    if source.connection.dialect.name != "sqlite" and any(map(_asks, conditions)):
        last = Component(entries.c.last, value.descending)
        order = last.expression.desc() if last.descending else last.expression.asc()
        begin = sa.true() if start is None else reached(last, start)
        nearest = sa.select(entries.c.project_id, entries.c.run, entries.c.last).where(*within, begin).order_by(order)
        near = nearest.fetch(max(_FAR, _FURTHER * limit), with_ties=True).subquery("nearest")
        query = _query(source, near, components, [_on(near, source, value, _fenced(clause)) for clause in conditions])
        found = list(source.connection.execute(query.limit(limit)).all())
        if len(found) == limit:
            return found
    query = _query(source, entries, components, [_on(entries, source, value, clause) for clause in conditions])
    return list(source.connection.execute(query.where(*within).limit(limit)).all())


def _query(source: Source, entries: Any, components: list[Component], conditions: list[Any]) -> sa.Select[Any]:
    """The runs of entries of the index, in order."""
    value, *others = components
    # the tie-breaker must be the index's own column, or the walk would be sorted again
    replaced = [
        Component(entries.c.last, value.descending), *others[:-1], Component(entries.c.run, others[-1].descending),
    ]  # fmt: skip
    labelled = [part.expression.label(f"sort_{at}") for at, part in enumerate(replaced)]
    joined = sa.and_(source.table.c.project_id == entries.c.project_id, source.table.c.no == entries.c.run)
    return (
        current.versions(source.kind, *labelled)
        .select_from(OrderedJoin(entries, source.table, joined))
        .where(*conditions)
        .order_by(*(part.expression.desc() if part.descending else part.expression.asc() for part in replaced))
    )


def _on(entries: Any, source: Source, value: Component, clause: Any) -> Any:
    """A condition on a row of the index: so the engine tries what is asked of params and metrics before it reads a run.

    The walked value stands in place of the subquery that would look it up again.
    """

    def replace(element: Any, **options: Any) -> Any:
        del options
        if element is source.table.c.no:
            return entries.c.run
        return entries.c.last if element is value.expression else None

    return replacement_traverse(clause, {}, cast("Any", replace))


def _asks(clause: Any) -> bool:
    return any(isinstance(element, sa.Exists) for element in sa.sql.visitors.iterate(clause))


def _fenced(clause: Any) -> Any:
    """A condition that is tried row by row: PostgreSQL does not join what has an OFFSET."""

    def replace(element: Any, **options: Any) -> Any:
        del options
        return sa.exists(element.element.element.offset(0)) if isinstance(element, sa.Exists) else None

    return replacement_traverse(clause, {}, cast("Any", replace))
