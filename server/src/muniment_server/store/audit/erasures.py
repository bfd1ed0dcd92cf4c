"""What was erased, as the history itself says: nothing else may be missing."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from muniment_server.store import ledger
from muniment_server.store.tables import ledger as ledger_table
from muniment_server.store.tables import revisions

ERASE_ACTIONS = ("run.erase", "record.erase")


class Erasures(msgspec.Struct):
    """Positions that erasures emptied, by the id of the record."""

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
        sa.select(revisions.c.kind, revisions.c.body)
        .join(
            ledger_table,
            sa.and_(
                ledger_table.c.project_id == revisions.c.project_id, ledger_table.c.position == revisions.c.position
            ),
        )
        .where(
            revisions.c.project_id == project_id,
            ledger_table.c.action.in_(ERASE_ACTIONS),
            revisions.c.body.isnot(None),
        )
    )
    made = Erasures({}, {})
    for kind, text in connection.execute(query):
        try:
            record, of_points, of_revisions = _said(kind, text)
        except Exception:  # noqa: BLE001, S112 - no erasure wrote this, and it will not match its hash
            continue
        made.points.setdefault(record, set()).update(of_points)
        made.revisions.setdefault(record, set()).update(of_revisions)
    return made


def _said(kind: str, text: str) -> tuple[str, set[int], set[int]]:
    """What a revision says was erased: the record, and the positions of its points and of its revisions."""
    body = ledger.body_of(text) or {}
    erased, record = body.get("erased") or {}, (body.get(kind) or {}).get("id", "")
    return str(record), set(erased.get("points", ())), set(erased.get("revisions", ()))
