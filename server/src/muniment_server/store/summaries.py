"""Summaries: one row per (run, metric), folded by the database itself so that no process has to remember them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from muniment.model.metric import Summary, to_wire
from muniment_server.segments.columns import Fold
from muniment_server.store.points import key_names, key_numbers
from muniment_server.store.statements import Merging
from muniment_server.store.tables import summaries

_INFINITY = float("inf")
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


def of_runs(
    connection: sa.Connection, project_id: int, runs: Iterable[int], names: set[str] | None = None
) -> dict[int, dict[str, Summary]]:
    """The current summaries of some runs, by run number and metric name."""
    within: list[sa.ColumnElement[bool]] = [summaries.c.run.in_(list(runs))]
    if names is not None:
        numbers = key_numbers(connection, project_id, names)
        if not numbers:
            return {}
        within.append(summaries.c.key.in_(sorted(numbers.values())))
    return _found(connection, project_id, within)


def position_of(connection: sa.Connection, project_id: int, run: int, key: int) -> int | None:
    """The position of the latest entry that gave points to a series; None if none did."""
    query = sa.select(summaries.c.position).where(
        summaries.c.project_id == project_id, summaries.c.run == run, summaries.c.key == key
    )
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def of_span(connection: sa.Connection, project_id: int, low: int, high: int) -> dict[int, dict[str, Summary]]:
    """Those of all runs from one number to another."""
    return _found(connection, project_id, [summaries.c.run.between(low, high)])


def _found(
    connection: sa.Connection, project_id: int, within: list[sa.ColumnElement[bool]]
) -> dict[int, dict[str, Summary]]:
    query = sa.select(summaries).where(summaries.c.project_id == project_id, *within)
    rows = connection.execute(query).all()
    names = key_names(connection, project_id, {row[2] for row in rows})
    rank = {number: at for at, number in enumerate(names)}
    found: dict[int, dict[str, Summary]] = {}
    for _, run, key, *columns in sorted(rows, key=lambda row: (row[1], rank[row[2]])):
        found.setdefault(run, {})[names[key]] = to_summary(*columns)
    return found
