"""A group: the waiting writes of one project, applied in order and committed in one transaction (rule 3).

Each write gets a `Draft`. What it changes is kept in memory until the whole group is written with one statement per
table, so a write that fails leaves nothing behind and the others go on without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from muniment.model.canonical import canonical, salted
from muniment.model.errors import Conflict, KeyReused
from muniment.model.ledger import commands_payload, derived_salt
from muniment.model.run import param_number
from muniment_server.segments.columns import Columns, Fold
from muniment_server.store import current, heads, points, receipts, tables
from muniment_server.store.engine import Prepared, inserting
from muniment_server.store.held import Held, Memory, Record, unique_name
from muniment_server.store.summaries import FOLD, fold_row

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Write(Protocol[T_co]):
    """One request, prepared: everything that could be checked without the lock has been."""

    @property
    def project_id(self) -> int:
        """The project that is written to."""
        ...

    @property
    def actor(self) -> str:
        """Id of the acting principal."""
        ...

    @property
    def action(self) -> str:
        """What the history calls it."""
        ...

    @property
    def receipt(self) -> receipts.Receipt | None:
        """What makes a repetition of the request known, if it carries an idempotency key."""
        ...

    @property
    def alone(self) -> bool:
        """Whether it must not share its transaction, because it writes by itself."""
        ...

    def apply(self, draft: Draft) -> T_co:
        """Check what can have changed since, and say what changes. Returns the answer."""
        ...


class PointsBatch(msgspec.Struct, frozen=True):
    """Points of one run, with everything computed that needs no transaction."""

    columns: Columns
    digest: bytes
    folds: list[Fold]
    body: bytes
    """The level-0 payload without its header."""


class _Row(dict[str, Any]):
    """A row waiting to be inserted; a later change of the same group may still close it."""


class _Buffers:
    """Rows waiting to be written, by table."""

    def __init__(self) -> None:
        self.rows: dict[sa.Table, list[_Row]] = {}
        self.closed: dict[sa.Table, list[dict[str, Any]]] = {}
        self.folds: list[dict[str, Any]] = []
        self.heads: list[int] = []

    def add(self, table: sa.Table, row: dict[str, Any]) -> _Row:
        made = _Row(row)
        self.rows.setdefault(table, []).append(made)
        return made


class Draft:
    """What one write is about to change. Dropped as a whole if the write fails."""

    def __init__(self, group: Group, actor: str, action: str) -> None:
        self.group = group
        self.connection = group.connection
        self.project_id = group.head.project_id
        self.actor = actor
        self.action = action
        self.time = group.head.time
        self.position = group.head.position + 1
        """The position of what this draft changes in records; its points come after."""
        self.held: dict[str, Held] = {}
        self.names: dict[tuple[str, str], str] = {}
        self._created: list[tuple[Held, str]] = []
        self._versions: dict[str, tuple[str, int | None, Held]] = {}
        self._params: dict[str, dict[str, str]] = {}
        self._tags: dict[str, dict[str, str | None]] = {}
        self._had: dict[str, set[str]] = {}
        self._bodies: dict[int, tuple[str, Held, dict[str, Any]]] = {}
        self._points: list[tuple[Held, PointsBatch]] = []
        self._writer: tuple[str, int] | None = None
        self._heads: list[int] = []

    # finding

    def find(self, kind: str, record_id: str) -> Held | None:
        """The current record with this id, this draft's own changes included."""
        found = self.held.get(record_id) or self.group.held.get(record_id) or self.group.memory.get(record_id)
        if found is None:
            found = current.by_id(self.connection, self.project_id, kind, record_id)
            if found is not None:
                self.group.read(found)
        return found if found is not None and isinstance(found.record, current.KINDS[kind][0]) else None

    def find_named(self, kind: str, name: str) -> Held | None:
        """The current record with this unique name."""
        for names in (self.names, self.group.names):
            if (kind, name) in names:
                return self.find(kind, names[kind, name])
        found = self.group.memory.named(kind, name) or current.by_name(self.connection, self.project_id, kind, name)
        if found is None:
            return None
        newest = self.find(kind, found.record.id)  # it may have been renamed by a write of this very group
        return newest if newest is not None and unique_name(newest.record) == (kind, name) else None

    def params(self, held: Held) -> dict[str, str]:
        """Every param of a run."""
        held = self._newest(held)
        if held.params is None:
            held = msgspec.structs.replace(held, params=current.params_of(self.connection, self.project_id, held.no))
            self.held[held.record.id] = held
        assert held.params is not None
        return held.params

    def tags(self, held: Held) -> dict[str, str]:
        """Every current tag of a run."""
        held = self._newest(held)
        if held.tags is None:
            held = msgspec.structs.replace(held, tags=current.tags_of(self.connection, self.project_id, held.no))
            self.held[held.record.id] = held
        assert held.tags is not None
        return held.tags

    def _newest(self, held: Held) -> Held:
        record_id = held.record.id
        return self.held.get(record_id) or self.group.held.get(record_id) or held

    # changing

    def create(self, kind: str, make: Callable[[int], Record]) -> Held:
        """A new record; `make` is given the position."""
        record = make(self.position)
        no = self.group.head.records + len(self._created) + 1
        logged: dict[str, dict[str, str]] = {"params": {}, "tags": {}} if kind == "run" else {}
        held = Held(no, os.urandom(16), record, **logged)
        self._created.append((held, kind))
        self._put(kind, None, held)
        return held

    def replace(self, kind: str, held: Held, record: Record) -> Held:
        """A new version of a record. The same content again changes nothing."""
        held = self._newest(held)
        if msgspec.structs.replace(record, position=held.record.position) == held.record:
            return held
        made = msgspec.structs.replace(held, record=msgspec.structs.replace(record, position=self.position))
        self._put(kind, held.record.position, made)
        return made

    def _put(self, kind: str, closes: int | None, held: Held) -> None:
        record_id = held.record.id
        if closes == self.position:  # this draft has changed it already
            closes = self._versions[record_id][1]
        self._versions[record_id] = (kind, closes, held)
        self._keep(held)
        body = msgspec.to_builtins(held.record)
        del body["position"]
        self._body(kind, held)[kind] = body

    def _keep(self, held: Held) -> None:
        self.held[held.record.id] = held
        name = unique_name(held.record)
        if name is not None:
            self.names[name] = held.record.id

    def _body(self, kind: str, held: Held) -> dict[str, Any]:
        return self._bodies.setdefault(held.no, (kind, held, {}))[2]

    def add_params(self, held: Held, given: dict[str, str]) -> int:
        """Add params to a run; how many were new.

        Raises:
            Conflict: one of them is there with another value.
        """
        known = self.params(held)
        fresh: dict[str, str] = {}
        for key, value in given.items():
            old = known.get(key)
            if old is None:
                fresh[key] = value
            elif old != value:
                raise Conflict(
                    f"param {key!r} of run {held.record.id} is {old[:100]!r} and cannot become {value[:100]!r}: "
                    "params never change; log another key or start another run",
                    field=f"params[{key!r}]",
                )
        if fresh:
            self._keep(msgspec.structs.replace(self._newest(held), params={**known, **fresh}))
            self._params.setdefault(held.record.id, {}).update(fresh)
            self._body("run", held).setdefault("params", {}).update(fresh)
        return len(fresh)

    def change_tags(self, held: Held, given: dict[str, str | None]) -> int:
        """Set tags of a run, or remove those given as None; how many changed."""
        known = self.tags(held)
        changed = {key: value for key, value in given.items() if known.get(key) != value}
        if changed:
            left = {key: value for key, value in {**known, **changed}.items() if value is not None}
            self._keep(msgspec.structs.replace(self._newest(held), tags=left))
            self._tags.setdefault(held.record.id, {}).update(changed)
            self._had.setdefault(held.record.id, set()).update(key for key in changed if key in known)
            self._body("run", held).setdefault("tags", {}).update(changed)
        return len(changed)

    def add_points(self, held: Held, batch: PointsBatch) -> int | None:
        """Points for a run. Returns the position at which the very same points are recorded already, or None."""
        known = self.group.digests.get((held.no, batch.digest))
        if known is None:
            known = points.position_of_digest(self.connection, self.project_id, held, batch.columns, batch.digest)
        if known is None:
            self._points.append((held, batch))
        return known

    def writer_mark(self, writer: str) -> tuple[int, int, int] | None:
        """(sequence, position, points) of a writer's latest accepted request."""
        return self.group.writers.get(writer) or receipts.writer_mark(self.connection, self.project_id, writer)

    def advance_writer(self, writer: str, sequence: int) -> None:
        """Remember that a writer has come to `sequence`."""
        self._writer = (writer, sequence)

    def remark(self, held: Held, name: str, text: str) -> None:
        """Add a word of explanation to what the history says of a record."""
        self._body("run", held)[name] = text

    def create_head(self, project_id: int) -> None:
        """Begin the history of a new project."""
        self._heads.append(project_id)

    @property
    def changes_records(self) -> bool:
        """Whether there is a commands entry."""
        return bool(self._bodies)

    @property
    def last_position(self) -> int:
        """The position of this draft's last entry, or the one before it if it changes nothing."""
        return self.position - 1 + self.changes_records + len(self._points)

    # closing: from here on nothing can fail but the database

    def close(self) -> None:
        """Hand everything over to the group."""
        group, buffers = self.group, self.group.buffers
        for held, kind in self._created:
            buffers.add(tables.records, {**self._row(held.no), "kind": kind, "id": held.record.id, "salt": held.salt})
        for kind, closes, held in self._versions.values():
            self._close_version(kind, closes, held)
        for record_id, fresh in self._params.items():
            self._close_params(self.held[record_id].no, fresh)
        for record_id, changed in self._tags.items():
            self._close_tags(self.held[record_id].no, changed, self._had[record_id])
        if self._bodies:
            self._close_entry()
        position = self.position - (not self._bodies)
        for held, batch in self._points:
            position += 1
            self._close_points(held, batch, position)
        if self._writer:
            group.writers[self._writer[0]] = (self._writer[1], position, sum(len(b.columns) for _, b in self._points))
        buffers.heads.extend(self._heads)
        group.held.update(self.held)
        group.names.update(self.names)
        group.head = msgspec.structs.replace(
            group.head, position=position, records=group.head.records + len(self._created)
        )

    def _row(self, no: int) -> dict[str, Any]:
        return {"project_id": self.project_id, "no": no}

    def _close_version(self, kind: str, closes: int | None, held: Held) -> None:
        table = current.KINDS[kind][1]
        row = {**self._row(held.no), "valid_from": self.position, "valid_to": None}
        record = held.record
        for column in table.columns:
            if column.name not in row:
                row[column.name] = getattr(record, column.name)
        self.group.supersede(table, (held.no,), closes is not None, self.position, {"at_no": held.no}, row)

    def _close_params(self, run: int, fresh: dict[str, str]) -> None:
        for name, value in fresh.items():
            self.group.buffers.add(tables.params, {
                "project_id": self.project_id, "run": run, "key": self.group.key(name), "value": value,
                "number": param_number(value), "valid_from": self.position,
            })  # fmt: skip

    def _close_tags(self, run: int, changed: dict[str, str | None], had: set[str]) -> None:
        for name, value in changed.items():
            key = self.group.key(name)
            row = None
            if value is not None:
                row = {"project_id": self.project_id, "run": run, "key": key, "valid_from": self.position,
                       "valid_to": None, "value": value}  # fmt: skip
            where = {"at_run": run, "at_key": key}
            self.group.supersede(tables.tags, (run, key), name in had, self.position, where, row)

    def _close_entry(self) -> None:
        revisions: list[tuple[str, str, bytes]] = []
        for no, (kind, held, body) in sorted(self._bodies.items()):
            text = canonical(body)
            digest = salted(derived_salt(held.salt, self.position), text)
            revisions.append((kind, held.record.id, digest))
            self.group.buffers.add(tables.revisions, {
                "project_id": self.project_id, "position": self.position, "record": no, "kind": kind,
                "body": text.decode(), "hash": digest,
            })  # fmt: skip
        payload, salt = commands_payload(revisions), os.urandom(16)
        self.group.buffers.add(tables.ledger, {
            "project_id": self.project_id, "position": self.position, "time": self.time, "actor": self.actor,
            "action": self.action, "payload": payload, "salt": salt, "payload_hash": salted(salt, payload),
        })  # fmt: skip

    def _close_points(self, held: Held, batch: PointsBatch, position: int) -> None:
        numbers = [self.group.key(name) for name in batch.columns.series]
        self.group.digests[held.no, batch.digest] = position
        self.group.buffers.add(
            tables.points,
            points.level0_row(
                self.project_id,
                position,
                held.no,
                self.time,
                self.actor,
                batch.columns,
                batch.digest,
                numbers,
                batch.body,
            ),
        )
        self.group.buffers.folds.extend(
            fold_row(self.project_id, held.no, number, position, fold)
            for number, fold in zip(numbers, batch.folds, strict=True)
        )


