"""The head of a project: its latest position and commit time, under whose lock every write happens (rule 2)."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from muniment.model.errors import NotFound
from muniment_server.store.statements import Prepared
from muniment_server.store.tables import heads
from muniment_server.store.types import from_micros


class Head(msgspec.Struct, frozen=True):
    """Where a project's history stands."""

    project_id: int
    position: int
    time: datetime
    records: int
    """The greatest record number given out."""
    keys: int
    """The greatest key number given out."""


_HEAD = sa.select(heads.c.project_id, heads.c.position, heads.c.time, heads.c.records, heads.c["keys"]).where(
    heads.c.project_id == sa.bindparam("project_id")
)
_LOCKED = Prepared(lambda _: _HEAD.with_for_update())
_ADVANCE = Prepared(
    lambda _: (
        sa.update(heads)
        .where(heads.c.project_id == sa.bindparam("of"))
        .values({name: sa.bindparam(name) for name in ("position", "time", "records", "keys")})
    )
)


def read(connection: sa.Connection, project_id: int) -> Head:
    """The head as this connection's snapshot sees it."""
    row = connection.execute(_HEAD, {"project_id": project_id}).first()
    if row is None:
        raise NotFound(f"project number {project_id} does not exist")
    return Head(*row)


def lock(connection: sa.Connection, project_id: int) -> Head:
    """The head, held until the transaction ends: nobody else writes to the project meanwhile."""
    found = _LOCKED.rows(connection, {"project_id": project_id})
    if not found:
        raise NotFound(f"project number {project_id} does not exist")
    number, position, micros, records, keys = found[0]
    return Head(number, position, from_micros(micros), records, keys)


def advance(connection: sa.Connection, head: Head) -> None:
    """Move the locked head."""
    _ADVANCE.many(connection, [{"of": head.project_id, **msgspec.structs.asdict(head)}])


_MOVED = (
    sa.update(heads)
    .where(
        heads.c.project_id == sa.bindparam("of"),
        *(heads.c[name] == sa.bindparam(f"old_{name}") for name in ("position", "records", "keys")),
    )
    .values({name: sa.bindparam(name) for name in ("position", "time", "records", "keys")})
    .returning(sa.literal_column("1"))
    .cte("moved")
)
_MOVE = Prepared(lambda _: sa.select(sa.literal_column("1 / count(*)")).select_from(_MOVED))
"""Divides by nought if the head is not where it was thought to be, which ends a transaction that is sent as a whole."""
_DIVISION_BY_ZERO = "22012"


class Stale(Exception):
    """A head is not where this process left it: somebody else wrote."""


def move(connection: sa.Connection, before: Head, after: Head) -> None:
    """Lock the head and move it, in one statement whose answer nobody waits for. For PostgreSQL.

    It fails with an error that `is_stale` knows if the head is not where it is thought to be.
    """
    old = {f"old_{name}": getattr(before, name) for name in ("position", "records", "keys")}
    _MOVE.many(connection, [{"of": after.project_id, **old, **msgspec.structs.asdict(after)}])


def is_stale(error: BaseException) -> bool:
    """Whether a write failed since the head had moved. Any later statement may raise it, also one that wraps errors."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return isinstance(error, Stale) or getattr(original, "sqlstate", None) == _DIVISION_BY_ZERO


def create(connection: sa.Connection, project_id: int, time: datetime) -> None:
    """The head of a project that has no history yet."""
    connection.execute(
        sa.insert(heads), {"project_id": project_id, "position": 0, "time": time, "records": 0, "keys": 0}
    )
