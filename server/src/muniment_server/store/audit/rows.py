"""Current rows and their past versions against the revisions they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.canonical import canonical
from muniment.model.ledger import Finding
from muniment.model.run import param_number
from muniment_server.store import current, heads, ledger, tables
from muniment_server.store.audit import Report, reached, spans
from muniment_server.store.belongings import FAMILIES, Family
from muniment_server.store.kinds import KINDS
from muniment_server.store.tables import keys, links, params, records, revisions, scores, tags

CHUNK = 1_000
"""Records checked at once."""

_Versions = dict[tuple[Any, ...], tuple[Any, ...]]


def check(connection: sa.Connection, project_id: int, project: str, report: Report) -> tuple[int, Finding | None]:
    """(records checked, the finding with the least position)."""
    findings = list(_counters(connection, project_id, project))
    count = 0
    for start, last, high in spans(connection, project_id, _NUMBERED, CHUNK):
        within = (records.c.project_id == project_id, records.c.no.between(start, last))
        count += connection.execute(sa.select(sa.func.count()).select_from(records).where(*within)).scalar_one()
        findings += _readable_chunk(connection, project_id, project, start, last)
        report("records", min(last, high), high)
    return count, min(findings, key=lambda finding: finding.position or 0, default=None)


def _readable_chunk(connection: sa.Connection, project_id: int, project: str, low: int, high: int) -> list[Finding]:
    """The findings of a chunk; if something in it cannot be read, what that is."""
    try:
        return list(_chunk(connection, project_id, project, low, high))
    except Exception as error:  # noqa: BLE001 - whatever was put there must be a finding
        if low < high:
            middle = (low + high) // 2
            return [
                *_readable_chunk(connection, project_id, project, low, middle),
                *_readable_chunk(connection, project_id, project, middle + 1, high),
            ]
        return [_unreadable(connection, project_id, project, low, error)]


def _unreadable(connection: sa.Connection, project_id: int, project: str, no: int, error: Exception) -> Finding:
    """The version of a record that cannot be read."""
    for kind, table in ((kind.name, kind.table) for kind in KINDS.values()):
        where = (table.c.project_id == project_id, table.c.no == no)
        for valid_from in connection.scalars(sa.select(table.c.valid_from).where(*where).order_by(table.c.valid_from)):
            try:
                rows = connection.execute(current.versions(kind).where(*where, table.c.valid_from == valid_from))
                current.to_record(kind, rows.one())
            except Exception as reason:  # noqa: BLE001
                problem = f"record {no} cannot be read: {reason}".splitlines()[0]
                return Finding(project=project, position=valid_from, where=str(table.name), problem=problem)
    problem = f"record {no} cannot be read: {error}".splitlines()[0]
    return Finding(project=project, position=None, where="records", problem=problem)


_NUMBERED = (
    records.c.no, *(kind.table.c.no for kind in KINDS.values()), params.c.run, tags.c.run,
    *(family.table.c.record for family in FAMILIES.values()), links.c.downstream, scores.c.evaluation,
)  # fmt: skip


def _counters(connection: sa.Connection, project_id: int, project: str) -> Iterator[Finding]:
    """The head's counters are the greatest numbers given out."""
    head = heads.read(connection, project_id)
    stored = reached(connection, project_id, "max", (records.c.no, keys.c.no))
    for name, counter, found in zip(("records", "keys"), (head.records, head.keys), stored, strict=True):
        greatest = found or 0
        if counter != greatest:
            problem = f"the head has given out {counter} {name}, and the greatest is {greatest}"
            yield Finding(project=project, position=head.position, where="heads", problem=problem)


def _silent(connection: sa.Connection, project_id: int, project: str, low: int, high: int) -> Iterator[Finding]:
    """Records of which the history says nothing."""
    said = sa.exists().where(revisions.c.project_id == records.c.project_id, revisions.c.record == records.c.no)
    query = sa.select(records.c.no).where(records.c.project_id == project_id, records.c.no.between(low, high), ~said)
    for number in connection.scalars(query):
        yield Finding(
            project=project, position=1, where="records", problem=f"no entry says anything of record {number}"
        )


def projects_of_any_row(connection: sa.Connection) -> set[int]:
    """The numbers of projects that any table has rows of."""
    return set(connection.scalars(_PROJECTS))


_PROJECTS = sa.union(
    *(sa.select(table.c.project_id) for table in tables.metadata.sorted_tables if table.info.get("sharded"))
)


def _chunk(connection: sa.Connection, project_id: int, project: str, low: int, high: int) -> Iterator[Finding]:
    yield from _silent(connection, project_id, project, low, high)
    expected = _replayed(connection, project_id, low, high)
    filled = connection.execute(_FILLED, {"project_id": project_id, "low": low, "high": high}).mappings().one()
    for name, (table, stored) in _STORED.items():
        found = stored(connection, project_id, low, high) if filled[table.name] else {}
        yield from _differences(project, str(table.name), expected[name], found)


_FILLED = sa.select(
    *(
        sa.exists()
        .where(
            column.table.c.project_id == sa.bindparam("project_id"),
            column.between(sa.bindparam("low"), sa.bindparam("high")),
        )
        .label(column.table.name)
        for column in _NUMBERED
    )
)
"""Whether each table has rows of some records: most records are of a few kinds."""


_DEFAULTS = {
    kind.name: {
        field.name: msgspec.to_builtins(field.default)
        for field in msgspec.structs.fields(kind.struct)
        if field.default is not msgspec.NODEFAULT and field.default is None
    }
    for kind in KINDS.values()
}
"""What a record has that was written by a release that did not know a field yet."""


