"""One transaction of one project: what is known under the head's lock, what waits to be written, and writing it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment_server.store import heads, receipts, tables, words
from muniment_server.store.belongings import FAMILIES, Waiting
from muniment_server.store.held import Held, Memory
from muniment_server.store.kinds import KINDS, Key, name_of
from muniment_server.store.links import LinkKey
from muniment_server.store.statements import Prepared, inserting
from muniment_server.store.summaries import FOLD, Row


class _Row(dict[str, Any]):
    """A row waiting to be inserted; a later change of the same group may still close it."""


class _Buffers:
    """Rows waiting to be written, by table."""

    def __init__(self) -> None:
        self.rows: dict[sa.Table, list[_Row]] = {}
        self.closed: dict[sa.Table, list[dict[str, Any]]] = {}
        self.folds: list[Row] = []
        self.words: dict[int, words.Row] = {}
        self.heads: list[int] = []

    def add(self, table: sa.Table, row: dict[str, Any]) -> _Row:
        made = _Row(row)
        self.rows.setdefault(table, []).append(made)
        return made


_INSERTS = {table: inserting(table) for table in tables.metadata.sorted_tables}
_ORDER = (
    tables.records, tables.keys, *(kind.table for kind in KINDS.values()), tables.revisions, tables.ledger,
    tables.params, tables.tags, *(family.table for family in FAMILIES.values()), tables.links, tables.scores,
    tables.points,
)  # fmt: skip


def _closing(table: sa.Table, *names: str) -> Prepared:
    conditions = [table.c[name] == sa.bindparam(f"at_{name}") for name in ("project_id", *names)]
    closing = sa.update(table).where(*conditions, table.c.valid_to.is_(None)).values(valid_to=sa.bindparam("to"))
    return Prepared(lambda _: closing)


_CLOSES = {kind.table: _closing(kind.table, "no") for kind in KINDS.values()}
_CLOSES.update({family.table: _closing(family.table, "record", "name") for family in FAMILIES.values()})
_CLOSES[tables.links] = _closing(tables.links, "downstream", "upstream", "type", "role", "run")
_CLOSES[tables.tags] = _closing(tables.tags, "run", "key")


class Transaction:
    """What the writes of one project change together, under its head's lock, until it is written at once.

    Args:
        connection: in a transaction.
        project_id: the project.
        memory: what this process holds of it.
        now: the time.
        trusting: whether to go on from where this process left the head, and to lock it when something has to be read,
            or else with the first of what is written: then nothing is waited for but the commit. Whoever begins such
            a transaction begins it again, not trusting, if `heads.is_stale` says so of its error.
    """

    def __init__(
        self, connection: sa.Connection, project_id: int, memory: Memory, now: datetime, *, trusting: bool = False
    ) -> None:
        self._connection = connection
        head = memory.head if trusting else None
        self._locked = head is None
        if head is None:
            head = heads.lock(connection, project_id)
            memory.believe(head)
        self.memory = memory
        self.before = head
        self.head = msgspec.structs.replace(head, time=max(head.time, now))
        self.buffers = _Buffers()
        self.held: dict[str, Held] = {}
        self.names: dict[tuple[str, Key], str] = {}
        self.absent: set[tuple[str, Any]] = set()
        """(kind, key), (``id``, id) and (``called``, name) of what the database is known not to have."""
        self.called: dict[str, str] = {}
        """The ids that other systems' names are known to mean in the database."""
        self.youngest: dict[tuple[str, str], str] = {}
        self.stirred: set[tuple[str, str]] = set()
        """(kind, owner) of versions of which some were deleted or restored."""
        self.contents: dict[tuple[str, str], str] = {}
        self.numbers: dict[tuple[str, str], int] = {}
        self.belongings = Waiting()
        self.links: dict[LinkKey, tuple[str | None, bool]] = {}
        self.flows: dict[int, list[LinkKey]] = {}
        self.digests: dict[tuple[int, bytes], int] = {}
        self.writers: dict[str, tuple[int, int, int]] = {}
        self.receipts: dict[bytes, dict[str, Any]] = {}
        self._keys: dict[str, int] = {}
        self._fresh: dict[tuple[sa.Table, tuple[Any, ...]], _Row] = {}

    @property
    def connection(self) -> sa.Connection:
        """Reads under the lock.

        Raises:
            Stale: the head is not where this process left it.
        """
        if not self._locked:
            found = heads.lock(self._connection, self.before.project_id)
            if msgspec.structs.replace(found, time=self.before.time) != self.before:
                raise heads.Stale
            self._locked = True
        return self._connection

    def key(self, name: str) -> int:
        """The interned number of a metric, param or tag name."""
        number = self.memory.keys.get(name) or self._keys.get(name)
        if number is None:
            number = self.connection.execute(
                _KEY, {"project_id": self.head.project_id, "name": name}
            ).scalar_one_or_none()
            if number is None:
                number = self.head.keys + 1
                self.head = msgspec.structs.replace(self.head, keys=number)
                self.buffers.add(tables.keys, {"project_id": self.head.project_id, "no": number, "name": name})
            self._keys[name] = number
        return number

    def read(self, held: Held) -> None:
        """Remember a record that was just read under the lock."""
        self.held.setdefault(held.record.id, held)
        name = name_of(held.record)
        if name is not None:
            self.names.setdefault(name, held.record.id)

    def supersede(
        self,
        table: sa.Table,
        key: tuple[Any, ...],
        exists: bool,
        position: int,
        where: Mapping[str, Any],
        row: dict[str, Any] | None,
    ) -> None:
        """End the current version of a row, if it has one, and begin the next."""
        waiting = self._fresh.pop((table, key), None)
        if waiting is not None:
            waiting["valid_to"] = position
        elif exists:
            self.buffers.closed.setdefault(table, []).append(
                {"at_project_id": self.head.project_id, "to": position, **where}
            )
        if row is not None:
            self._fresh[table, key] = self.buffers.add(table, row)

    @property
    def changes_something(self) -> bool:
        """Whether the head moves."""
        return self.head.position != self.before.position or self.head.keys != self.before.keys

    def prove(self) -> None:
        """Make sure that answers are true which were given without a look, if nothing is written that would prove it.

        Raises:
            Stale: they are not.
        """
        if not self.changes_something:
            _ = self.connection

    def flush(self) -> None:
        """Write everything. The transaction is still open."""
        connection, buffers = self._connection, self.buffers
        if not self._locked:
            heads.move(connection, self.before, self.head)
        for table, closings in buffers.closed.items():
            _CLOSES[table].many(connection, closings)
        for table in _ORDER:
            rows = buffers.rows.get(table)
            if rows:
                _INSERTS[table].many(connection, rows)
        words.write(connection, self.head.project_id, list(buffers.words.values()))
        # sorted, so that each part of the table is touched once
        FOLD.many(connection, sorted(buffers.folds, key=itemgetter(1, 2)))
        receipts.KEEP.many(connection, list(self.receipts.values()))
        receipts.ADVANCE.many(connection, receipts.writer_rows(self.head.project_id, self.writers))
        for project_id in buffers.heads:
            heads.create(connection, project_id, self.head.time)
        if self._locked and self.changes_something:
            heads.advance(connection, self.head)

    def remember(self) -> None:
        """After the commit: what was written is known to be true."""
        self.memory.keys.update(self._keys)
        for held in self.held.values():
            self.memory.hold(held)
        self.memory.head = self.head if self.changes_something else self.before  # whose time is the last commit's


_KEY = sa.select(tables.keys.c.no).where(
    tables.keys.c.project_id == sa.bindparam("project_id"), tables.keys.c.name == sa.bindparam("name")
)
