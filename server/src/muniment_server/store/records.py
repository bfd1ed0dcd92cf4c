"""The registry of records: the number of an id, whatever its kind."""

from __future__ import annotations

import sqlalchemy as sa

from muniment.model.errors import NotFound
from muniment_server.policy.access import Scope
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
