"""Reading current rows for the writer: one record by id or unique name, its params, its tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec
import sqlalchemy as sa

from muniment.model.project import SYSTEM
from muniment_server.store.held import Held
from muniment_server.store.kinds import KINDS, Key
from muniment_server.store.tables import SYSTEM_PROJECT, keys, params, projects, records, tags


def to_record(kind: str, row: Any) -> Any:
    """The struct of a row that `versions` selected."""
    return msgspec.convert(row, KINDS[kind].struct, from_attributes=True)


def versions(kind: str, *more: Any) -> sa.Select[Any]:
    """Versions of the kind's records, and whatever else is asked for."""
    table = KINDS[kind].table
    return sa.select(table, table.c.valid_from.label("position"), *more)


def at(table: sa.Table, as_of: int | None) -> sa.ColumnElement[bool]:
    """The versions that were current at a position; None is now, and served by the partial indexes."""
    if as_of is None:
        return table.c.valid_to.is_(None)
    return sa.and_(table.c.valid_from <= as_of, sa.or_(table.c.valid_to.is_(None), table.c.valid_to > as_of))


def held_query(kind: str) -> sa.Select[Any]:
    """Current records of a kind with their salts, as `Held` has them."""
    table = KINDS[kind].table
    joined = sa.and_(records.c.project_id == table.c.project_id, records.c.no == table.c.no)
    return versions(kind, records.c.salt).join(records, joined).where(at(table, None))


def _query(kind: str) -> sa.Select[Any]:
    return held_query(kind).where(KINDS[kind].table.c.project_id == sa.bindparam("project_id"))


_BY_ID = {
    kind: _query(kind).where(records.c.project_id == sa.bindparam("project_id"), records.c.id == sa.bindparam("id"))
    for kind in KINDS
}
_BY_NAME = {
    kind.name: _query(kind.name).where(*(kind.table.c[column] == sa.bindparam(f"key_{column}") for column in kind.key))
    for kind in KINDS.values()
    if kind.key
}


def by_id(connection: sa.Connection, project_id: int, kind: str, record_id: str) -> Held | None:
    """The current record with this id."""
    return _held(kind, connection.execute(_BY_ID[kind], {"project_id": project_id, "id": record_id}).first())


def by_name(connection: sa.Connection, project_id: int, kind: str, name: Key) -> Held | None:
    """The current record with this key."""
    given = {f"key_{column}": part for column, part in zip(KINDS[kind].key, name, strict=True)}
    return _held(kind, connection.execute(_BY_NAME[kind], {"project_id": project_id, **given}).first())


def _held(kind: str, row: sa.Row[Any] | None) -> Held | None:
    return None if row is None else Held(row.no, cast("bytes", row.salt), to_record(kind, row))


def _items(table: sa.Table) -> sa.Select[Any]:
    query = (
        sa.select(keys.c.name, table.c.value)
        .join(keys, sa.and_(keys.c.project_id == table.c.project_id, keys.c.no == table.c.key))
        .where(table.c.project_id == sa.bindparam("project_id"), table.c.run == sa.bindparam("run"))
    )
    return query.where(table.c.valid_to.is_(None)) if "valid_to" in table.c else query


_PARAMS, _TAGS = _items(params), _items(tags)


def params_of(connection: sa.Connection, project_id: int, run: int) -> dict[str, str]:
    """Every param of a run."""
    return {row.name: row.value for row in connection.execute(_PARAMS, {"project_id": project_id, "run": run})}


def tags_of(connection: sa.Connection, project_id: int, record: int) -> dict[str, str]:
    """Every current tag of a record."""
    return {row.name: row.value for row in connection.execute(_TAGS, {"project_id": project_id, "run": record})}


def kind_of_id(connection: sa.Connection, project_id: int, record_id: str) -> str | None:
    """The kind of the record with this id."""
    query = sa.select(records.c.kind).where(records.c.project_id == project_id, records.c.id == record_id)
    return connection.execute(query).scalar_one_or_none()


def latest_id(
    connection: sa.Connection, project_id: int, kind: str, owner: str, *, without: Iterable[str] = ()
) -> str | None:
    """The id of the youngest active record of a kind that belongs to another, some left aside."""
    table = KINDS[kind].table
    query = (
        sa.select(table.c.id)
        .where(
            table.c.project_id == project_id,
            table.c[KINDS[kind].owner] == owner,
            table.c.valid_to.is_(None),
            table.c.lifecycle == "active",
        )
        .order_by(table.c.no.desc())
        .limit(1)
    )
    aside = sorted(without)
    if aside:
        query = query.where(table.c.id.notin_(aside))
    return connection.execute(query).scalar_one_or_none()


def last_number(connection: sa.Connection, project_id: int, kind: str, owner: str) -> int:
    """The greatest version number of a kind that belongs to another; where versions are texts, how many there are."""
    table = KINDS[kind].table
    numbered = isinstance(table.c.version.type, sa.Integer)
    found = sa.func.max(table.c.version) if numbered else sa.func.count()
    query = sa.select(found).where(
        table.c.project_id == project_id, table.c[KINDS[kind].owner] == owner, table.c.valid_to.is_(None)
    )
    return int(connection.execute(query).scalar_one() or 0)


def id_of_digest(connection: sa.Connection, project_id: int, dataset: str, digest: str) -> str | None:
    """The id of the oldest version of a dataset that has this digest."""
    table = KINDS["dataset_version"].table
    query = sa.select(table.c.id).where(
        table.c.project_id == project_id, table.c.dataset == dataset, table.c.digest == digest,
        table.c.valid_to.is_(None),
    ).order_by(table.c.no).limit(1)  # fmt: skip
    return connection.execute(query).scalar_one_or_none()


def slug_of(connection: sa.Connection, project_id: int) -> str:
    """The slug that a project has now."""
    query = sa.select(projects.c.slug).where(
        projects.c.project_id == SYSTEM_PROJECT, projects.c.no == project_id, projects.c.valid_to.is_(None)
    )
    return str(connection.execute(query).scalar_one_or_none() or SYSTEM)
