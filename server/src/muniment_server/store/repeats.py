"""Points that were recorded before: found by their digest, wherever they lie by now (rule 4).

Most requests of a run go on where it stood, and are known to be new without a look. The others are looked up: in
level 0 by an index, under the lock; in segments only by reading these, which is done before the lock is asked for
again (rule 3).
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from muniment_server.segments import columns, level0, level1
from muniment_server.segments.columns import Columns, Fold
from muniment_server.store.held import Frontier
from muniment_server.store.statements import Prepared
from muniment_server.store.tables import points, segment_runs, segments


class PointsBatch(msgspec.Struct, frozen=True):
    """Points of one run, with everything computed that needs no transaction."""

    columns: Columns
    digest: bytes
    folds: list[Fold]
    body: bytes
    """The level-0 payload without its header."""
    least: Frontier
    """Least step and timestamp."""
    greatest: Frontier
    """Greatest step and timestamp."""


def prepare(made: Columns) -> PointsBatch:
    """Everything about points that needs no lock."""
    step, timestamp = made.step, made.timestamp
    least, greatest = (int(step.min()), int(timestamp.min())), (int(step.max()), int(timestamp.max()))
    order = columns.arranged(made)
    digest, folds = columns.digest(made, order), columns.folds(made, order)
    return PointsBatch(made, digest, folds, level0.encode_body(made), least, greatest)


Repeat = tuple[str, bytes]
"""Id of a run, and a digest of points."""
Read = dict[Repeat, dict[int, int | None]]
"""The segments that were read for points, by first position, and where in each they were found."""


class Unread(Exception):
    """Whether points are new can only be said when some segments were read, and not under the lock.

    Attributes:
        repeat: the points.
        count: how many they are.
        missing: first positions of the segments.
    """

    def __init__(self, repeat: Repeat, count: int, missing: list[int]) -> None:
        super().__init__("the points of this request have to be looked up first")
        self.repeat = repeat
        self.count = count
        self.missing = missing


_SAME = Prepared(
    lambda _: (
        sa.select(points.c.position, sa.null().label("segment"))
        .where(
            points.c.project_id == sa.bindparam("project_id"),
            points.c.run == sa.bindparam("run"),
            points.c.digest == sa.bindparam("digest"),
        )
        .union_all(
            sa.select(sa.null(), segment_runs.c.segment).where(
                segment_runs.c.project_id == sa.bindparam("project_id"),
                segment_runs.c.run == sa.bindparam("run"),
                segment_runs.c.step_min <= sa.bindparam("step_min"),
                segment_runs.c.step_max >= sa.bindparam("step_max"),
                segment_runs.c.timestamp_min <= sa.bindparam("timestamp_min"),
                segment_runs.c.timestamp_max >= sa.bindparam("timestamp_max"),
            )
        )
    )
)


def find(
    connection: sa.Connection, project_id: int, run: tuple[int, str], batch: PointsBatch, read: Read
) -> int | None:
    """Where the very same points of this run were recorded before.

    A compacted entry has no digest of its own any more; it is computed again, but only from segments whose steps and
    times cover those of the batch.

    Args:
        connection: of the writer.
        project_id: the run's project.
        run: its number and id.
        batch: the points.
        read: what segments were found to hold.

    Raises:
        Unread: there are segments that may hold them and were not read.
    """
    found = _SAME.rows(
        connection,
        {
            "project_id": project_id,
            "run": run[0],
            "digest": batch.digest,
            "step_min": batch.least[0],
            "step_max": batch.greatest[0],
            "timestamp_min": batch.least[1],
            "timestamp_max": batch.greatest[1],
        },
    )
    if not found:
        return None
    for position, _ in found:
        if position is not None:
            return int(position)
    repeat = (run[1], batch.digest)
    known = read.get(repeat, {})
    covering = [int(segment) for _, segment in found]
    missing = [segment for segment in covering if segment not in known]
    if missing:
        raise Unread(repeat, len(batch.columns), missing)
    return next((known[segment] for segment in covering if known[segment] is not None), None)


def look_up(connection: sa.Connection, project_id: int, unread: Unread, read: Read) -> None:
    """Read the segments that are missing, and note what they hold. One that is gone by now holds nothing."""
    run_id, digest = unread.repeat
    known = read.setdefault(unread.repeat, {})
    query = sa.select(segments.c.first, segments.c.payload).where(
        segments.c.project_id == project_id, segments.c.first.in_(unread.missing)
    )
    payloads = {row.first: row.payload for row in connection.execute(query)}
    for segment in unread.missing:
        entries = level1.read_entries(payloads[segment]) if segment in payloads else ()
        known[segment] = next(
            (
                entry.position
                for entry in entries
                if entry.run == run_id
                and len(entry.columns) == unread.count
                and columns.digest(entry.columns) == digest
            ),
            None,
        )
