"""What was erased, as the history itself says: nothing else may be missing."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from muniment_server.store import ledger
from muniment_server.store.tables import ledger as ledger_table
from muniment_server.store.tables import revisions

ERASE_ACTION = "run.erase"


class Erasures(msgspec.Struct):
    """Positions that erasures emptied, by the id of the run."""

    points: dict[str, set[int]]
    revisions: dict[str, set[int]]

    def of_points(self, run: str, position: int) -> bool:
        """Whether the points that a run got at this position were erased."""
        return position in self.points.get(run, ())

    def of_revision(self, record: str, position: int) -> bool:
        """Whether what was said of a record at this position was erased."""
        return position in self.revisions.get(record, ())


def of_project(connection: sa.Connection, project_id: int) -> Erasures:
    """The erasures of a project."""
    query = (
        sa.select(revisions.c.body)
        .join(
            ledger_table,
            sa.and_(
                ledger_table.c.project_id == revisions.c.project_id, ledger_table.c.position == revisions.c.position
            ),
        )
        .where(
            revisions.c.project_id == project_id,
            ledger_table.c.action == ERASE_ACTION,
            revisions.c.body.isnot(None),
        )
    )
    made = Erasures({}, {})
    for row in connection.execute(query):
        body = ledger.body_of(row.body) or {}
        erased, run = body.get("erased") or {}, (body.get("run") or {}).get("id", "")
        made.points.setdefault(run, set()).update(erased.get("points", ()))
        made.revisions.setdefault(run, set()).update(erased.get("revisions", ()))
    return made
