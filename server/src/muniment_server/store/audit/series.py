"""Summaries, and what finds points, against the points themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import sqlalchemy as sa

from muniment.model.errors import MunimentError
from muniment.model.ledger import Finding
from muniment.model.metric import Summary
from muniment_server.segments import columns, level0, level1
from muniment_server.segments.chart import concatenated
from muniment_server.segments.level1 import SeriesColumns
from muniment_server.store import past, points, summaries
from muniment_server.store.audit import Report, spans
from muniment_server.store.tables import keys, records, segment_runs, segments
from muniment_server.store.tables import points as points_table
from muniment_server.store.tables import summaries as summaries_table

CHUNK = 2_000
"""Runs checked at once."""


def check(connection: sa.Connection, project_id: int, project: str, report: Report) -> tuple[int, Finding | None]:
    """(points read, the finding with the least position)."""
    count, found = _segments(connection, project_id, project, report)
    if found is not None:
        return count, found
    more, found = _level0(connection, project_id, project, report)
    if found is not None:
        return count + more, found
    return count + more, _summaries(connection, project_id, project, report)


def _count(connection: sa.Connection, table: sa.Table, project_id: int) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project_id)
    return int(connection.execute(query).scalar_one())


def _segments(connection: sa.Connection, project_id: int, project: str, report: Report) -> tuple[int, Finding | None]:
    """Each segment's digest, extent and runs."""
    count, total_rows = 0, _count(connection, segments, project_id)
    query = sa.select(segments).where(segments.c.project_id == project_id).order_by(segments.c.first)
    for number, row in enumerate(connection.execute(query)):
        report("segments", number, total_rows)
        if row.payload is None or row.location is not None:
            return count, _finding(project, row.first, "segments", "the segment is not where this release keeps it")
        if hashlib.sha256(row.payload).digest() != row.digest:
            return count, _finding(project, row.first, "segments", "the segment does not match its digest")
        kept, gone = level1.read_entries(row.payload), level1.erased_entries(row.payload)
        positions = sorted([entry.position for entry in kept] + [entry.position for entry in gone])
        total = sum(len(entry.columns) for entry in kept)
        if (row.first, row.last, row.entries, row.points) != (positions[0], positions[-1], len(positions), total):
            return count, _finding(project, row.first, "segments", "the segment is not what its row says")
        found = _runs(connection, project_id, row.first, kept)
        if found:
            return count, _finding(project, row.first, "segment_runs", found)
        count += total
    strays = sa.select(segment_runs.c.segment).where(
        segment_runs.c.project_id == project_id,
        segment_runs.c.segment.notin_(sa.select(segments.c.first).where(segments.c.project_id == project_id)),
    )
    stray = connection.execute(strays).scalar()
    if stray is not None:
        return count, _finding(project, stray, "segment_runs", "a run is listed in a segment that does not exist")
    return count, None


def _runs(connection: sa.Connection, project_id: int, segment: int, kept: Iterable[level1.EntryPoints]) -> str | None:
    expected: dict[str, tuple[int, int, int, int]] = {}
    for entry in kept:
        given = entry.columns
        extent = (int(given.step.min()), int(given.step.max()), int(given.timestamp.min()), int(given.timestamp.max()))
        known = expected.get(entry.run, extent)
        expected[entry.run] = (
            min(known[0], extent[0]), max(known[1], extent[1]), min(known[2], extent[2]), max(known[3], extent[3])
        )  # fmt: skip
    query = (
        sa.select(segment_runs, records.c.id)
        .join(
            records,
            sa.and_(records.c.project_id == segment_runs.c.project_id, records.c.no == segment_runs.c.run),
            isouter=True,
        )
        .where(segment_runs.c.project_id == project_id, segment_runs.c.segment == segment)
    )
    stored = {
        row.id: (row.step_min, row.step_max, row.timestamp_min, row.timestamp_max) for row in connection.execute(query)
    }
    return None if stored == expected else "the runs listed for the segment are not those in it"


