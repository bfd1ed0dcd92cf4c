"""What is asked of a record of any kind: its number, whether it was erased."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from muniment.model.errors import NotFound
from muniment_server.policy.access import Scope
from muniment_server.store import current
from muniment_server.store.kinds import KINDS
from muniment_server.store.projects import visible
from muniment_server.store.tables import records


def number_of(connection: sa.Connection, scope: Scope, project_id: int, record_id: str) -> int:
    """The number of a record.

    Raises:
        NotFound: the project has no such record.
    """
    found = connection.execute(
        sa.select(records.c.no).where(
            records.c.project_id == project_id, records.c.id == record_id, visible(scope, records.c.project_id)
        )
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"this project has no record {record_id}", field="record")
    return int(found)


def present(connection: sa.Connection, project_id: int, ids: Sequence[str]) -> set[str]:
    """Those of some ids that records of a project have."""
    found: set[str] = set()
    for start in range(0, len(ids), 5_000):
        query = sa.select(records.c.id).where(
            records.c.project_id == project_id, records.c.id.in_(ids[start : start + 5_000])
        )
        found.update(connection.execute(query).scalars())
    return found


def erased(connection: sa.Connection, project_id: int, record_id: str) -> bool:
    """Whether there is a record with this id whose content was erased."""
    kind = current.kind_of_id(connection, project_id, record_id)
    table = None if kind is None else KINDS[kind].table
    if table is None or "lifecycle" not in table.c:
        return False
    number = sa.select(records.c.no).where(records.c.project_id == project_id, records.c.id == record_id)
    query = sa.select(table.c.no).where(
        table.c.project_id == project_id,
        table.c.no == number.scalar_subquery(),
        current.at(table, None),
        table.c.lifecycle == "erased",
    )
    return connection.execute(query).first() is not None
