"""A draft: what one write is about to change, kept apart until it has succeeded."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from muniment.model.canonical import alike, canonical, salted
from muniment.model.dataset import DatasetVersion
from muniment.model.errors import Conflict, InvalidInput
from muniment.model.evaluation import Evaluation
from muniment.model.facet import FacetType
from muniment.model.ledger import commands_payload, derived_salt
from muniment.model.model import ModelVersion
from muniment.model.run import param_number
from muniment_server.language.words import words_of
from muniment_server.store import belongings, links, points, receipts, repeats, tables, words
from muniment_server.store.belongings import FAMILIES, content_of
from muniment_server.store.held import BEFORE_ALL, Frontier, Held, is_active
from muniment_server.store.kinds import KINDS, Record, kind_of, name_of
from muniment_server.store.links import LinkKey
from muniment_server.store.lookup import Lookup
from muniment_server.store.repeats import PointsBatch, Read
from muniment_server.store.summaries import fold_row
from muniment_server.store.transaction import Transaction


class Draft(Lookup):
    """What one write is about to change. Dropped as a whole if the write fails."""

    def __init__(self, transaction: Transaction, actor: str, action: str, read: Read | None = None) -> None:
        super().__init__(transaction)
        self.actor = actor
        self.action = action
        self.read = read or {}
        self.time = transaction.head.time
        self.position = transaction.head.position + 1
        """The position of what this draft changes in records; its points come after."""
        self.touched = 0
        """Grows with every change."""
        self._created: list[tuple[Held, str]] = []
        self._versions: dict[str, tuple[str, int | None, Held]] = {}
        self._params: dict[str, dict[str, str]] = {}
        self._tags: dict[str, dict[str, str | None]] = {}
        self._had: dict[str, set[str]] = {}
        self._links: dict[LinkKey, tuple[str | None, bool]] = {}
        self._flows: dict[int, list[LinkKey]] = {}
        self._words: dict[int, words.Row] = {}
        self._bodies: dict[int, tuple[str, Held, dict[str, Any]]] = {}
        self._points: list[tuple[Held, PointsBatch]] = []
        self._writers: dict[str, tuple[int, int, int]] = {}
        self._heads: list[int] = []

    # changing

    def create(self, kind: str, make: Callable[[int], Record]) -> Held:
        """A new record; `make` is given the position."""
        record = make(self.position)
        no = self.transaction.head.records + len(self._created) + 1
        logged: dict[str, Any] = {"params": {}, "frontier": BEFORE_ALL} if kind == "run" else {}
        held = Held(no, os.urandom(16), record, tags={}, **logged)
        self._created.append((held, kind))
        if isinstance(record, DatasetVersion | ModelVersion | FacetType):
            self._note_version(kind, record)
        self._words[held.no] = held.no, words_of(record), False
        self._put(kind, None, held)
        return held

    def _note_version(self, kind: str, record: DatasetVersion | ModelVersion | FacetType) -> None:
        """Remember what a later version of the same transaction has to know of this one."""
        owner = getattr(record, KINDS[kind].owner)
        last = self.last_number(kind, owner)
        self._numbers[kind, owner] = last + 1 if isinstance(record, DatasetVersion) else max(last, record.version)
        self._youngest[kind, owner] = record.id
        if isinstance(record, DatasetVersion) and record.digest is not None:
            self._contents.setdefault((owner, record.digest), record.id)

    def replace(self, kind: str, held: Held, record: Record) -> Held:
        """A new version of a record. The same content again changes nothing."""
        held = self._newest(held)
        if alike(msgspec.structs.replace(record, position=held.record.position), held.record):
            return held
        made = msgspec.structs.replace(held, record=msgspec.structs.replace(record, position=self.position))
        found = words_of(record)
        owner = KINDS[kind].owner
        if owner and is_active(made) != is_active(held):
            self._stirred.add((kind, getattr(record, owner)))
        if found != words_of(held.record):
            self._words[held.no] = held.no, found, held.no <= self.old
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
        self._body(held)[kind] = body

    def _keep(self, held: Held) -> None:
        self.held[held.record.id] = held
        name = name_of(held.record)
        if name is not None:
            self.names[name] = held.record.id

    def _body(self, held: Held) -> dict[str, Any]:
        self.touched += 1
        return self._bodies.setdefault(held.no, (kind_of(held.record).name, held, {}))[2]

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
            self._body(held).setdefault("params", {}).update(fresh)
        return len(fresh)

    def change_tags(self, held: Held, given: dict[str, str | None]) -> int:
        """Set tags of a record, or remove those given as None; how many changed."""
        known = self.tags(held)
        changed = {key: value for key, value in given.items() if known.get(key) != value}
        if changed:
            left = {key: value for key, value in {**known, **changed}.items() if value is not None}
            self._keep(msgspec.structs.replace(self._newest(held), tags=left))
            self._tags.setdefault(held.record.id, {}).update(changed)
            self._had.setdefault(held.record.id, set()).update(key for key in changed if key in known)
            self._body(held).setdefault("tags", {}).update(changed)
        return len(changed)

    def set_belonging(self, family: str, held: Held, name: str, given: Any) -> bool:
        """Let a name of a record have another record or document from now on, or nothing; whether that is news."""
        content, now = content_of(given), self.content(family, held, name)
        if (None if now is None else now.stored) == (None if content is None else content.stored):
            return False
        self._belongings.put((family, held.no, name), held, content, had=now is not None)
        self._body(held).setdefault(family, {})[name] = None if content is None else content.said
        return True

    def add_link(self, upstream: Held, downstream: Held, type_: str, role: str, run: Held | None, source: str) -> bool:
        """Record that data flowed from one record to another; whether that is news.

        Raises:
            InvalidInput: a record would be its own ancestor.
        """
        key = (downstream.no, upstream.no, type_, role, 0 if run is None else run.no)
        if self._holds(key):
            return False
        if type_ != "same_as" and links.reaches(self, downstream.no, upstream.no):
            raise InvalidInput(
                f"{upstream.record.id} descends from {downstream.record.id}, so it cannot be upstream of it",
                field="upstream",
            )
        self._put_link(key, upstream, downstream, run, source)
        return True

    def remove_link(self, upstream: Held, downstream: Held, type_: str, role: str, run: Held | None) -> bool:
        """End a link; whether there was one."""
        key = (downstream.no, upstream.no, type_, role, 0 if run is None else run.no)
        if not self._holds(key):
            return False
        self._put_link(key, upstream, downstream, run, None)
        return True

    def _holds(self, key: LinkKey) -> bool:
        for waiting in (self._links, self.transaction.links):
            if key in waiting:
                return waiting[key][0] is not None
        return max(key[:2]) <= self.old and links.holds(self.connection, self.project_id, key)

    def _put_link(self, key: LinkKey, upstream: Held, downstream: Held, run: Held | None, source: str | None) -> None:
        had = self._links[key][1] if key in self._links else source is None
        self._links[key] = (source, had)
        if source is not None:
            self._flows.setdefault(key[1], []).append(key)
        said = {
            "upstream": upstream.record.id,
            "type": key[2],
            "role": key[3],
            "run": None if run is None else run.record.id,
            "source": source,
        }
        self._body(downstream).setdefault("links", []).append(said)

    def waiting_downstream(self, number: int) -> Iterator[int]:
        """Where data flows from a record by links that are not in the database yet."""
        for flows in (self._flows, self.transaction.flows):
            yield from (key[0] for key in flows.get(number, ()) if self._holds(key))

    def add_points(self, held: Held, batch: PointsBatch) -> int | None:
        """Points for a run. Returns the position at which the very same points are recorded already, or None.

        Raises:
            Unread: that cannot be said yet.
        """
        if any(held.no == other.no and batch.digest == again.digest for other, again in self._points):
            return self.last_position
        held = self._newest(held)
        if not _beyond(batch.greatest, held.frontier):
            known = self.transaction.digests.get((held.no, batch.digest))
            if known is None:
                run = held.no, held.record.id
                known = repeats.find(self.connection, self.project_id, run, batch, self.read)
            if known is not None:
                return known
        self._points.append((held, batch))
        self.touched += 1
        if held.frontier is not None:
            step, timestamp = map(max, held.frontier, batch.greatest)
            self._keep(msgspec.structs.replace(held, frontier=(step, timestamp)))
        return None

    def writer_mark(self, writer: str) -> tuple[int, int, int] | None:
        """(sequence, position, points) of a writer's latest accepted request."""
        return self.transaction.writers.get(writer) or receipts.writer_mark(self.connection, self.project_id, writer)

    def advance_writer(self, writer: str, sequence: int, position: int, count: int) -> None:
        """Remember that a writer has come to `sequence`, and what it was answered."""
        self._writers[writer] = (sequence, position, count)

    def remark(self, held: Held, name: str, remark: Any) -> None:
        """Add an explanation to what the history says of a record."""
        self._body(held)[name] = remark

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
        """Hand everything over to the transaction."""
        transaction, buffers = self.transaction, self.transaction.buffers
        for held, kind in self._created:
            buffers.add(tables.records, {**self._row(held.no), "kind": kind, "id": held.record.id, "salt": held.salt})
            if isinstance(held.record, Evaluation):
                self._close_scores(held.no, held.record)
        buffers.words.update(self._words)
        for kind, closes, held in self._versions.values():
            self._close_version(kind, closes, held)
        for record_id, fresh in self._params.items():
            self._close_params(self.held[record_id].no, fresh)
        for record_id, changed in self._tags.items():
            self._close_tags(self.held[record_id].no, changed, self._had[record_id])
        for key, (content, had) in self._belongings.changed.items():
            where, row = belongings.rows(self.project_id, self.position, key, content)
            transaction.supersede(FAMILIES[key[0]].table, key[1:], had, self.position, where, row)
        for link, (source, had) in self._links.items():
            self._close_link(link, source, had)
        if self._bodies:
            self._close_entry()
        position = self.position - (not self._bodies)
        for held, batch in self._points:
            position += 1
            self._close_points(held, batch, position)
        transaction.writers.update(self._writers)
        buffers.heads.extend(self._heads)
        transaction.held.update(self.held)
        transaction.names.update(self.names)
        transaction.belongings.take(self._belongings)
        transaction.youngest.update(self._youngest)
        transaction.stirred.update(self._stirred)
        transaction.numbers.update(self._numbers)
        transaction.contents = {**self._contents, **transaction.contents}  # the oldest stays
        transaction.links.update(self._links)
        for number, keys in self._flows.items():
            transaction.flows.setdefault(number, []).extend(keys)
        transaction.head = msgspec.structs.replace(
            transaction.head, position=position, records=transaction.head.records + len(self._created)
        )

    def _row(self, no: int) -> dict[str, Any]:
        return {"project_id": self.project_id, "no": no}

    def _close_version(self, kind: str, closes: int | None, held: Held) -> None:
        table, record = KINDS[kind].table, held.record
        row = {**self._row(held.no), "valid_from": self.position, "valid_to": None}
        for name in _COLUMNS[kind]:
            row[name] = getattr(record, name)
        self.transaction.supersede(table, (held.no,), closes is not None, self.position, {"at_no": held.no}, row)

    def _close_scores(self, evaluation: int, record: Evaluation) -> None:
        for name, value in record.metrics.items():
            number = float(value)
            self.transaction.buffers.add(tables.scores, {
                "project_id": self.project_id, "evaluation": evaluation, "key": self.transaction.key(name),
                "valid_from": self.position, "value": None if math.isnan(number) else number,
            })  # fmt: skip

    def _close_params(self, run: int, fresh: dict[str, str]) -> None:
        for name, value in fresh.items():
            self.transaction.buffers.add(tables.params, {
                "project_id": self.project_id, "run": run, "key": self.transaction.key(name), "value": value,
                "number": param_number(value), "valid_from": self.position,
            })  # fmt: skip

    def _close_tags(self, record: int, changed: dict[str, str | None], had: set[str]) -> None:
        for name, value in changed.items():
            key = self.transaction.key(name)
            row = None
            if value is not None:
                row = {"project_id": self.project_id, "run": record, "key": key, "valid_from": self.position,
                       "valid_to": None, "value": value}  # fmt: skip
            where = {"at_run": record, "at_key": key}
            self.transaction.supersede(tables.tags, (record, key), name in had, self.position, where, row)

    def _close_link(self, key: LinkKey, source: str | None, had: bool) -> None:
        columns = dict(zip(("downstream", "upstream", "type", "role", "run"), key, strict=True))
        row = None
        if source is not None:
            row = {"project_id": self.project_id, **columns, "valid_from": self.position, "valid_to": None,
                   "source": source}  # fmt: skip
        where = {f"at_{name}": part for name, part in columns.items()}
        self.transaction.supersede(tables.links, key, had, self.position, where, row)

    def _close_entry(self) -> None:
        revisions: list[tuple[str, str, bytes]] = []
        for no, (kind, held, body) in sorted(self._bodies.items()):
            text = canonical(body)
            digest = salted(derived_salt(held.salt, self.position), text)
            revisions.append((kind, held.record.id, digest))
            self.transaction.buffers.add(tables.revisions, {
                "project_id": self.project_id, "position": self.position, "record": no, "kind": kind,
                "body": text.decode(), "hash": digest,
            })  # fmt: skip
        payload, salt = commands_payload(revisions), os.urandom(16)
        self.transaction.buffers.add(tables.ledger, {
            "project_id": self.project_id, "position": self.position, "time": self.time, "actor": self.actor,
            "action": self.action, "payload": payload, "salt": salt, "payload_hash": salted(salt, payload),
        })  # fmt: skip

    def _close_points(self, held: Held, batch: PointsBatch, position: int) -> None:
        numbers = [self.transaction.key(name) for name in batch.columns.series]
        self.transaction.digests[held.no, batch.digest] = position
        self.transaction.buffers.add(
            tables.points,
            points.level0_row(self.project_id, position, held.no, self.time, self.actor, batch, numbers),
        )
        self.transaction.buffers.folds.extend(
            fold_row(self.project_id, held.no, number, position, fold)
            for number, fold in zip(numbers, batch.folds, strict=True)
        )


_COLUMNS = {
    kind.name: [
        column.name for column in kind.table.columns
        if column.name not in {"project_id", "no", "valid_from", "valid_to"}
    ]
    for kind in KINDS.values()
}  # fmt: skip
"""What a version's row takes from its record, by kind: a table's own columns are slow to go through."""


def _beyond(greatest: Frontier, frontier: Frontier | None) -> bool:
    """Whether points that come this far hold one that no earlier request of the run can have held."""
    return frontier is not None and (greatest[0] > frontier[0] or greatest[1] > frontier[1])
