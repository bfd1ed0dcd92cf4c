"""The head of a project: its latest position and commit time, under whose lock every write happens (rule 2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.errors import NotFound
from muniment_server.store.tables import heads


class Head(msgspec.Struct, frozen=True):
    """Where a project's history stands."""

    project_id: int
    position: int
    time: datetime
    records: int
    """The greatest record number given out."""
    keys: int
    """The greatest key number given out."""


_HEAD = sa.select(heads).where(heads.c.project_id == sa.bindparam("project_id"))
_LOCKED = _HEAD.with_for_update()
_ADVANCE = sa.update(heads).where(heads.c.project_id == sa.bindparam("of"))


def _to_head(row: sa.Row[Any] | None, project_id: int) -> Head:
    if row is None:
        raise NotFound(f"project number {project_id} does not exist")
    return Head(row.project_id, row.position, row.time, row.records, row.keys)


def read(connection: sa.Connection, project_id: int) -> Head:
    """The head as this connection's snapshot sees it."""
    return _to_head(connection.execute(_HEAD, {"project_id": project_id}).first(), project_id)


def lock(connection: sa.Connection, project_id: int) -> Head:
    """The head, held until the transaction ends: nobody else writes to the project meanwhile."""
    return _to_head(connection.execute(_LOCKED, {"project_id": project_id}).first(), project_id)


def advance(connection: sa.Connection, head: Head) -> None:
    """Move the locked head."""
    connection.execute(
        _ADVANCE,
        {
            "of": head.project_id,
            "position": head.position,
            "time": head.time,
            "records": head.records,
            "keys": head.keys,
        },
    )


def create(connection: sa.Connection, project_id: int, time: datetime) -> None:
    """The head of a project that has no history yet."""
    connection.execute(
        sa.insert(heads), {"project_id": project_id, "position": 0, "time": time, "records": 0, "keys": 0}
    )