def _level0(connection: sa.Connection, project_id: int, project: str, report: Report) -> tuple[int, Finding | None]:
    count, total = 0, _count(connection, points_table, project_id)
    names: dict[int, str] = {}
    query = sa.select(points_table).where(points_table.c.project_id == project_id, points_table.c.payload.isnot(None))
    for at, row in enumerate(connection.execute(query.order_by(points_table.c.position))):
        if at % CHUNK == 0:
            report("points", at, total)
        try:
            numbers, key, step, timestamp, value = level0.decode(row.payload)
            if not names.keys() >= set(numbers):
                names |= points.key_names(connection, project_id, numbers)
            made = columns.build([names[number] for number in numbers], key, step, timestamp, value)
        except (ValueError, KeyError, MunimentError) as error:
            return count, _finding(project, row.position, "points", f"the points cannot be read: {error}")
        if row.payload_hash is not None:
            return count, _finding(
                project, row.position, "points", "the points are there, and so is what is left of erased ones"
            )
        if columns.digest(made) != row.digest:
            return count, _finding(project, row.position, "points", "the points do not match their digest")
        stated = (row._mapping["count"], row.step_min, row.step_max)  # noqa: SLF001 - a row has a method of that name
        if stated != (len(made), int(step.min()), int(step.max())):
            return count, _finding(project, row.position, "points", "the points are not what their row says")
        count += len(made)
    return count, None


def _summaries(connection: sa.Connection, project_id: int, project: str, report: Report) -> Finding | None:
    findings = list(_nameless(connection, project_id, project))
    for start, last, high in spans(connection, project_id, (records.c.no, summaries_table.c.run), CHUNK):
        report("summaries", min(last, high), high)
        stored = summaries.of_span(connection, project_id, start, last)
        expected = _folded(connection, project_id, start, last)
        for number in sorted(stored.keys() | expected.keys()):
            findings.extend(_different(project, number, expected.get(number, {}), stored.get(number, {})))
    return min(findings, key=lambda finding: finding.position or 0, default=None)


def _nameless(connection: sa.Connection, project_id: int, project: str) -> Iterable[Finding]:
    """Summaries of metrics that have no name, and NaN where it is spelled NULL."""
    nan = float("nan")  # SQLite takes it for NULL, which nothing equals; PostgreSQL can hold it, and it equals itself
    odd = sa.or_(summaries_table.c["last"] == nan, summaries_table.c["first"] == nan)
    query = sa.select(sa.func.min(summaries_table.c.position)).where(summaries_table.c.project_id == project_id, odd)
    position = connection.execute(query).scalar()
    if position is not None:
        yield _finding(project, position, "summaries", "there is a summary that holds NaN where it must hold nothing")
    joined = sa.and_(keys.c.project_id == summaries_table.c.project_id, keys.c.no == summaries_table.c.key)
    query = sa.select(sa.func.min(summaries_table.c.position)).select_from(
        summaries_table.join(keys, joined, isouter=True)
    )
    position = connection.execute(query.where(summaries_table.c.project_id == project_id, keys.c.no.is_(None))).scalar()
    if position is not None:
        yield _finding(project, position, "summaries", "there is a summary of a metric that has no name")


def _different(project: str, run: int, expected: dict[str, Summary], stored: dict[str, Summary]) -> Iterable[Finding]:
    for name in sorted(expected.keys() | stored.keys()):
        if expected.get(name) != stored.get(name):
            known = expected.get(name) or stored[name]
            yield _finding(
                project,
                known.position,
                "summaries",
                f"the summary of {name!r} of record {run} is not that of its points",
            )


def _folded(connection: sa.Connection, project_id: int, low: int, high: int) -> dict[int, dict[str, Summary]]:
    """The summaries of some runs, from their points in both levels; each segment is read once."""
    parts: dict[tuple[int, str], list[SeriesColumns]] = {}
    query = (
        sa.select(segments.c.first, segments.c.payload)
        .where(
            segments.c.project_id == project_id,
            segments.c.first.in_(
                sa.select(segment_runs.c.segment).where(
                    segment_runs.c.project_id == project_id, segment_runs.c.run.between(low, high)
                )
            ),
        )
        .order_by(segments.c.first)
    )
    ids = {
        row.id: row.no
        for row in connection.execute(
            sa.select(records.c.id, records.c.no).where(
                records.c.project_id == project_id, records.c.no.between(low, high)
            )
        )
    }
    for row in connection.execute(query):
        for run, found in level1.read_all_series(row.payload, set(ids)).items():
            for name, series in found.items():
                parts.setdefault((ids[run], name), []).append(series)
    for number, found in points.level0_series(connection, project_id, low, high):
        for name, series in found.items():
            parts.setdefault((number, name), []).append(series)
    made: dict[int, dict[str, Summary]] = {}
    for (number, name), found_parts in parts.items():
        made.setdefault(number, {})[name] = past.fold_again(concatenated(found_parts))
    return made


def _finding(project: str, position: int, where: str, problem: str) -> Finding:
    return Finding(project=project, position=position, where=where, problem=problem)
