"""Use cases of links: record them, end them, walk them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.link import Direction, Lineage, Link, NewLink, Node
from muniment.model.names import check_text
from muniment.model.reference import short_name
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import heads, links
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt

LINKS_LIMIT = 10_000
"""Links in one request."""
ROLE_LIMIT = 250


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to links."""

    changed: int
    """How many were new, or ended."""
    position: int
    """Everything that was asked for is recorded at or before this position."""


def add(
    workspace: Workspace, scope: Scope, project: str, given: Sequence[NewLink], receipt: Receipt | None = None
) -> Change[Linked]:
    """Prepare links. Those that hold already stay as they are."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check(given)

    def act(draft: Draft) -> Linked:
        count = sum(add_in(draft, link, index) for index, link in enumerate(given))
        return Linked(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "link.add", act, receipt)


def remove(
    workspace: Workspace, scope: Scope, project: str, given: Sequence[NewLink], receipt: Receipt | None = None
) -> Change[Linked]:
    """Prepare the end of links; the past keeps them."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check(given)

    def act(draft: Draft) -> Linked:
        count = 0
        for index, link in enumerate(given):
            upstream, downstream, run = _ends(draft, link, index)
            count += draft.remove_link(upstream, downstream, link.type, link.role, run)
        return Linked(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "link.remove", act, receipt)


def check(given: Sequence[NewLink]) -> None:
    """Check what can be checked without the store."""
    if not given:
        raise InvalidInput("links is empty: there is nothing to do", field="links")
    if len(given) > LINKS_LIMIT:
        raise TooLarge(f"{len(given):,} links in one request; the limit is {LINKS_LIMIT:,}", field="links")
    for index, link in enumerate(given):
        check_text(link.role, f"links[{index}].role", ROLE_LIMIT)


def add_in(draft: Draft, link: NewLink, index: int = 0) -> bool:
    """Record a link in a draft; whether it is news."""
    upstream, downstream, run = _ends(draft, link, index)
    return draft.add_link(upstream, downstream, link.type, link.role, run, link.source)


def _ends(draft: Draft, link: NewLink, index: int) -> tuple[Held, Held, Held | None]:
    upstream = resolve(draft, link.upstream, None, f"links[{index}].upstream")
    downstream = resolve(draft, link.downstream, None, f"links[{index}].downstream")
    if upstream.no == downstream.no:
        raise InvalidInput(f"links[{index}] joins a record to itself", field=f"links[{index}].downstream")
    run = None if link.run is None else resolve(draft, link.run, "run", f"links[{index}].run")
    return upstream, downstream, run


def lineage(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    *,
    direction: Direction,
    depth: int,
    limit: int,
    kinds: frozenset[str] | None = None,
    as_of: int | str | None = None,
) -> Lineage:
    """What a record descends from, or what descends from it.

    Args:
        workspace: the opened store.
        scope: who asks.
        project: slug of the project.
        record: a reference to the record.
        direction: against the flow of data, or with it.
        depth: links to follow at the most.
        limit: records to answer at the most.
        kinds: kinds to answer; others are passed through.
        as_of: when.
    """

    def ask(reader: Reader) -> Lineage:
        root = resolve(reader, record, None, "record")
        found = links.walk(
            reader.connection, reader.project_id, root.no, direction, depth=depth, limit=limit, as_of=reader.as_of
        )
        known = links.records_of(reader.connection, reader.project_id, found)
        nodes = _nodes(reader, found, known, kinds)
        shown = {node.id for node in nodes}
        position = reader.as_of
        if position is None:
            position = heads.read(reader.connection, reader.project_id).position
        return Lineage(
            root=root.record.id,
            direction=direction,
            nodes=nodes,
            links=[link for link in _links(found, known) if link.upstream in shown and link.downstream in shown],
            truncated=found.truncated,
            position=position,
        )

    return catalog.read(workspace, scope, project, as_of, ask)


def _nodes(
    reader: Reader, found: links.Found, known: dict[int, tuple[str, str]], kinds: frozenset[str] | None
) -> list[Node]:
    by_kind: dict[str, list[int]] = {}
    for number in found.depths:
        by_kind.setdefault(known[number][1], []).append(number)
    records: dict[int, Any] = {}
    for kind, numbers in by_kind.items():
        if kinds is None or kind in kinds:
            records.update(reader.numbered(kind, numbers))
    owners = _owners(reader, records.values())
    made = [
        Node(
            id=known[number][0],
            kind=known[number][1],
            name=display_name(known[number][1], records[number], owners),
            depth=depth,
            created_at=records[number].created_at,
        )
        for number, depth in found.depths.items()
        if number in records
    ]
    return sorted(made, key=lambda node: (node.depth, node.kind, node.name, node.id))


def _owners(reader: Reader, records: Any) -> dict[str, Any]:
    """The datasets and models whose versions are among some records, by id."""
    wanted: dict[str, set[str]] = {"dataset": set(), "model": set()}
    for record in records:
        for kind, ids in wanted.items():
            owner = getattr(record, kind, None)
            if isinstance(owner, str):
                ids.add(owner)
    found: dict[str, Any] = {}
    for kind, ids in wanted.items():
        found.update({owner: held.record for owner in ids if (held := reader.find(kind, owner)) is not None})
    return found


def display_name(kind: str, record: Any, owners: dict[str, Any]) -> str:
    """How a record is called: its short name, or what it is called by people."""
    if kind == "dataset_version":
        owner = owners.get(record.dataset)
        return short_name("dataset", (owner.namespace, owner.name), record.version) if owner else record.version
    if kind == "model_version":
        owner = owners.get(record.model)
        return short_name("model", (owner.name,), record.version) if owner else str(record.version)
    if kind in {"dataset", "job"}:
        return short_name(kind, (record.namespace, record.name))
    return str(getattr(record, "name", record.id))


def _links(found: links.Found, known: dict[int, tuple[str, str]]) -> list[Link]:
    return [
        Link(
            upstream=known[upstream][0],
            downstream=known[downstream][0],
            type=type_,  # type: ignore[arg-type]
            role=role,
            run=known[run][0] if run else None,
            source=source,  # type: ignore[arg-type]
            position=position,
        )
        for downstream, upstream, type_, role, run, source, position in found.links
        if upstream in known and downstream in known
    ]
