"""Finding records for readers: one by id or key, at a position, as far as the caller may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from muniment_server.policy.access import Scope
from muniment_server.store import belongings, current, heads
from muniment_server.store.dialects import among, numbers_for
from muniment_server.store.held import Held
from muniment_server.store.kinds import KINDS
from muniment_server.store.projects import visible
from muniment_server.store.records import erased
from muniment_server.store.tables import records

_NAMING = (
    "no",
    "id",
    "name",
    "namespace",
    "version",
    "dataset",
    "model",
    "digest",
    "title",
    "urn",
    "project",
    "created_at",
)
"""Columns from which a record's name is made."""


class Reader:
    """Finds records of one project as they were at a position. Finds what a `Draft` finds, by the same names.

    Args:
        connection: a snapshot.
        scope: what the caller may see.
        project_id: the project.
        as_of: the position; None is now.
    """

    def __init__(self, connection: sa.Connection, scope: Scope, project_id: int, as_of: int | None) -> None:
        self.connection = connection
        self.scope = scope
        self.project_id = project_id
        self.as_of = as_of

    @property
    def slug(self) -> str:
        """The project's slug."""
        return current.slug_of(self.connection, self.project_id)

    @property
    def position(self) -> int:
        """Everything up to this position is considered."""
        return heads.read(self.connection, self.project_id).position if self.as_of is None else self.as_of

    def find(self, kind: str, record_id: str) -> Held | None:
        """The record with this id."""
        table = KINDS[kind].table
        return self._one(kind, table.c.no == _number(self.project_id, record_id))

    def find_any(self, record_id: str) -> Held | None:
        """The record with this id, of whatever kind."""
        kind = current.kind_of_id(self.connection, self.project_id, record_id)
        return None if kind is None else self.find(kind, record_id)

    def was_erased(self, record_id: str) -> bool:
        """Whether there is a record with this id of which the past is gone, since it was erased."""
        return self.as_of is not None and erased(self.connection, self.project_id, record_id)

    def find_named(self, kind: str, *name: Any) -> Held | None:
        """The record with this key."""
        table, key = KINDS[kind].table, KINDS[kind].key
        return self._one(kind, *(table.c[column] == part for column, part in zip(key, name, strict=True)))

    def belonging(self, family: str, held: Held, name: str) -> Any:
        """What a name of a record had: the id of a record or a document; None is nothing."""
        found = belongings.find(self.connection, self.project_id, family, held.no, name, self.as_of)
        return None if found is None else found.said

    def find_alias(self, held: Held, name: str) -> Held | None:
        """The record that an alias of another meant."""
        target = self.belonging("aliases", held, name)
        return None if target is None else self.find_any(target)

    def find_called(self, name: str) -> Held | None:
        """The record that another system's name meant."""
        found = belongings.record_called(self.connection, self.project_id, name, self.as_of)
        return None if found is None else self.find_any(found)

    def latest(self, kind: str, owner: str) -> Held | None:
        """The youngest record of a kind that belongs to another, such as a model's latest version."""
        table = KINDS[kind].table
        return self._one(kind, table.c[KINDS[kind].owner] == owner, table.c.lifecycle == "active", youngest=True)

    def all_of(self, kind: str, owner: str, record_id: str) -> list[Any]:
        """All records of a kind that belong to another, oldest first."""
        table = KINDS[kind].table
        query = self._query(kind).where(table.c[owner] == record_id).order_by(table.c.no)
        return [current.to_record(kind, row) for row in self.connection.execute(query)]

    def numbered(self, kind: str, numbers: list[int]) -> dict[int, Any]:
        """Records of a kind by their numbers."""
        table = KINDS[kind].table
        found: dict[int, Any] = {}
        for start in range(0, len(numbers), 10_000):
            query = self._query(kind).where(table.c.no.in_(numbers[start : start + 10_000]))
            found.update((row.no, current.to_record(kind, row)) for row in self.connection.execute(query))
        return found

    def numbers(self, ids: Iterable[str]) -> dict[str, int]:
        """The numbers of records by their ids; of those there are."""
        wanted = sorted(set(ids))
        found: dict[str, int] = {}
        for start in range(0, len(wanted), 10_000):
            query = sa.select(records.c.id, records.c.no).where(
                records.c.project_id == self.project_id, records.c.id.in_(wanted[start : start + 10_000]),
                visible(self.scope, records.c.project_id),
            )  # fmt: skip
            found.update((row.id, row.no) for row in self.connection.execute(query))
        return found

    def names(self, kind: str, numbers: list[int]) -> dict[int, Any]:
        """What it takes to name records of a kind, by their numbers: rows with no more than that."""
        table = KINDS[kind].table
        columns = [table.c[name] for name in _NAMING if name in table.c]
        found: dict[int, Any] = {}
        for start in range(0, len(numbers), 10_000):
            chunk = numbers_for(self.connection.dialect.name, sorted(numbers[start : start + 10_000]))
            query = sa.select(*columns).where(
                table.c.project_id == self.project_id,
                current.at(table, self.as_of),
                visible(self.scope, table.c.project_id),
                among(table.c.no, sa.literal(chunk, sa.types.NullType())),
            )
            found.update((row.no, row) for row in self.connection.execute(query))
        return found

    def by_ids(self, kind: str, ids: Iterable[str]) -> dict[str, Any]:
        """Records of a kind by their ids."""
        wanted = sorted(set(ids))
        found: dict[str, Any] = {}
        for start in range(0, len(wanted), 10_000):
            numbers = sa.select(records.c.no).where(
                records.c.project_id == self.project_id, records.c.id.in_(wanted[start : start + 10_000])
            )
            for row in self.connection.execute(self._query(kind).where(KINDS[kind].table.c.no.in_(numbers))):
                record = current.to_record(kind, row)
                found[record.id] = record
        return found

    def _query(self, kind: str) -> sa.Select[Any]:
        table = KINDS[kind].table
        return current.versions(kind).where(
            table.c.project_id == self.project_id,
            current.at(table, self.as_of),
            visible(self.scope, table.c.project_id),
        )

    def _one(self, kind: str, *conditions: Any, youngest: bool = False) -> Held | None:
        query = self._query(kind).where(*conditions)
        if youngest:
            query = query.order_by(KINDS[kind].table.c.no.desc()).limit(1)
        row = self.connection.execute(query).first()
        return None if row is None else Held(row.no, b"", current.to_record(kind, row))


def _number(project_id: int, record_id: str) -> Any:
    return (
        sa.select(records.c.no).where(records.c.project_id == project_id, records.c.id == record_id).scalar_subquery()
    )
