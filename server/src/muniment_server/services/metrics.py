"""Use cases of metrics: log points, read a series, draw a chart."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from muniment.model.errors import Conflict, InvalidInput, NotFound
from muniment.model.ids import parse_id
from muniment.model.metric import Chart, NewPoints, PointsWritten, Series, to_wire
from muniment_server.policy.access import Permission, Scope
from muniment_server.segments import chart as charts
from muniment_server.segments import columns
from muniment_server.segments.level1 import SeriesColumns
from muniment_server.services import moments
from muniment_server.services.histories import Histories
from muniment_server.services.runs import writable
from muniment_server.services.workspace import Change, ProjectRef, Workspace, refuse_erased
from muniment_server.store import heads, points, repeats, runs, summaries
from muniment_server.store.draft import Draft
from muniment_server.store.points import Steps
from muniment_server.store.receipts import Receipt
from muniment_server.store.repeats import PointsBatch

BUCKETS_LIMIT = 10_000
"""Buckets in one chart."""
SERIES_PAGE = 1_000_000
"""Points in one page of a series."""


def log(
    workspace: Workspace, scope: Scope, project: str, run_id: str, new: NewPoints, receipt: Receipt | None = None
) -> Change[PointsWritten]:
    """Prepare points of a run."""
    ref = workspace.project(scope, project, Permission.WRITE)
    run_id = parse_id(run_id, field="run")
    batch = prepared(new)
    if (new.writer is None) != (new.sequence is None):
        raise InvalidInput("writer and sequence go together", field="sequence")
    writer = None
    if new.writer is not None and new.sequence is not None:
        writer = (parse_id(new.writer, field="writer"), new.sequence)
    return Change(ref.no, scope.principal, "run.log", lambda draft: log_in(draft, run_id, batch, writer), receipt)


def prepared(new: NewPoints) -> PointsBatch:
    """Points as they came, checked, with everything computed that needs no lock."""
    return repeats.prepare(columns.from_request(new, time.time_ns() // 1_000_000))


def of_columns(made: columns.Columns) -> PointsBatch:
    """Points that are columns already, with everything computed that needs no lock.

    Raises:
        InvalidInput: a name is not acceptable, or a time lies before 1970.
    """
    if made.timestamp.min() < 0:
        raise InvalidInput("timestamp holds a time before 1970; it is in epoch milliseconds", field="timestamp")
    return repeats.prepare(made)


def recorded(
    workspace: Workspace, scope: Scope, project: str, run_id: str, keys: set[str] | None
) -> dict[str, SeriesColumns]:
    """What is recorded of some metrics of a run, or all, as columns; {} if there is no such run."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        try:
            row = runs.row_of(connection, scope, ref.no, run_id, None)
        except NotFound:
            return {}
        return points.read_series(connection, ref.no, points.RunPoints(row.no, run_id), keys)


def log_in(draft: Draft, run_id: str, batch: PointsBatch, writer: tuple[str, int] | None = None) -> PointsWritten:
    """Log points in a draft. What is known already, by writer or by digest, is answered as it was."""
    count = len(batch.columns)
    if writer is not None:
        mark = draft.writer_mark(writer[0])
        if mark is not None and writer[1] <= mark[0]:
            return PointsWritten(position=mark[1], points=mark[2] if writer[1] == mark[0] else count, replayed=True)
        if mark is not None and writer[1] > mark[0] + 1:
            raise Conflict(
                f"writer {writer[0]} skipped from sequence {mark[0]} to {writer[1]}; send {mark[0] + 1} first",
                field="sequence",
            )
    known = draft.add_points(writable(draft, run_id), batch)
    position = draft.last_position if known is None else known
    if writer is not None:
        draft.advance_writer(*writer, position, count)
    return PointsWritten(position=position, points=count, replayed=known is not None)


