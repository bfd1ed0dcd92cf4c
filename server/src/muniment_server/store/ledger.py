"""Reading the ledger: entries wherever they now lie, revisions, times, and the leaves of both kinds (rule 1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.canonical import salted, untagged
from muniment.model.ledger import EntryKind, Revision, derived_salt, leaf_hash, points_payload
from muniment_server.segments import columns, level1
from muniment_server.store.tables import ledger, points, records, revisions, segments
from muniment_server.store.types import from_micros, to_micros


class Located(msgspec.Struct, frozen=True):
    """An entry with the hash of its payload, read from where it lies now.

    Attributes:
        where: the table it was found in.
        run: id of the run, for a points entry that was not erased.
        count: points in it.
        erased: id of the run, for a points entry that was.
    """

    position: int
    time: datetime
    actor: str
    action: str
    kind: EntryKind
    payload_hash: bytes
    where: str
    run: str | None = None
    count: int = 0
    erased: str | None = None

    @property
    def leaf(self) -> bytes:
        """The leaf hash."""
        return leaf_hash(self.position, to_micros(self.time), self.actor, self.action, self.payload_hash)


POINTS_ACTION = "run.log"
"""The action of every points entry."""


def entries(connection: sa.Connection, project_id: int, after: int, until: int) -> list[Located]:
    """Every entry with a position in (after, until], in order, whichever table it lies in."""
    found = [
        *_commands(connection, project_id, after, until),
        *_level0(connection, project_id, after, until),
        *_level1(connection, project_id, after, until),
    ]
    return sorted(found, key=lambda entry: entry.position)


def _commands(connection: sa.Connection, project_id: int, after: int, until: int) -> Iterator[Located]:
    query = sa.select(ledger.c.position, ledger.c.time, ledger.c.actor, ledger.c.action, ledger.c.payload_hash).where(
        ledger.c.project_id == project_id, ledger.c.position > after, ledger.c.position <= until
    )
    for row in connection.execute(query):
        yield Located(row.position, row.time, row.actor, row.action, "commands", row.payload_hash, "ledger")


def times(connection: sa.Connection, project_id: int, positions: Iterable[int]) -> dict[int, datetime]:
    """When the commands entries at some positions were committed."""
    wanted = sorted(set(positions))
    found: dict[int, datetime] = {}
    for start in range(0, len(wanted), 10_000):
        query = sa.select(ledger.c.position, ledger.c.time).where(
            ledger.c.project_id == project_id, ledger.c.position.in_(wanted[start : start + 10_000])
        )
        found.update((row.position, row.time) for row in connection.execute(query))
    return found


def points_payload_hash(salt: bytes, position: int, run: str, count: int, digest: bytes) -> bytes:
    """The salted hash of a points entry's payload."""
    return salted(derived_salt(salt, position), points_payload(run, count, digest))


def _level0(connection: sa.Connection, project_id: int, after: int, until: int) -> Iterator[Located]:
    query = (
        sa.select(
            points.c.position, points.c.time, points.c.actor, points.c.count, points.c.digest, points.c.payload_hash,
            records.c.id, records.c.salt, points.c.payload.is_(None).label("erased"),
        )
        .join(records, sa.and_(records.c.project_id == points.c.project_id, records.c.no == points.c.run))
        .where(points.c.project_id == project_id, points.c.position > after, points.c.position <= until)
    )  # fmt: skip
    for row in connection.execute(query):
        made = Located(row.position, row.time, row.actor, POINTS_ACTION, "points", row.payload_hash or b"", "points")
        if row.erased:
            yield msgspec.structs.replace(made, erased=row.id)
            continue
        count = row._mapping["count"]  # noqa: SLF001 - a row has a method of that name
        hashed = points_payload_hash(row.salt, row.position, row.id, count, row.digest or b"")
        yield msgspec.structs.replace(made, payload_hash=hashed, run=row.id, count=count)


def _level1(connection: sa.Connection, project_id: int, after: int, until: int) -> Iterator[Located]:
    query = sa.select(segments.c.payload).where(
        segments.c.project_id == project_id, segments.c.last > after, segments.c.first <= until
    )
    for row in connection.execute(query.order_by(segments.c.first)):
        for entry in segment_entries(connection, project_id, row.payload):
            if after < entry.position <= until:
                yield entry


