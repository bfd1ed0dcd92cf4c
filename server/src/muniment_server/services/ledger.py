"""Use cases of history: changes, revisions, entries, proofs."""

from __future__ import annotations

from muniment.model.errors import Conflict, InvalidInput, NotFound
from muniment.model.ids import parse_id
from muniment.model.ledger import (
    Change,
    ChangeData,
    Changes,
    ConsistencyProof,
    Entry,
    InclusionProof,
    PointsChange,
    Revision,
    RevisionBody,
    Seal,
)
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import moments
from muniment_server.services.workspace import ProjectRef, Workspace
from muniment_server.store import heads, ledger, tiles
from muniment_server.store import records as records_store

PAGE = 1_000
"""Entries in one page."""


def entries(workspace: Workspace, scope: Scope, project: str, *, after: int = 0, limit: int = PAGE) -> list[Entry]:
    """Entries after a position, without their content."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        until = min(after + min(limit, PAGE), heads.read(connection, ref.no).position)
        return [_entry(found) for found in ledger.entries(connection, ref.no, after, until)]


def _entry(found: ledger.Located) -> Entry:
    return Entry(
        position=found.position,
        time=found.time,
        actor=found.actor,
        action=found.action,
        kind=found.kind,
        payload_hash=found.payload_hash.hex(),
        leaf=found.leaf.hex(),
    )


def history(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    *,
    after: int = 0,
    limit: int = PAGE,
    as_of: int | str | None = None,
) -> list[Revision]:
    """What happened to one record, oldest first."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        at = moments.position(connection, ref.no, as_of)
        number = records_store.number_of(connection, scope, ref.no, parse_id(record, field="record"))
        return ledger.history(connection, ref.no, number, after=after, limit=min(limit, PAGE), as_of=at)


def changes(workspace: Workspace, scope: Scope, project: str, *, after: str = "0", limit: int = PAGE) -> Changes:
    """A page of the change feed."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        head = heads.read(connection, ref.no).position
        start = cursor_position(ref, after, head)
        until = min(start + max(1, min(limit, PAGE)), head)
        found = ledger.entries(connection, ref.no, start, until)
        bodies = ledger.revisions_between(connection, ref.no, start, until)
    made = [_change(ref, entry, bodies.get(entry.position, [])) for entry in found]
    return Changes(changes=made, next=cursor(ref, until), position=head)


def cursor(ref: ProjectRef, position: int) -> str:
    """The opaque place in a project's feed."""
    return f"{ref.id[-12:]}-{position}"


def cursor_position(ref: ProjectRef, text: str, head: int) -> int:
    """The position of a cursor; a bare number is one too.

    Raises:
        InvalidInput: it is of another project, or no cursor.
    """
    prefix, dash, digits = text.rpartition("-")
    if dash and prefix != ref.id[-12:]:
        raise InvalidInput(f"the cursor {text[:60]!r} is of another project", field="after")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise InvalidInput(f"{text[:60]!r} is no cursor; start with 0 and go on with `next`", field="after")
    if int(digits) > head:
        raise InvalidInput(f"the cursor {text[:60]!r} is beyond this project's latest position {head}", field="after")
    return int(digits)


def _change(ref: ProjectRef, entry: ledger.Located, bodies: list[object]) -> Change:
    revisions = [
        RevisionBody(kind=row.kind, record=row.id, body=ledger.body_of(row.body))  # type: ignore[attr-defined]
        for row in bodies
    ]
    points = PointsChange(run=entry.run, count=entry.count) if entry.run is not None else None
    return Change(
        specversion="1.0",
        id=cursor(ref, entry.position),
        source=f"urn:muniment:{ref.slug}",
        type=f"muniment.{entry.action}",
        time=entry.time,
        datacontenttype="application/json",
        data=ChangeData(position=entry.position, actor=entry.actor, revisions=revisions, points=points),
    )


def inclusion(workspace: Workspace, scope: Scope, project: str, position: int) -> InclusionProof:
    """The proof that an entry is under the latest seal."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        seal = tiles.latest_seal(connection, ref.no, ref.id)
        if position < 1 or position > heads.read(connection, ref.no).position:
            raise NotFound(f"this project has no entry {position}", field="position")
        if seal is None or position > seal.size:
            raise Conflict(f"entry {position} is not sealed yet; sealing follows within seconds", field="position")
        leaf, path = tiles.inclusion(connection, ref.no, position, seal.size)
    return InclusionProof(position=position, leaf=leaf.hex(), path=[step.hex() for step in path], seal=seal)


def consistency(workspace: Workspace, scope: Scope, project: str, first: int, second: int | None) -> ConsistencyProof:
    """The proof that the history of `first` entries is the beginning of that of `second`, or of the latest seal's."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        seal = tiles.latest_seal(connection, ref.no, ref.id)
        size = seal.size if seal is not None else 0
        second = size if second is None else second
        if not 0 < first <= second <= size:
            raise InvalidInput(f"sizes go from 1 to the sealed {size}, the first not after the second", field="first")
        first_root, second_root, path = tiles.consistency(connection, ref.no, first, second)
    return ConsistencyProof(
        first=first, first_root=first_root.hex(), second=second, second_root=second_root.hex(),
        path=[step.hex() for step in path],
    )  # fmt: skip


def seals(workspace: Workspace, scope: Scope, project: str, *, after: int = 0, limit: int = PAGE) -> list[Seal]:
    """The seals of a project after a seal number."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        return tiles.seals(connection, ref.no, ref.id, after=after, limit=min(limit, PAGE))
