"""Summaries: one row per (run, metric), folded by the database itself so that no process has to remember them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.metric import Summary, to_wire
from muniment_server.segments.columns import Fold
from muniment_server.store.dialects import among, listed, numbers_for
from muniment_server.store.points import by_name, key_numbers
from muniment_server.store.statements import Merging, Prepared
from muniment_server.store.tables import summaries

_INFINITY, _NAN = float("inf"), float("nan")
Row = tuple[Any, ...]
"""A row of the table, in its columns' order."""


def fold_row(project_id: int, run: int, key: int, position: int, fold: Fold) -> Row:
    """The row that `FOLD` merges into the table."""
    return (project_id, run, key, *fold, position)


_KEY = ("project_id", "run", "key")


def _folding(insert: Any) -> Any:
    """Let an INSERT merge two summaries, whatever the order they come in (rule 9)."""
    old, new = summaries.c, insert.excluded
    # NULL is NaN and counts as less than every number
    later_value = sa.and_(new["last"].isnot(None), sa.or_(old.last.is_(None), new["last"] > old.last))
    later = sa.or_(
        new.last_step > old.last_step,
        sa.and_(new.last_step == old.last_step, new.last_timestamp > old.last_timestamp),
        sa.and_(new.last_step == old.last_step, new.last_timestamp == old.last_timestamp, later_value),
    )
    earlier_value = sa.and_(old.first.isnot(None), sa.or_(new["first"].is_(None), new["first"] < old.first))
    earlier = sa.or_(
        new.first_step < old.first_step,
        sa.and_(new.first_step == old.first_step, new.first_timestamp < old.first_timestamp),
        sa.and_(new.first_step == old.first_step, new.first_timestamp == old.first_timestamp, earlier_value),
    )
    lower = sa.or_(
        sa.and_(old.min.is_(None), new["min"].isnot(None)),
        new["min"] < old.min,
        sa.and_(new["min"] == old.min, new.min_step < old.min_step),
    )
    higher = sa.or_(
        sa.and_(old.max.is_(None), new["max"].isnot(None)),
        new["max"] > old.max,
        sa.and_(new["max"] == old.max, new.max_step < old.max_step),
    )
    chosen = {
        later: ("last", "last_step", "last_timestamp"),
        earlier: ("first", "first_step", "first_timestamp"),
        lower: ("min", "min_step"),
        higher: ("max", "max_step"),
    }
    changes: dict[str, Any] = {
        name: sa.case((wins, new[name]), else_=old[name]) for wins, names in chosen.items() for name in names
    }
    changes["count"] = old["count"] + new["count"]
    changes["position"] = sa.case((new.position > old.position, new.position), else_=old.position)
    return insert.on_conflict_do_update(index_elements=list(_KEY), set_=changes)


FOLD = Merging(summaries, _KEY, _folding)


def to_summary(
    count: int,
    last: float | None,
    last_step: int,
    last_timestamp: int,
    first: float | None,
    first_step: int,
    first_timestamp: int,
    least: float | None,
    least_step: int | None,
    greatest: float | None,
    greatest_step: int | None,
    position: int,
) -> Summary:
    """The record of a row, from the columns that follow its key."""
    return Summary(
        count=count, last=_number(last), last_step=last_step, last_timestamp=last_timestamp,
        first=_number(first), first_step=first_step, first_timestamp=first_timestamp,
        min=least, min_step=least_step, max=greatest, max_step=greatest_step, position=position,
    )  # fmt: skip


def _number(stored: float | None) -> Any:
    if stored is None:
        return "NaN"
    return stored if -_INFINITY < stored < _INFINITY else to_wire(stored)


class Last(msgspec.Struct, frozen=True, gc=False):
    """The last point of a series."""

    key: str
    value: float
    timestamp: int
    step: int


def _of_runs(*columns: sa.Column[Any], chosen: bool) -> Prepared:
    query = sa.select(summaries.c.run, summaries.c.key, *columns).where(
        summaries.c.project_id == sa.bindparam("project_id"), among(summaries.c.run, listed("runs"))
    )
    chosen_query = query.where(among(summaries.c.key, listed("keys"))) if chosen else query
    return Prepared(lambda _: chosen_query)


_VALUES = [column for column in summaries.columns if column.name not in _KEY]
_ALL, _CHOSEN = (_of_runs(*_VALUES, chosen=chosen) for chosen in (False, True))
_LAST = _of_runs(summaries.c.last, summaries.c.last_timestamp, summaries.c.last_step, chosen=False)


def of_runs(
    connection: sa.Connection, project_id: int, runs: Iterable[int], names: set[str] | None = None
) -> dict[int, dict[str, Summary]]:
    """The current summaries of some runs, by run number and metric name; those of each by name."""
    engine = connection.dialect.name
    given: dict[str, Any] = {"project_id": project_id, "runs": numbers_for(engine, list(runs))}
    if names is None:
        return _named(connection, project_id, _ALL.rows(connection, given))
    wanted = key_numbers(connection, project_id, names)
    if not wanted:
        return {}
    given["keys"] = numbers_for(engine, sorted(wanted.values()))
    return _named(connection, project_id, _CHOSEN.rows(connection, given))


def last_of_runs(connection: sa.Connection, project_id: int, runs: list[int]) -> dict[int, list[Last]]:
    """The last point of each series of some runs, by run number; those of each by name."""
    given = {"project_id": project_id, "runs": numbers_for(connection.dialect.name, runs)}
    found: dict[int, list[Last]] = {no: [] for no in runs}
    for name, rows in by_name(connection, project_id, _LAST.rows(connection, given)):
        for run, _, value, timestamp, step in rows:
            found[run].append(Last(name, _NAN if value is None else value, timestamp, step))
    return found


def position_of(connection: sa.Connection, project_id: int, run: int, key: int) -> int | None:
    """The position of the latest entry that gave points to a series; None if none did."""
    query = sa.select(summaries.c.position).where(
        summaries.c.project_id == project_id, summaries.c.run == run, summaries.c.key == key
    )
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def of_span(connection: sa.Connection, project_id: int, low: int, high: int) -> dict[int, dict[str, Summary]]:
    """Those of all runs from one number to another."""
    query = sa.select(summaries.c.run, summaries.c.key, *_VALUES).where(
        summaries.c.project_id == project_id, summaries.c.run.between(low, high)
    )
    return _named(connection, project_id, list(connection.execute(query).all()))


def _named(connection: sa.Connection, project_id: int, rows: list[Any]) -> dict[int, dict[str, Summary]]:
    found: dict[int, dict[str, Summary]] = {}
    for name, its in by_name(connection, project_id, rows):
        for run, _, *columns in its:
            found.setdefault(run, {})[name] = to_summary(*columns)
    return found
