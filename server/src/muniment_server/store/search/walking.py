"""Walking the index of a metric's values: the first rows of an order are found without sorting the others."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from muniment_server.language.tree import Field
from muniment_server.store import current
from muniment_server.store.dialects import OrderedJoin, through
from muniment_server.store.search.ordering import Component
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
    source: Source,
    field: Field,
    components: list[Component],
    conditions: list[Any],
    after: sa.ColumnElement[bool],
    limit: int,
) -> list[sa.Row[Any]]:
    """The first rows of an order by a metric, then by other components, that satisfy conditions.

    SQLite does as it is told. PostgreSQL takes the rare condition for common and the common one for rare where it
    knows too little, and then reads all runs that satisfy one of them; so it is made to walk, but not too far.
    """
    asked: list[Any] = [clause for clause in conditions if _asks(clause)]
    if source.connection.dialect.name != "sqlite" and asked and len(components) == 2:
        far = max(_FAR, _FURTHER * limit)
        found = list(source.connection.execute(_query(source, field, components, conditions, after, limit, far)).all())
        if len(found) == limit:
            return found
    return list(source.connection.execute(_query(source, field, components, conditions, after, limit)).all())


def _query(
    source: Source,
    field: Field,
    components: list[Component],
    conditions: list[Any],
    after: sa.ColumnElement[bool],
    limit: int,
    far: int | None = None,
) -> sa.Select[Any]:
    """The statement; with `far`, over so many rows of the index alone, in their order."""
    value, *others = components
    entries = through(summaries, "summaries_last")
    within = [
        entries.c.project_id == source.project_id, entries.c.key == source.key(field), entries.c.last.isnot(None),
    ]  # fmt: skip
    if far is not None:
        ordering = [column.desc() if value.descending else column.asc() for column in (entries.c.last, entries.c.run)]
        columns = (entries.c.project_id, entries.c.run, entries.c.last)
        nearest = sa.select(*columns).where(*within, _on(entries, source, value, after)).order_by(*ordering).limit(far)
        entries, within = nearest.subquery("nearest"), []
        conditions = [_fenced(clause) for clause in conditions]
    else:
        conditions = [*conditions, after]
    replaced = [Component(entries.c.last, value.descending), *others]
    # the tie-breaker must be the index's own column, or the walk would be sorted again
    replaced[-1] = Component(entries.c.run, others[-1].descending)
    labelled = [part.expression.label(f"sort_{at}") for at, part in enumerate(replaced)]
    joined = sa.and_(source.table.c.project_id == entries.c.project_id, source.table.c.no == entries.c.run)
    return (
        current.versions(source.kind, *labelled)
        .select_from(OrderedJoin(entries, source.table, joined))
        .where(*within, *(_on(entries, source, value, clause) for clause in conditions))
        .order_by(*(part.expression.desc() if part.descending else part.expression.asc() for part in replaced))
        .limit(limit)
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