def series(
    workspace: Workspace,
    scope: Scope,
    project: str,
    run_id: str,
    key: str,
    *,
    steps: Steps = (None, None),
    limit: int = SERIES_PAGE,
    page: str | None = None,
    as_of: int | str | None = None,
    packed: bool = False,
) -> Series:
    """A page of one series: at most `limit` points after those of the pages before.

    All pages are of the position that the first one was read at, whatever `as_of` says of the later ones.
    """
    after, position = (0, as_of) if page is None else page_start(page)
    found, at = history(workspace, scope, project, run_id, key, steps=steps, as_of=position)
    rows = slice(after, after + limit)
    step, timestamp, value = found.step[rows], found.timestamp[rows], found.value[rows]
    more = f"{after + limit}.{at}" if after + limit < len(found.step) else None
    if packed:
        columns_out: dict[str, Any] = {
            "step": step.astype("<i8").tobytes(),
            "timestamp": timestamp.astype("<i8").tobytes(),
            "value": value.astype("<f8").tobytes(),
        }
    else:
        columns_out = {
            "step": step.tolist(), "timestamp": timestamp.tolist(), "value": [to_wire(v) for v in value.tolist()]
        }  # fmt: skip
    return Series(key=key, **columns_out, position=at, next=more)


def page_start(token: str) -> tuple[int, int]:
    """How many points the pages before the one that `token` names have given, and their position.

    Raises:
        InvalidInput: it is no token of a series.
    """
    after, _, position = token.partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in (after, position)):
        raise InvalidInput(f"page {token[:40]!r} is no page of a series; leave it out to start", field="page")
    return int(after), int(position)


def history(
    workspace: Workspace,
    scope: Scope,
    project: str,
    run_id: str,
    key: str,
    *,
    steps: Steps = (None, None),
    as_of: int | str | None = None,
) -> tuple[SeriesColumns, int]:
    """Every point of one series by (step, timestamp, value), and the position up to which that is so."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        return _read(connection, workspace.histories, scope, ref, run_id, key, steps, as_of)


def chart(
    workspace: Workspace,
    scope: Scope,
    project: str,
    run_id: str,
    key: str,
    *,
    buckets: int = 500,
    steps: Steps = (None, None),
    as_of: int | str | None = None,
) -> Chart:
    """One series as it is drawn: exact if it has at most `buckets` points, otherwise in buckets."""
    if not 1 <= buckets <= BUCKETS_LIMIT:
        raise InvalidInput(f"buckets must be 1 to {BUCKETS_LIMIT:,}, not {buckets:,}", field="buckets")
    found, position = history(workspace, scope, project, run_id, key, steps=steps, as_of=as_of)
    count = len(found.step)
    if count <= buckets:
        return Chart(key=key, exact=True, count=count, points=charts.points(found), position=position)
    return Chart(key=key, exact=False, count=count, buckets=charts.buckets(found, buckets), position=position)


def _read(
    connection: sa.Connection,
    histories: Histories,
    scope: Scope,
    ref: ProjectRef,
    run_id: str,
    key: str,
    steps: Steps,
    as_of: int | str | None,
) -> tuple[SeriesColumns, int]:
    run_id = parse_id(run_id, field="run")
    if steps[0] is not None and steps[1] is not None and steps[0] > steps[1]:
        raise InvalidInput(f"from_step {steps[0]} is after to_step {steps[1]}", field="from_step")
    at = moments.position(connection, ref.no, as_of)
    row = runs.row_of(connection, scope, ref.no, run_id, at)
    refuse_erased(row.lifecycle, f"run {run_id}")
    position = at if at is not None else heads.read(connection, ref.no).position
    number = points.key_numbers(connection, ref.no, [key]).get(key)
    if number is None:
        raise NotFound(f"no run of this project has a metric {key[:100]!r}", field="key")
    since = summaries.position_of(connection, ref.no, row.no, number)
    if since is None:
        return charts.joined([]), position
    # the series is what it was when it last got points, unless it is asked for as it was before that
    remembered = (ref.no, row.no, key, min(since, position))
    known = histories.get(remembered) if steps == (None, None) else None
    if known is not None:
        return known, position
    run = points.RunPoints(row.no, run_id)
    found = points.read_series(connection, ref.no, run, {key}, as_of=at, steps=steps, positions=False)
    made = found.get(key) or charts.joined([])
    if steps == (None, None):
        histories.keep(remembered, made)
    return made, position
