"""Current rows and their past versions against the revisions they came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.ledger import Finding
from muniment.model.run import param_number
from muniment_server.store import current, ledger
from muniment_server.store.tables import keys, params, records, revisions, runs, tags

CHUNK = 1_000
"""Records checked at once."""

_Versions = dict[tuple[Any, ...], tuple[Any, ...]]


def check(connection: sa.Connection, project_id: int, project: str) -> tuple[int, Finding | None]:
    """(records checked, the finding with the least position)."""
    last = (
        connection.execute(sa.select(sa.func.max(records.c.no)).where(records.c.project_id == project_id)).scalar() or 0
    )
    highest = _highest(connection, project_id)
    findings: list[Finding] = []
    count = 0
    for start in range(0, max(last, highest), CHUNK):
        low, high = start + 1, start + CHUNK
        count += connection.execute(
            sa.select(sa.func.count())
            .select_from(records)
            .where(records.c.project_id == project_id, records.c.no.between(low, high))
        ).scalar_one()
        findings.extend(_chunk(connection, project_id, project, low, high))
    return count, min(findings, key=lambda finding: finding.position or 0, default=None)


def _highest(connection: sa.Connection, project_id: int) -> int:
    """The greatest record number that any row speaks of, so that rows of records that do not exist are seen too."""
    found = 0
    for column in (*(table.c.no for _, table in current.KINDS.values()), params.c.run, tags.c.run):
        value = connection.execute(
            sa.select(sa.func.max(column)).where(column.table.c.project_id == project_id)
        ).scalar()
        found = max(found, value or 0)
    return found


def _chunk(connection: sa.Connection, project_id: int, project: str, low: int, high: int) -> Iterator[Finding]:
    expected = _replayed(connection, project_id, low, high)
    for kind, (_, table) in current.KINDS.items():
        yield from _differences(
            project, table.name, expected[kind], _stored_records(connection, kind, project_id, low, high)
        )
    yield from _differences(project, "params", expected["params"], _stored_params(connection, project_id, low, high))
    yield from _differences(project, "tags", expected["tags"], _stored_tags(connection, project_id, low, high))


def _replayed(connection: sa.Connection, project_id: int, low: int, high: int) -> dict[str, _Versions]:
    """What the tables must hold, by table and then by (number, …, valid_from)."""
    made: dict[str, _Versions] = {name: {} for name in (*current.KINDS, "params", "tags")}
    open_records: dict[tuple[str, int], int] = {}
    open_tags: dict[tuple[int, str], int] = {}
    query = (
        sa.select(revisions.c.position, revisions.c.record, revisions.c.kind, revisions.c.body)
        .where(
            revisions.c.project_id == project_id,
            revisions.c.record.between(low, high),
            revisions.c.body.isnot(None),
        )
        .order_by(revisions.c.record, revisions.c.position)
    )
    for row in connection.execute(query):
        body = ledger.body_of(row.body) or {}
        if row.kind in body:
            content = msgspec.json.encode(body[row.kind], order="sorted")
            before = open_records.get((row.kind, row.record))
            if before is not None:
                _end(made[row.kind], (row.record, before), row.position)
            open_records[row.kind, row.record] = row.position
            made[row.kind][row.record, row.position] = (None, content)
        for name, value in (body.get("params") or {}).items():
            made["params"][row.record, name, row.position] = (None, value, param_number(value))
        for name, value in (body.get("tags") or {}).items():
            before = open_tags.pop((row.record, name), None)
            if before is not None:
                _end(made["tags"], (row.record, name, before), row.position)
            if value is not None:
                open_tags[row.record, name] = row.position
                made["tags"][row.record, name, row.position] = (None, value)
    return made


def _end(versions: _Versions, key: tuple[Any, ...], position: int) -> None:
    versions[key] = (position, *versions[key][1:])


def _stored_records(connection: sa.Connection, kind: str, project_id: int, low: int, high: int) -> _Versions:
    table = current.KINDS[kind][1]
    query = current.versions(kind).where(table.c.project_id == project_id, table.c.no.between(low, high))
    found: _Versions = {}
    for row in connection.execute(query):
        body = msgspec.to_builtins(current.to_record(kind, row))
        del body["position"]
        found[row.no, row.valid_from] = (row.valid_to, msgspec.json.encode(body, order="sorted"))
    return found


def _stored_params(connection: sa.Connection, project_id: int, low: int, high: int) -> _Versions:
    query = _named(params, params.c.valid_from, params.c.value, params.c.number).where(
        params.c.project_id == project_id, params.c.run.between(low, high)
    )
    return {(row.run, row.name, row.valid_from): (None, row.value, row.number) for row in connection.execute(query)}


def _stored_tags(connection: sa.Connection, project_id: int, low: int, high: int) -> _Versions:
    query = _named(tags, tags.c.valid_from, tags.c.valid_to, tags.c.value).where(
        tags.c.project_id == project_id, tags.c.run.between(low, high)
    )
    return {(row.run, row.name, row.valid_from): (row.valid_to, row.value) for row in connection.execute(query)}


def _named(table: sa.Table, *columns: Any) -> sa.Select[Any]:
    joined = sa.and_(keys.c.project_id == table.c.project_id, keys.c.no == table.c.key)
    return sa.select(table.c.run, keys.c.name, *columns).join(keys, joined, isouter=True)


def _differences(project: str, table: str, expected: _Versions, stored: _Versions) -> Iterator[Finding]:
    for key in sorted(expected.keys() | stored.keys(), key=lambda key: (key[-1], str(key))):
        if expected.get(key) == stored.get(key):
            continue
        if key not in stored:
            problem = f"the row of record {key[0]} that entry {key[-1]} wrote is missing"
        elif key not in expected:
            problem = f"there is a row of record {key[0]} from position {key[-1]} that no entry wrote"
        else:
            problem = f"the row of record {key[0]} from position {key[-1]} is not what the entry wrote"
        yield Finding(project=project, position=key[-1], where=table, problem=problem)
        return


def erased_runs(connection: sa.Connection, project_id: int) -> set[int]:
    """The numbers of runs that were erased."""
    query = sa.select(runs.c.no).where(
        runs.c.project_id == project_id, current.at(runs, None), runs.c.lifecycle == "erased"
    )
    return {row.no for row in connection.execute(query)}