def _replayed(connection: sa.Connection, project_id: int, low: int, high: int) -> dict[str, _Versions]:
    """What the tables must hold, by table and then by (number, …, valid_from)."""
    made: dict[str, _Versions] = {name: {} for name in (*KINDS, "params", "tags", *FAMILIES, "links", "scores")}
    still: dict[tuple[Any, ...], int] = {}
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
        if row.kind == "evaluation" and ("evaluation", row.record) not in still:
            for name, value in body["evaluation"]["metrics"].items():
                made["scores"][row.record, name, row.position] = (None, None if value == "NaN" else float(value))
        if row.kind in body:
            whole = (canonical({**_DEFAULTS[row.kind], **body[row.kind]}),)
            _begin(made[row.kind], still, (row.kind, row.record), (row.record,), row.position, whole)
        for name, value in (body.get("params") or {}).items():
            made["params"][row.record, name, row.position] = (None, value, param_number(value))
        for table in ("tags", *FAMILIES):
            for name, value in (body.get(table) or {}).items():
                content = None if value is None else (_plain(value),)
                _begin(made[table], still, (table, row.record, name), (row.record, name), row.position, content)
        for link in body.get("links") or ():
            key = (row.record, link["upstream"], link["type"], link["role"], link["run"])
            content = None if link["source"] is None else (link["source"],)
            _begin(made["links"], still, ("links", *key), key, row.position, content)
    return made


def _begin(
    versions: _Versions,
    still: dict[tuple[Any, ...], int],
    what: tuple[Any, ...],
    key: tuple[Any, ...],
    position: int,
    content: tuple[Any, ...] | None,
) -> None:
    """End the version that held until now, and begin the next if there is one."""
    before = still.pop(what, None)
    if before is not None:
        _end(versions, (*key, before), position)
    if content is not None:
        still[what] = position
        versions[*key, position] = (None, *content)


def _end(versions: _Versions, key: tuple[Any, ...], position: int) -> None:
    versions[key] = (position, *versions[key][1:])


_VERSIONS = {
    kind.name: current.versions(kind.name).where(
        kind.table.c.project_id == sa.bindparam("project_id"),
        kind.table.c.no.between(sa.bindparam("low"), sa.bindparam("high")),
    )
    for kind in KINDS.values()
}


def _stored_records(connection: sa.Connection, project_id: int, low: int, high: int, kind: str) -> _Versions:
    found: _Versions = {}
    for row in connection.execute(_VERSIONS[kind], {"project_id": project_id, "low": low, "high": high}):
        body = msgspec.to_builtins(current.to_record(kind, row))
        del body["position"]
        found[row.no, row.valid_from] = (row.valid_to, canonical(body))
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


def _stored_scores(connection: sa.Connection, project_id: int, low: int, high: int) -> _Versions:
    joined = sa.and_(keys.c.project_id == scores.c.project_id, keys.c.no == scores.c.key)
    query = sa.select(scores, keys.c.name).join(keys, joined, isouter=True)
    rows = connection.execute(query.where(scores.c.project_id == project_id, scores.c.evaluation.between(low, high)))
    return {(row.evaluation, row.name, row.valid_from): (None, row.value) for row in rows}


def _stored_belongings(connection: sa.Connection, project_id: int, low: int, high: int, family: Family) -> _Versions:
    table = family.table
    content: Any = table.c.value if not family.refers else records.c.id
    query = sa.select(table.c.record, table.c.name, table.c.valid_from, table.c.valid_to, content.label("content"))
    if family.refers:
        joined = sa.and_(records.c.project_id == table.c.project_id, records.c.no == table.c.target)
        query = query.join(records, joined, isouter=True)
    rows = connection.execute(query.where(table.c.project_id == project_id, table.c.record.between(low, high)))
    return {(row.record, row.name, row.valid_from): (row.valid_to, row.content) for row in rows}


def _plain(value: Any) -> Any:
    """A text as it is; a document as its row holds it."""
    return value if isinstance(value, str) else canonical(value).decode()


def _stored_links(connection: sa.Connection, project_id: int, low: int, high: int) -> _Versions:
    ends, runs = records.alias("ends"), records.alias("runs_of_links")
    query = (
        sa.select(links, ends.c.id.label("upstream_id"), runs.c.id.label("run_id"))
        .join(ends, sa.and_(ends.c.project_id == links.c.project_id, ends.c.no == links.c.upstream), isouter=True)
        .join(runs, sa.and_(runs.c.project_id == links.c.project_id, runs.c.no == links.c.run), isouter=True)
        .where(links.c.project_id == project_id, links.c.downstream.between(low, high))
    )
    found: _Versions = {}
    for row in connection.execute(query):
        run = row.run_id or row.run or None  # 0 is no run; a number that no record has is none that an entry wrote
        key = (row.downstream, row.upstream_id, row.type, row.role, run, row.valid_from)
        found[key] = (row.valid_to, row.source)
    return found


_STORED: dict[str, tuple[sa.Table, Callable[[sa.Connection, int, int, int], _Versions]]] = {
    **{kind.name: (kind.table, partial(_stored_records, kind=kind.name)) for kind in KINDS.values()},
    "params": (params, _stored_params),
    "tags": (tags, _stored_tags),
    **{family.name: (family.table, partial(_stored_belongings, family=family)) for family in FAMILIES.values()},
    "scores": (scores, _stored_scores),
    "links": (links, _stored_links),
}
"""The tables that are compared, in order, with what reads the versions in them."""


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
