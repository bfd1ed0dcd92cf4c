"""Metric points in the store: writing level-0 rows, and reading series from both levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from muniment_server.segments import chart, level0, level1
from muniment_server.segments.level1 import NOWHERE, SeriesColumns
from muniment_server.store.dialects import among, listed, numbers_for
from muniment_server.store.repeats import PointsBatch
from muniment_server.store.statements import Prepared
from muniment_server.store.tables import keys, points, segment_runs, segments


def level0_row(
    project_id: int,
    position: int,
    run: int,
    time: datetime,
    actor: str,
    batch: PointsBatch,
    numbers: list[int],
) -> dict[str, Any]:
    """The row of one points entry."""
    return {
        "project_id": project_id,
        "position": position,
        "run": run,
        "time": time,
        "actor": actor,
        "count": len(batch.columns),
        "step_min": batch.least[0],
        "step_max": batch.greatest[0],
        "digest": batch.digest,
        "payload": level0.payload_of(len(batch.columns), numbers, batch.body),
        "payload_hash": None,
    }


Steps = tuple[int | None, int | None]
"""Least and greatest step, both included; None is open."""


RUNS_AT_ONCE = 2_000


class RunPoints(msgspec.Struct, frozen=True):
    """A run as readers of points need it."""

    no: int
    id: str


def key_numbers(connection: sa.Connection, project_id: int, names: Iterable[str]) -> dict[str, int]:
    """The interned numbers of those names that have one."""
    query = sa.select(keys.c.no, keys.c.name).where(
        keys.c.project_id == project_id, keys.c.name.in_(sorted(set(names)))
    )
    return {row.name: row.no for row in connection.execute(query)}


_KEY_NAMES = Prepared(
    lambda _: sa.select(keys.c.no, keys.c.name).where(
        keys.c.project_id == sa.bindparam("project_id"), among(keys.c.no, listed("numbers"))
    )
)


def key_names(connection: sa.Connection, project_id: int, numbers: Iterable[int]) -> dict[int, str]:
    """The names of interned numbers, in their order; asked by itself, which is cheaper than with every row."""
    wanted = numbers_for(connection.dialect.name, sorted(set(numbers)))
    found = _KEY_NAMES.rows(connection, {"project_id": project_id, "numbers": wanted})
    return dict(sorted(found, key=itemgetter(1)))


def by_name(connection: sa.Connection, project_id: int, rows: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Rows (record, interned number, …) of each name, by name."""
    names = key_names(connection, project_id, {row[1] for row in rows})
    found: dict[int, list[Any]] = {number: [] for number in names}
    for row in rows:
        found[row[1]].append(row)
    for number, name in names.items():
        yield name, found[number]


def read_series(
    connection: sa.Connection,
    project_id: int,
    run: RunPoints,
    names: set[str] | None,
    *,
    as_of: int | None = None,
    steps: Steps = (None, None),
    positions: bool = True,
) -> dict[str, SeriesColumns]:
    """The series of a run from both levels, in order, repetitions collapsed.

    Args:
        connection: a snapshot, so that a compaction in between is not seen.
        project_id: the run's project.
        run: the run.
        names: the metrics wanted; None is all of them.
        as_of: leave out what came after this position.
        steps: least and greatest step wanted, both included.
        positions: whether the points' positions are wanted.
    """
    parts = _parts(connection, project_id, run, names, as_of, steps, positions=positions or as_of is not None)
    return {name: _limited(chart.joined(found), steps) for name, found in parts.items()}


def received_of_runs(
    connection: sa.Connection, project_id: int, runs: dict[int, str], names: set[str], as_of: int
) -> dict[int, dict[str, SeriesColumns]]:
    """Points of some metrics of many runs as they were received up to a position; each segment is read once.

    Args:
        connection: a snapshot.
        project_id: the runs' project.
        runs: their ids by number.
        names: the metrics.
        as_of: the position.
    """
    parts: dict[tuple[int, str], list[SeriesColumns]] = {}
    wanted = {number: name for name, number in key_numbers(connection, project_id, names).items()} if names else {}
    numbers = sorted(runs)
    for start in range(0, len(numbers), RUNS_AT_ONCE):
        chunk = numbers[start : start + RUNS_AT_ONCE]
        ids = {runs[number]: number for number in chunk}
        inside = sa.select(segment_runs.c.segment).where(
            segment_runs.c.project_id == project_id, segment_runs.c.run.in_(chunk)
        )
        query = sa.select(segments.c.payload).where(
            segments.c.project_id == project_id, segments.c.first.in_(inside), segments.c.first <= as_of
        )
        for row in connection.execute(query.order_by(segments.c.first)):
            for run, found in level1.read_all_series(row.payload, set(ids), names).items():
                for name, series in found.items():
                    parts.setdefault((ids[run], name), []).append(_until(series, as_of))
        for run_number, batch in _level0_of_runs(connection, project_id, chunk, wanted, as_of):
            for name, received in batch.items():
                parts.setdefault((run_number, name), []).extend(received)
    made: dict[int, dict[str, SeriesColumns]] = {}
    for (number, name), series_parts in parts.items():
        whole = chart.concatenated(series_parts)
        if len(whole.step):
            made.setdefault(number, {})[name] = whole
    return made