def segment_entries(connection: sa.Connection, project_id: int, payload: bytes) -> Iterator[Located]:
    """The entries of a level-1 segment, by position; erased ones at the end.

    Raises:
        ValueError: the segment is damaged or names a run that does not exist.
    """
    kept = level1.read_entries(payload)
    salts = record_salts(connection, project_id, {entry.run for entry in kept})
    for entry in kept:
        salt = salts.get(entry.run)
        if salt is None:
            raise ValueError(f"entry {entry.position} is of run {entry.run}, which does not exist")
        count, digest = len(entry.columns), columns.digest(entry.columns)
        hashed = points_payload_hash(salt, entry.position, entry.run, count, digest)
        yield Located(
            entry.position, from_micros(entry.time), entry.actor, POINTS_ACTION, "points", hashed, "segments",
            entry.run, count,
        )  # fmt: skip
    for gone in level1.erased_entries(payload):
        yield Located(
            gone.position, from_micros(gone.time), gone.actor, POINTS_ACTION, "points",
            bytes.fromhex(gone.payload_hash), "segments", erased=gone.run,
        )  # fmt: skip


def record_salts(connection: sa.Connection, project_id: int, ids: set[str]) -> dict[str, bytes]:
    """The salts of records by id."""
    query = sa.select(records.c.id, records.c.salt).where(records.c.project_id == project_id)
    found: dict[str, bytes] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), 500):
        for row in connection.execute(query.where(records.c.id.in_(wanted[start : start + 500]))):
            found[row.id] = row.salt
    return found


def position_at(connection: sa.Connection, project_id: int, moment: datetime) -> int:
    """The last position whose commit time is not after `moment`; 0 if there is none."""
    best = 0
    for table, at in ((ledger, ledger.c.position), (points, points.c.position)):
        best = max(best, _last_before(connection, project_id, table, at, moment))
    last_segment = connection.execute(
        sa.select(segments.c.payload)
        .where(segments.c.project_id == project_id, segments.c.first > best)
        .order_by(segments.c.first)
    )
    starts = connection.execute(
        sa.select(segments.c.payload).where(
            segments.c.project_id == project_id, segments.c.first <= best, segments.c.last > best
        )
    )
    for rows in (starts, last_segment):
        for row in rows:
            times = level1.entry_times(row.payload)
            inside = [position for position, micros in times if micros <= to_micros(moment)]
            best = max(best, *inside) if inside else best
            if len(inside) < len(times):
                break
    return best


def _last_before(connection: sa.Connection, project_id: int, table: sa.Table, at: Any, moment: datetime) -> int:
    """Bisect a table's positions, along which times never fall."""
    low_high = connection.execute(
        sa.select(sa.func.min(at), sa.func.max(at)).where(table.c.project_id == project_id)
    ).one()
    low, high = low_high
    if low is None:
        return 0
    best = 0
    while low <= high:
        middle = (low + high) // 2
        row = connection.execute(
            sa.select(at, table.c.time).where(table.c.project_id == project_id, at >= middle).order_by(at).limit(1)
        ).first()
        if row is None or row.time > moment:
            high = middle - 1
        else:
            best, low = row.position, row.position + 1
    return best


def history(
    connection: sa.Connection, project_id: int, record: int, *, after: int, limit: int, as_of: int | None
) -> list[Revision]:
    """The revisions of one record, oldest first."""
    query = (
        sa.select(revisions.c.position, revisions.c.kind, revisions.c.body, ledger.c.time, ledger.c.actor,
                  ledger.c.action, records.c.id)
        .join(ledger, sa.and_(ledger.c.project_id == revisions.c.project_id, ledger.c.position == revisions.c.position))
        .join(records, sa.and_(records.c.project_id == revisions.c.project_id, records.c.no == revisions.c.record))
        .where(revisions.c.project_id == project_id, revisions.c.record == record, revisions.c.position > after)
        .order_by(revisions.c.position)
        .limit(limit)
    )  # fmt: skip
    if as_of is not None:
        query = query.where(revisions.c.position <= as_of)
    return [
        Revision(
            position=row.position, time=row.time, actor=row.actor, action=row.action, kind=row.kind, record=row.id,
            body=body_of(row.body),
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def body_of(text: str | None) -> dict[str, Any] | None:
    """The document of a revision's text."""
    if text is None:
        return None
    body: dict[str, Any] = untagged(msgspec.json.decode(text))
    return body


def revisions_between(connection: sa.Connection, project_id: int, after: int, until: int) -> dict[int, list[Any]]:
    """The revisions of positions in (after, until], by position: rows of (kind, id, body)."""
    query = (
        sa.select(revisions.c.position, revisions.c.kind, revisions.c.body, records.c.id)
        .join(records, sa.and_(records.c.project_id == revisions.c.project_id, records.c.no == revisions.c.record))
        .where(revisions.c.project_id == project_id, revisions.c.position > after, revisions.c.position <= until)
        .order_by(revisions.c.position, revisions.c.record)
    )
    found: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault(row.position, []).append(row)
    return found