_INSERTS = {table: inserting(table) for table in tables.metadata.sorted_tables}
_ORDER = (
    tables.records, tables.keys, tables.projects, tables.principals, tables.experiments, tables.runs,
    tables.revisions, tables.ledger, tables.params, tables.tags, tables.points,
)  # fmt: skip


def _closing(table: sa.Table, *names: str) -> Prepared:
    conditions = [table.c[name] == sa.bindparam(f"at_{name}") for name in ("project_id", *names)]
    closing = sa.update(table).where(*conditions, table.c.valid_to.is_(None)).values(valid_to=sa.bindparam("to"))
    return Prepared(lambda _: closing)


_CLOSES = {table: _closing(table, "no") for _, table in current.KINDS.values()}
_CLOSES[tables.tags] = _closing(tables.tags, "run", "key")


class Group:
    """The writes of one project in one transaction, under its head's lock."""

    def __init__(self, connection: sa.Connection, project_id: int, memory: Memory, now: datetime) -> None:
        self.connection = connection
        head = heads.lock(connection, project_id)
        memory.believe(head.position)
        self.memory = memory
        self._before = head
        self.head = msgspec.structs.replace(head, time=max(head.time, now))
        self.buffers = _Buffers()
        self.held: dict[str, Held] = {}
        self.names: dict[tuple[str, str], str] = {}
        self.digests: dict[tuple[int, bytes], int] = {}
        self.writers: dict[str, tuple[int, int, int]] = {}
        self.receipts: dict[bytes, dict[str, Any]] = {}
        self._keys: dict[str, int] = {}
        self._fresh: dict[tuple[sa.Table, tuple[int, ...]], _Row] = {}

    def apply(self, write: Write[Any]) -> Any:
        """The answer of one write; what it changes joins the group only if it succeeds."""
        if write.receipt is not None:
            kept = self.receipts.get(write.receipt.token) or receipts.find(
                self.connection, write.project_id, write.receipt.token
            )
            if kept is not None:
                if kept["request"] != write.receipt.request:
                    raise KeyReused(
                        "this idempotency key was used for another request; use a new key for each request",
                        field="Idempotency-Key",
                    )
                return receipts.answer_of(write.receipt, kept["answer"])
        draft = Draft(self, write.actor, write.action)
        answer = write.apply(draft)
        draft.close()
        if write.receipt is not None:
            self.receipts[write.receipt.token] = receipts.row(write.project_id, write.receipt, self.head.time, answer)
        return answer

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

    def supersede(
        self,
        table: sa.Table,
        key: tuple[int, ...],
        exists: bool,
        position: int,
        where: dict[str, int],
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

    def flush(self) -> None:
        """Write everything. The transaction is still open."""
        connection, buffers = self.connection, self.buffers
        for table, closings in buffers.closed.items():
            _CLOSES[table].many(connection, closings)
        for table in _ORDER:
            _INSERTS[table].many(connection, buffers.rows.get(table, ()))
        FOLD.many(connection, _merged(buffers.folds))
        receipts.KEEP.many(connection, list(self.receipts.values()))
        receipts.ADVANCE.many(connection, receipts.writer_rows(self.head.project_id, self.writers))
        for project_id in buffers.heads:
            heads.create(connection, project_id, self.head.time)
        if self.head.position != self._before.position or self.head.keys != self._before.keys:
            heads.advance(connection, self.head)

    def remember(self) -> None:
        """After the commit: what was written is known to be true."""
        self.memory.keys.update(self._keys)
        for held in self.held.values():
            self.memory.hold(held)
        self.memory.position = self.head.position


_KEY = sa.select(tables.keys.c.no).where(
    tables.keys.c.project_id == sa.bindparam("project_id"), tables.keys.c.name == sa.bindparam("name")
)


def _merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in an order that touches each part of the table once."""
    return sorted(rows, key=lambda row: (row["run"], row["key"], row["position"]))
