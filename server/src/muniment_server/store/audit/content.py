"""Whether entries hold the content that they name, and whether anything lies outside the sequence of entries."""

from __future__ import annotations

import sqlalchemy as sa

from muniment.model.canonical import canonical, salted
from muniment.model.ledger import derived_salt
from muniment_server.store.audit import reached
from muniment_server.store.audit.erasures import Erasures
from muniment_server.store.tables import ledger, points, records, revisions, segments

_FIRST = (ledger.c.position, revisions.c.position, points.c.position, segments.c.first)
_LAST = (ledger.c.position, revisions.c.position, points.c.position, segments.c.last)


def outside(connection: sa.Connection, project_id: int) -> tuple[int, str, str] | None:
    """(position, table, problem) of what lies before the first position."""
    for column, found in zip(_FIRST, reached(connection, project_id, "min", _FIRST), strict=True):
        if found is not None and found < 1:
            return (found, column.table.name, f"there is something at position {found}; positions begin with 1")
    return None


def last_position(connection: sa.Connection, project_id: int) -> int:
    """The last position at which anything lies."""
    return max(found or 0 for found in reached(connection, project_id, "max", _LAST))


def wrong(
    connection: sa.Connection, project_id: int, after: int, until: int, erasures: Erasures
) -> dict[int, tuple[str, str]]:
    """(table, problem) of each commands entry whose payload or revisions are not what it names."""
    found: dict[int, tuple[str, str]] = {}
    named = _revisions(connection, project_id, after, until, erasures, found)
    query = sa.select(ledger).where(
        ledger.c.project_id == project_id, ledger.c.position > after, ledger.c.position <= until
    )
    seen = set()
    for row in connection.execute(query):
        seen.add(row.position)
        if salted(row.salt, row.payload) != row.payload_hash:
            found[row.position] = ("ledger", "the payload does not match its hash")
        elif canonical({"revisions": named.get(row.position, [])}) != row.payload:
            found.setdefault(row.position, ("revisions", "the revisions are not those that the entry names"))
    for position in set(named) - seen:
        found.setdefault(position, ("revisions", "there are revisions without an entry"))
    return found


def _revisions(
    connection: sa.Connection,
    project_id: int,
    after: int,
    until: int,
    erasures: Erasures,
    found: dict[int, tuple[str, str]],
) -> dict[int, list[list[str]]]:
    query = (
        sa.select(revisions, records.c.id, records.c.salt, records.c.kind.label("registered"))
        .join(
            records,
            sa.and_(records.c.project_id == revisions.c.project_id, records.c.no == revisions.c.record),
            isouter=True,
        )
        .where(revisions.c.project_id == project_id, revisions.c.position > after, revisions.c.position <= until)
        .order_by(revisions.c.position, revisions.c.record)
    )
    named: dict[int, list[list[str]]] = {}
    for row in connection.execute(query):
        if row.id is None or row.registered != row.kind:
            found[row.position] = ("records", "a revision is of a record that is not registered as such")
            continue
        named.setdefault(row.position, []).append([row.kind, row.id, row.hash.hex()])
        if row.body is None:
            if not erasures.of_revision(row.id, row.position):
                found[row.position] = ("revisions", "a revision is gone, and no erasure removed it")
        elif salted(derived_salt(row.salt or b"", row.position), row.body.encode()) != row.hash:
            found[row.position] = ("revisions", f"the revision of {row.kind} {row.id} does not match its hash")
    return named
