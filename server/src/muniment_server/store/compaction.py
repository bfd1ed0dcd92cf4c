"""Compaction: sealed level-0 rows become level-1 segments (rule 7). It moves points and never changes or drops one."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
import sqlalchemy as sa

from muniment_server.segments import columns, level0, level1
from muniment_server.store import heads, tiles
from muniment_server.store.engine import Store
from muniment_server.store.ledger import points_payload_hash
from muniment_server.store.points import key_names
from muniment_server.store.statements import inserting
from muniment_server.store.tables import points, records, segment_runs, segments
from muniment_server.store.types import to_micros

MANY_ENTRIES = 4_096
"""Level-0 rows that are compacted even if they hold few points."""
_ROWS = 20_000
"""Level-0 rows read at once."""


class Planned(msgspec.Struct, frozen=True):
    """A segment about to be swapped in.

    Attributes:
        first, last: the positions it covers.
        rows: position and whether it is erased, of every level-0 row it replaces.
        replaces: first position and digest of the unfilled segment that it continues, if there is one.
        runs: (number, least step, greatest step, least timestamp, greatest timestamp) of each run in it.
    """

    first: int
    last: int
    rows: list[tuple[int, bool]]
    replaces: tuple[int, bytes] | None
    entries: int
    points: int
    runs: list[tuple[int, int, int, int, int]]
    payload: bytes


def pending(connection: sa.Connection, project_id: int) -> tuple[int, int, datetime | None]:
    """(rows, points, commit time of the oldest) of sealed level-0 rows."""
    sealed = tiles.sealed_sizes(connection).get(project_id, 0)
    row = connection.execute(
        sa.select(
            sa.func.count(), sa.func.coalesce(sa.func.sum(points.c["count"]), 0), sa.func.min(points.c.time)
        ).where(points.c.project_id == project_id, points.c.position <= sealed)
    ).one()
    return int(row[0]), int(row[1]), row[2]


def plan(connection: sa.Connection, project_id: int) -> Planned | None:
    """The next segment: the oldest sealed level-0 rows up to a full segment, joined to the last one if it is not full.

    Raises:
        ValueError: something stored is damaged; nothing is moved then.
    """
    sealed = tiles.sealed_sizes(connection).get(project_id, 0)
    rows = _taken(connection, project_id, sealed)
    if not rows:
        return None
    kept, gone = decoded(connection, project_id, rows)
    replaces = _unfilled(connection, project_id)
    first = rows[0].position
    if replaces is not None:
        kept = level1.read_entries(replaces.payload) + kept
        gone = level1.erased_entries(replaces.payload) + gone
        first = replaces.first
    return Planned(
        first=first,
        last=rows[-1].position,
        rows=[(row.position, row.payload is None) for row in rows],
        replaces=None if replaces is None else (replaces.first, replaces.digest),
        entries=len(kept) + len(gone),
        points=sum(len(entry.columns) for entry in kept),
        runs=extents(connection, project_id, kept),
        payload=level1.encode(kept, gone),
    )


def _taken(connection: sa.Connection, project_id: int, sealed: int) -> list[sa.Row[tuple[object, ...]]]:
    query = (
        sa.select(points, records.c.id, records.c.salt)
        .join(records, sa.and_(records.c.project_id == points.c.project_id, records.c.no == points.c.run))
        .where(points.c.project_id == project_id, points.c.position <= sealed)
        .order_by(points.c.position)
        .limit(_ROWS)
    )
    taken, total = [], 0
    for row in connection.execute(query):
        taken.append(row)
        total += row._mapping["count"]  # noqa: SLF001 - a row has a method of that name
        if total >= level1.TARGET:
            break
    return taken


def decoded(
    connection: sa.Connection, project_id: int, rows: list[sa.Row[tuple[object, ...]]]
) -> tuple[list[level1.EntryPoints], list[level1.ErasedEntry]]:
    """The entries of level-0 rows, with `id` of their runs.

    Raises:
        ValueError: their points are not those that were committed.
    """
    kept = []
    batches = [(row, level0.decode(row.payload)) for row in rows if row.payload is not None]
    names = key_names(connection, project_id, (number for _, batch in batches for number in batch[0]))
    for row, (numbers, key, step, timestamp, value) in batches:
        made = columns.build([names[number] for number in numbers], key, step, timestamp, value)
        if columns.digest(made, columns.arranged(made)) != row.digest:
            raise ValueError(f"the points of entry {row.position} do not match their digest; run muniment verify")
        kept.append(level1.EntryPoints(row.position, to_micros(row.time), row.actor, row.id, made))
    gone = [
        level1.ErasedEntry(row.position, to_micros(row.time), row.actor, row.id, row.payload_hash.hex())
        for row in rows
        if row.payload is None
    ]
    return kept, gone


def _unfilled(connection: sa.Connection, project_id: int) -> sa.Row[tuple[object, ...]] | None:
    row = connection.execute(
        sa.select(segments).where(segments.c.project_id == project_id).order_by(segments.c.first.desc()).limit(1)
    ).first()
    return row if row is not None and row.payload is not None and row.points * 2 < level1.TARGET else None


def extents(
    connection: sa.Connection, project_id: int, entries: list[level1.EntryPoints]
) -> list[tuple[int, int, int, int, int]]:
    """What finds the points of each run in a segment; see `Planned.runs`."""
    by_run: dict[str, list[columns.Columns]] = {}
    for entry in entries:
        by_run.setdefault(entry.run, []).append(entry.columns)
    numbers = _numbers(connection, project_id, sorted(by_run))
    return sorted(
        (
            numbers[run],
            min(int(part.step.min()) for part in parts),
            max(int(part.step.max()) for part in parts),
            min(int(part.timestamp.min()) for part in parts),
            max(int(part.timestamp.max()) for part in parts),
        )
        for run, parts in by_run.items()
    )


def _numbers(connection: sa.Connection, project_id: int, ids: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(ids), 500):
        query = sa.select(records.c.id, records.c.no).where(
            records.c.project_id == project_id, records.c.id.in_(ids[start : start + 500])
        )
        found.update({row.id: row.no for row in connection.execute(query)})
    return found


_SEGMENT = inserting(segments)
_RUNS = inserting(segment_runs)


def swap(store: Store, project_id: int, planned: Planned) -> bool:
    """Put the segment in the place of the rows it was made of, in one transaction; False if those changed meanwhile."""
    with store.write() as connection:
        heads.lock(connection, project_id)  # an erasure holds it too
        within = sa.and_(
            points.c.project_id == project_id,
            points.c.position >= planned.rows[0][0],
            points.c.position <= planned.last,
        )
        present = connection.execute(
            sa.select(points.c.position, points.c.payload.is_(None)).where(within).order_by(points.c.position)
        )
        if [(position, bool(erased)) for position, erased in present] != planned.rows:
            return False
        if planned.replaces is not None and not _take_out(connection, project_id, planned.replaces):
            return False
        connection.execute(sa.delete(points).where(within))
        put_in(connection, project_id, planned)
    return True


def _take_out(connection: sa.Connection, project_id: int, replaces: tuple[int, bytes]) -> bool:
    first, digest = replaces
    gone = connection.execute(
        sa.delete(segments).where(
            segments.c.project_id == project_id, segments.c.first == first, segments.c.digest == digest
        )
    )
    connection.execute(
        sa.delete(segment_runs).where(segment_runs.c.project_id == project_id, segment_runs.c.segment == first)
    )
    return gone.rowcount == 1


def put_in(connection: sa.Connection, project_id: int, planned: Planned) -> None:
    """Insert a segment and what finds it."""
    _SEGMENT.many(connection, [{
        "project_id": project_id, "first": planned.first, "last": planned.last, "entries": planned.entries,
        "points": planned.points, "digest": hashlib.sha256(planned.payload).digest(), "payload": planned.payload,
        "location": None,
    }])  # fmt: skip
    names = ("run", "step_min", "step_max", "timestamp_min", "timestamp_max")
    _RUNS.many(
        connection,
        [
            {"project_id": project_id, "segment": planned.first, **dict(zip(names, extent, strict=True))}
            for extent in planned.runs
        ],
    )


def erased_from_segment(payload: bytes, run: str, salt: bytes) -> tuple[bytes, int, list[int]]:
    """(the segment without a run's points, how many points are left, the positions erased); hashes of entries stay."""
    kept, gone = [], level1.erased_entries(payload)
    for entry in level1.read_entries(payload):
        if entry.run != run:
            kept.append(entry)
            continue
        hashed = points_payload_hash(salt, entry.position, run, len(entry.columns), columns.digest(entry.columns))
        gone.append(level1.ErasedEntry(entry.position, entry.time, entry.actor, run, hashed.hex()))
    erased = [entry.position for entry in gone if entry.run == run]
    return level1.encode(kept, gone), sum(len(entry.columns) for entry in kept), erased
