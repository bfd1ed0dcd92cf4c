"""What a search reads: the records of one kind in one project, at one moment, and their metrics at that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from muniment.model.metric import Summary
from muniment_server.language.tree import And, Compare, Field, In, Like, Match, Missing, Node, Not, Or
from muniment_server.policy.access import Scope
from muniment_server.store import current, past, points, summaries
from muniment_server.store.dialects import shipped
from muniment_server.store.kinds import KINDS
from muniment_server.store.projects import visible
from muniment_server.store.tables import keys, params, records, tags
from muniment_server.store.tables import summaries as summaries_table

Predicate = Callable[[Any], sa.ColumnElement[bool]]


class Source:
    """One search's view of the store.

    Args:
        connection: a snapshot.
        scope: who asks.
        project_id: where.
        kind: of which records.
        as_of: a position, or None for now.
        fields: every field that the search mentions.
    """

    def __init__(
        self,
        connection: sa.Connection,
        scope: Scope,
        project_id: int,
        kind: str,
        as_of: int | None,
        fields: Iterable[Field],
    ) -> None:
        self.connection = connection
        self.scope = scope
        self.project_id = project_id
        self.kind = kind
        self.as_of = as_of
        self.table = KINDS[kind].table
        mentioned = set(fields)
        names = {field.name for field in mentioned if field.kind not in {"attribute", "relation"}}
        self.keys = points.key_numbers(connection, project_id, names) if names else {}
        self._overlays: dict[Field, Any] = {}
        if as_of is not None:
            for field in sorted(mentioned, key=str):
                if field.kind == "metric" and field.name in self.keys:
                    self._overlays[field] = self._overlay(field, as_of)

    def base(self) -> sa.ColumnElement[bool]:
        """The records that exist at the moment, as far as the caller may see."""
        return sa.and_(
            self.table.c.project_id == self.project_id,
            current.at(self.table, self.as_of),
            visible(self.scope, self.table.c.project_id),
        )

    def key(self, field: Field) -> int | None:
        """The interned number of a metric, param or tag; None if nothing of that name was ever logged."""
        return self.keys.get(field.name)

    def has(self, field: Field, predicate: Predicate) -> sa.ColumnElement[bool]:
        """Whether a run has the metric, param or tag, with a value that satisfies the predicate.

        The predicate is given the value's column (a param's or tag's table, since those have two).
        """
        if self.key(field) is None:
            return sa.false()
        if field.kind == "metric":
            return self._has_metric(field, predicate)
        table = params if field.kind == "param" else tags
        return sa.exists(sa.select(1).select_from(table).where(*self.item(table, field), predicate(table)))

    def item(self, table: sa.Table, field: Field) -> list[sa.ColumnElement[bool]]:
        """The rows of a param or tag of the run at hand."""
        conditions = [
            table.c.project_id == self.project_id,
            table.c.run == self.table.c.no,
            table.c.key == self.key(field),
        ]
        if table is tags:
            conditions.append(current.at(tags, self.as_of))
        elif self.as_of is not None:
            conditions.append(table.c.valid_from <= self.as_of)
        return conditions

    def summary(self, field: Field) -> list[sa.ColumnElement[bool]]:
        """The stored summary of a metric of the run at hand, if it is not younger than the moment."""
        conditions = [
            summaries_table.c.project_id == self.project_id,
            summaries_table.c.run == self.table.c.no,
            summaries_table.c.key == self.key(field),
            *self.present(field),
        ]
        if self.as_of is not None:
            conditions.append(summaries_table.c.position <= self.as_of)
        return conditions

    def present(self, field: Field) -> list[sa.ColumnElement[bool]]:
        """A least or greatest value exists only if there was a finite one; a last or first one may be NaN."""
        return [summaries_table.c[field.aggregate].isnot(None)] if field.aggregate in {"min", "max"} else []

    def overlay(self, field: Field) -> Any:
        """(run, value) of metrics with younger points, folded again as of the moment; None if there is none."""
        return self._overlays.get(field)

    def _has_metric(self, field: Field, predicate: Predicate) -> sa.ColumnElement[bool]:
        column = summaries_table.c[field.aggregate]
        stored = sa.exists(sa.select(1).select_from(summaries_table).where(*self.summary(field), predicate(column)))
        overlay = self.overlay(field)
        if overlay is None:
            return stored
        folded = sa.exists(
            sa.select(1).select_from(overlay).where(overlay.c.run == self.table.c.no, predicate(overlay.c.value))
        )
        return sa.or_(stored, folded)

    def _existed(self, as_of: int) -> sa.ColumnElement[bool]:
        """Whether the run of a summary had been started by then; most that are younger had not."""
        started = self.table.alias("started")
        return sa.exists().where(
            started.c.project_id == summaries_table.c.project_id,
            started.c.no == summaries_table.c.run,
            started.c.valid_from <= as_of,
        )

    def _overlay(self, field: Field, as_of: int) -> Any:
        younger = self.connection.execute(
            sa.select(summaries_table, keys.c.name, records.c.id)
            .join(keys, sa.and_(keys.c.project_id == summaries_table.c.project_id, keys.c.no == summaries_table.c.key))
            .join(
                records,
                sa.and_(records.c.project_id == summaries_table.c.project_id, records.c.no == summaries_table.c.run),
            )
            .where(
                summaries_table.c.project_id == self.project_id,
                summaries_table.c.key == self.key(field),
                summaries_table.c.position > as_of,
                self._existed(as_of),
            )
        ).all()
        if not younger:
            return None
        ids: dict[int, str] = {}
        stored: dict[int, dict[str, Summary]] = {}
        for _, run, _, *columns, name, run_id in younger:
            ids[run], stored[run] = run_id, {name: summaries.to_summary(*columns)}
        folded = past.summaries_as_of(self.connection, self.project_id, ids, stored, as_of)
        runs, values = [], []
        for run, metrics in folded.items():
            value: Any = getattr(metrics[field.name], field.aggregate)
            if value is None:
                continue
            number = float(value)
            runs.append(run)
            values.append(None if number != number else number)  # noqa: PLR0124 - NaN is kept as NULL
        return shipped(self.connection, f"as_of_{len(self._overlays)}", runs, values)


def leaves(node: Node) -> Iterator[Compare | In | Like | Match | Missing]:
    """Every comparison of a condition."""
    waiting: list[Node] = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, And | Or):
            waiting.extend(item.items)
        elif isinstance(item, Not):
            waiting.append(item.item)
        else:
            yield item


def fields_of(node: Node) -> list[Field]:
    """Every field that a condition mentions."""
    return [item.field for item in leaves(node) if not isinstance(item, Match)]


def mentions_words(node: Node) -> bool:
    """Whether a condition looks for words."""
    return any(isinstance(item, Match) for item in leaves(node))