def _level0_of_runs(
    connection: sa.Connection, project_id: int, runs: list[int], wanted: dict[int, str], as_of: int
) -> Iterator[tuple[int, dict[str, list[SeriesColumns]]]]:
    query = sa.select(points.c.position, points.c.run, points.c.payload).where(
        points.c.project_id == project_id,
        points.c.run.in_(runs),
        points.c.payload.isnot(None),
        points.c.position <= as_of,
    )
    for row in connection.execute(query):
        parts: dict[Any, list[SeriesColumns]] = {}
        numbers, key, step, timestamp, value = level0.decode(row.payload)
        _split(row.position, numbers, (key, step, timestamp, value), wanted, parts)
        yield row.run, parts


def _parts(
    connection: sa.Connection,
    project_id: int,
    run: RunPoints,
    names: set[str] | None,
    as_of: int | None,
    steps: Steps,
    *,
    positions: bool,
) -> dict[str, list[SeriesColumns]]:
    parts: dict[Any, list[SeriesColumns]] = {}
    low, high = steps
    for row in connection.execute(_within(segment_runs, _segment_query(project_id, run.no), low, high)):
        if as_of is None or row.first <= as_of:
            for name, found in level1.read_series(row.payload, run.id, names, positions=positions).items():
                parts.setdefault(name, []).append(found)
    wanted = None
    if names is not None:
        wanted = {number: name for name, number in key_numbers(connection, project_id, names).items()}
    for position, numbers, batch in _level0(connection, project_id, run.no, low, high):
        if as_of is None or position <= as_of:
            _split(position if positions else None, numbers, batch, wanted, parts)
    return {
        name: [_until(part, as_of) for part in found] for name, found in _named(connection, project_id, parts).items()
    }


def _segment_query(project_id: int, run: int) -> sa.Select[Any]:
    return (
        sa.select(segments.c.first, segments.c.payload)
        .join(
            segment_runs,
            sa.and_(segment_runs.c.project_id == segments.c.project_id, segment_runs.c.segment == segments.c.first),
        )
        .where(segment_runs.c.project_id == project_id, segment_runs.c.run == run)
        .order_by(segments.c.first)
    )


def _within(table: sa.Table, query: sa.Select[Any], low: int | None, high: int | None) -> sa.Select[Any]:
    if low is not None:
        query = query.where(table.c.step_max >= low)
    if high is not None:
        query = query.where(table.c.step_min <= high)
    return query


_Batch = tuple[Any, Any, Any, Any]


def _level0(
    connection: sa.Connection, project_id: int, run: int, low: int | None, high: int | None
) -> Iterator[tuple[int, list[int], _Batch]]:
    query = sa.select(points.c.position, points.c.payload).where(
        points.c.project_id == project_id, points.c.run == run, points.c.payload.isnot(None)
    )
    for row in connection.execute(_within(points, query, low, high).order_by(points.c.position)):
        numbers, *batch = level0.decode(row.payload)
        yield row.position, numbers, (batch[0], batch[1], batch[2], batch[3])


def _split(
    position: int | None,
    numbers: list[int],
    batch: _Batch,
    wanted: dict[int, str] | None,
    parts: dict[Any, list[SeriesColumns]],
) -> None:
    """Add a level-0 batch to the parts, series by series; a series not named yet goes by its number."""
    key, step, timestamp, value = batch
    for index, number in enumerate(numbers):
        if wanted is not None and number not in wanted:
            continue
        rows: Any = slice(None) if len(numbers) == 1 else key == index
        came = NOWHERE if position is None else np.full(len(step[rows]), position, np.int64)
        found = SeriesColumns(step[rows], timestamp[rows], value[rows], came)
        parts.setdefault(number if wanted is None else wanted[number], []).append(found)


def _named(
    connection: sa.Connection, project_id: int, parts: dict[Any, list[SeriesColumns]]
) -> dict[str, list[SeriesColumns]]:
    numbers = [key for key in parts if isinstance(key, int)]
    names = key_names(connection, project_id, numbers) if numbers else {}
    made: dict[str, list[SeriesColumns]] = {}
    for key, found in parts.items():
        made.setdefault(names[key] if isinstance(key, int) else key, []).extend(found)
    return dict(sorted(made.items()))


def _until(part: SeriesColumns, as_of: int | None) -> SeriesColumns:
    if as_of is None or len(part.position) == 0 or int(part.position.max()) <= as_of:
        return part
    keep = part.position <= as_of
    return SeriesColumns(part.step[keep], part.timestamp[keep], part.value[keep], part.position[keep])


def _limited(series: SeriesColumns, steps: Steps) -> SeriesColumns:
    low, high = steps
    if low is None and high is None:
        return series
    start = 0 if low is None else int(np.searchsorted(series.step, low, "left"))
    end = len(series.step) if high is None else int(np.searchsorted(series.step, high, "right"))
    rows = slice(start, end)
    return SeriesColumns(series.step[rows], series.timestamp[rows], series.value[rows], series.position[rows])


def level0_series(
    connection: sa.Connection, project_id: int, low: int, high: int
) -> Iterator[tuple[int, dict[str, SeriesColumns]]]:
    """(run number, its series) of each level-0 row of the runs numbered `low` to `high`."""
    query = sa.select(points.c.position, points.c.run, points.c.payload).where(
        points.c.project_id == project_id, points.c.run.between(low, high), points.c.payload.isnot(None)
    )
    for row in connection.execute(query):
        parts: dict[Any, list[SeriesColumns]] = {}
        numbers, key, step, timestamp, value = level0.decode(row.payload)
        _split(row.position, numbers, (key, step, timestamp, value), None, parts)
        yield (
            row.run,
            {name: chart.concatenated(found) for name, found in _named(connection, project_id, parts).items()},
        )
