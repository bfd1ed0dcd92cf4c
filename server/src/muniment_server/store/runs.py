"""Reading runs with their params, tags and summaries, now and as of the past."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.errors import Gone, NotFound
from muniment.model.run import Run, RunData
from muniment_server.policy.access import Scope
from muniment_server.store import current, past, summaries
from muniment_server.store.dialects import among, listed, numbers_for
from muniment_server.store.points import by_name, key_numbers
from muniment_server.store.projects import visible
from muniment_server.store.records import erased
from muniment_server.store.statements import Prepared
from muniment_server.store.tables import params, records, runs, tags


class Columns(msgspec.Struct, frozen=True):
    """Which params, tags and metrics come with a run: a set of names, or None for all of them."""

    params: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    metrics: frozenset[str] | None = None


EVERYTHING = Columns()


def row_of(connection: sa.Connection, scope: Scope, project_id: int, run_id: str, as_of: int | None) -> sa.Row[Any]:
    """The row of a run's version at a position.

    Raises:
        NotFound: there was no such run.
        Gone: it was erased since, and its past with it.
    """
    query = (
        current.versions("run")
        .join(records, sa.and_(records.c.project_id == runs.c.project_id, records.c.no == runs.c.no))
        .where(
            records.c.project_id == project_id,
            records.c.id == run_id,
            current.at(runs, as_of),
            visible(scope, runs.c.project_id),
        )
    )
    row = connection.execute(query).first()
    if row is not None:
        return row
    if as_of is not None and erased(connection, project_id, run_id):
        raise Gone(f"run {run_id} was erased, and its past with it", field="run")
    then = "" if as_of is None else f" as of position {as_of}"
    raise NotFound(f"run {run_id} does not exist in this project{then}", field="run")


def find(
    connection: sa.Connection,
    scope: Scope,
    project_id: int,
    run_id: str,
    columns: Columns = EVERYTHING,
    *,
    as_of: int | None = None,
) -> RunData:
    """One run with what was logged to it."""
    row = row_of(connection, scope, project_id, run_id, as_of)
    return with_data(connection, project_id, [row], columns, as_of)[0]


def with_data(
    connection: sa.Connection, project_id: int, rows: Iterable[sa.Row[Any]], columns: Columns, as_of: int | None
) -> list[RunData]:
    """Runs, in the given order, with the chosen columns; a handful of queries however many they are."""
    found: list[tuple[int, Run]] = [(row.no, current.to_record("run", row)) for row in rows]
    numbers = [no for no, _ in found]
    run_params = items(connection, params, project_id, numbers, columns.params, as_of)
    run_tags = items(connection, tags, project_id, numbers, columns.tags, as_of)
    metrics = metrics_of(connection, project_id, {no: run.id for no, run in found}, columns.metrics, as_of)
    return [
        RunData(run=run, params=run_params.get(no, {}), tags=run_tags.get(no, {}), metrics=metrics.get(no, {}))
        for no, run in found
    ]


class Item(msgspec.Struct, frozen=True, gc=False):
    """A param or a tag."""

    key: str
    value: str


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is now, with the last point of each metric alone; all by name."""

    no: int
    run: Run
    params: list[Item]
    tags: list[Item]
    metrics: list[summaries.Last]


def latest(connection: sa.Connection, project_id: int, rows: Iterable[sa.Row[Any]]) -> list[Latest]:
    """Runs, in the given order, with what they have now: a third of the work of `with_data`."""
    found: list[tuple[int, Run]] = [(row.no, current.to_record("run", row)) for row in rows]
    numbers = [no for no, _ in found]
    if not numbers:
        return []
    families: list[dict[int, list[Item]]] = []
    for table in (params, tags):
        by_run: dict[int, list[Item]] = {no: [] for no in numbers}
        for name, its in by_name(connection, project_id, _rows(connection, table, project_id, numbers, None, None)):
            for run, _, value in its:
                by_run[run].append(Item(name, value))
        families.append(by_run)
    run_params, run_tags = families
    metrics = summaries.last_of_runs(connection, project_id, numbers)
    return [
        Latest(no=no, run=run, params=run_params[no], tags=run_tags[no], metrics=metrics.get(no, []))
        for no, run in found
    ]


def metrics_of(
    connection: sa.Connection, project_id: int, numbers: dict[int, str], names: frozenset[str] | None, as_of: int | None
) -> dict[int, dict[str, Any]]:
    """Summaries of runs, given as {number: id}, by number and name."""
    if not numbers or (names is not None and not names):
        return {}
    wanted = None if names is None else set(names)
    found = summaries.of_runs(connection, project_id, numbers, wanted)
    return found if as_of is None else past.summaries_as_of(connection, project_id, numbers, found, as_of)


def _items(table: sa.Table, *, chosen: bool, earlier: bool) -> Prepared:
    query = sa.select(table.c.run, table.c.key, table.c.value).where(
        table.c.project_id == sa.bindparam("project_id"), among(table.c.run, listed("runs"))
    )
    if chosen:
        query = query.where(among(table.c.key, listed("keys")))
    at: Any = sa.bindparam("as_of") if earlier else None
    if table is tags:
        query = query.where(current.at(tags, at))
    elif earlier:
        query = query.where(table.c.valid_from <= at)
    return Prepared(lambda _: query)


_ITEMS = {
    (table.name, chosen, earlier): _items(table, chosen=chosen, earlier=earlier)
    for table in (params, tags)
    for chosen in (False, True)
    for earlier in (False, True)
}


def items(
    connection: sa.Connection,
    table: sa.Table,
    project_id: int,
    numbers: list[int],
    names: frozenset[str] | None,
    as_of: int | None,
) -> dict[int, dict[str, str]]:
    """Params or tags of records, by their numbers; those of each by name."""
    found: dict[int, dict[str, str]] = {}
    for name, its in by_name(connection, project_id, _rows(connection, table, project_id, numbers, names, as_of)):
        for record, _, value in its:
            if record in found:
                found[record][name] = value
            else:
                found[record] = {name: value}
    return found


def _rows(
    connection: sa.Connection,
    table: sa.Table,
    project_id: int,
    numbers: list[int],
    names: frozenset[str] | None,
    as_of: int | None,
) -> list[tuple[int, int, str]]:
    """(number of the record, interned number of the name, value) of params or tags."""
    if not numbers or (names is not None and not names):
        return []
    engine = connection.dialect.name
    given: dict[str, Any] = {"project_id": project_id, "runs": numbers_for(engine, numbers), "as_of": as_of}
    if names is not None:
        wanted = key_numbers(connection, project_id, names)
        if not wanted:
            return []
        given["keys"] = numbers_for(engine, sorted(wanted.values()))
    return _ITEMS[table.name, names is not None, as_of is not None].rows(connection, given)
