"""Use cases of lineage: walk it, find a way through it, compare two ancestries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from muniment.model.link import NODES_LIMIT, Direction, Lineage, LineageQuery, Link, Node
from muniment.model.question import AncestryDifference, Path
from muniment.model.reference import short_name
from muniment_server.policy.access import Scope
from muniment_server.services import catalog
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Workspace
from muniment_server.store import links, projects
from muniment_server.store.reader import Reader

DEPTH = 1_000
"""Links followed at the most where nobody says how many."""
_HIDDEN = "a record of another project"
"""What is said of one that the caller may not know of."""


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
        nodes = nodes_of(reader, found.depths, known, kinds)
        shown = {node.id for node in nodes}
        return Lineage(
            root=root.record.id,
            direction=direction,
            nodes=nodes,
            links=[link for link in _links(found, known) if link.upstream in shown and link.downstream in shown],
            truncated=found.truncated,
            position=reader.position,
        )

    return catalog.read(workspace, scope, project, as_of, ask)


def asked(workspace: Workspace, scope: Scope, project: str, record: str, query: LineageQuery) -> Lineage:
    """The lineage that a query asks for."""
    return lineage(
        workspace, scope, project, record,
        direction=query.direction, depth=query.depth, limit=query.limit,
        kinds=None if query.kinds is None else frozenset(query.kinds.split(",")), as_of=query.as_of,
    )  # fmt: skip


def nodes_of(
    reader: Reader, depths: dict[int, int], known: dict[int, tuple[str, str]], kinds: frozenset[str] | None = None
) -> list[Node]:
    """Records as a graph shows them, nearest first."""
    by_kind: dict[str, list[int]] = {}
    for number in depths:
        by_kind.setdefault(known[number][1], []).append(number)
    records: dict[int, Any] = {}
    for kind, numbers in by_kind.items():
        if kinds is None or kind in kinds:
            records.update(reader.names(kind, numbers))
            erased = [number for number in numbers if number not in records]
            if erased:  # of what was erased since then, the past keeps nothing but that it was there
                present = Reader(reader.connection, reader.scope, reader.project_id, None)
                records.update(present.names(kind, erased))
    owners = owners_of(reader, records.values())
    hidden = {
        number for number, record in records.items()
        if known[number][1] == "foreign" and not projects.sees(reader.connection, reader.scope, record.project)
    }  # fmt: skip
    made = [
        Node(
            id=known[number][0],
            kind=known[number][1],
            name=_HIDDEN if number in hidden else display_name(known[number][1], records[number], owners),
            depth=depth,
            created_at=records[number].created_at,
        )
        for number, depth in depths.items()
        if number in records
    ]
    return sorted(made, key=lambda node: (node.depth, node.kind, node.name, node.id))


def owners_of(reader: Reader, records: Iterable[Any]) -> dict[str, Any]:
    """The datasets and models whose versions are among some records, by id."""
    wanted: dict[str, set[str]] = {"dataset": set(), "model": set()}
    for record in records:
        for kind, ids in wanted.items():
            owner = getattr(record, kind, None)
            if isinstance(owner, str):
                ids.add(owner)
    found: dict[str, Any] = {}
    for kind, ids in wanted.items():
        found.update(reader.by_ids(kind, ids))
        erased = ids - found.keys()
        if erased:  # of them, too, the past keeps nothing
            present = Reader(reader.connection, reader.scope, reader.project_id, None)
            found.update(present.by_ids(kind, erased))
    return found


def display_name(kind: str, record: Any, owners: dict[str, Any]) -> str:
    """How a record is called: its short name, or what it is called by people."""
    if kind == "dataset_version":
        owner = owners[record.dataset]
        return short_name("dataset", (owner.namespace, owner.name), record.version)
    if kind == "model_version":
        return short_name("model", (owners[record.model].name,), record.version)
    if kind == "foreign":
        return str(record.urn)
    if kind in {"dataset", "job"}:
        return short_name(kind, (record.namespace, record.name))
    return str(getattr(record, "name", None) or getattr(record, "title", None) or record.id)


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


def path(
    workspace: Workspace, scope: Scope, project: str, first: str, last: str, as_of: int | str | None = None
) -> Path:
    """How data came from one record to another."""

    def ask(reader: Reader) -> Path:
        start, end = resolve(reader, first, None, "from"), resolve(reader, last, None, "to")
        found = links.walk(
            reader.connection, reader.project_id, end.no, "upstream",
            depth=DEPTH, limit=NODES_LIMIT, as_of=reader.as_of, goal=start.no,
        )  # fmt: skip
        if start.no not in found.depths:
            return Path(nodes=[], links=[], truncated=found.truncated, position=reader.position)
        leaving: dict[int, list[Any]] = {}
        for row in found.links:
            leaving.setdefault(row[1], []).append(row)
        way: list[Any] = []
        at = start.no
        while at != end.no:  # every record that was found has a link to one that is a step nearer to the end
            step = next(row for row in leaving[at] if found.depths[row[0]] == found.depths[at] - 1)
            way.append(step)
            at = step[0]
        part = links.Found({start.no: 0, **{row[0]: number for number, row in enumerate(way, 1)}}, way, truncated=False)
        known = links.records_of(reader.connection, reader.project_id, part)
        nodes = sorted(nodes_of(reader, part.depths, known), key=lambda node: node.depth)
        return Path(nodes=nodes, links=_links(part, known), truncated=False, position=reader.position)

    return catalog.read(workspace, scope, project, as_of, ask)


def difference(
    workspace: Workspace, scope: Scope, project: str, first: str, second: str, as_of: int | str | None = None
) -> AncestryDifference:
    """What only one of two records descends from."""

    def ask(reader: Reader) -> AncestryDifference:
        walks = [
            links.walk(
                reader.connection, reader.project_id, resolve(reader, text, None, field).no, "upstream",
                depth=DEPTH, limit=NODES_LIMIT, as_of=reader.as_of,
            )
            for text, field in ((first, "first"), (second, "second"))
        ]  # fmt: skip
        common = walks[0].depths.keys() & walks[1].depths.keys()
        shown: list[list[Node]] = []
        for found in walks:
            only = {number: depth for number, depth in found.depths.items() if number not in common}
            known = links.records_of(reader.connection, reader.project_id, links.Found(only, [], truncated=False))
            shown.append(nodes_of(reader, only, known))
        return AncestryDifference(
            only_first=shown[0], only_second=shown[1], common=len(common),
            truncated=any(found.truncated for found in walks), position=reader.position,
        )  # fmt: skip

    return catalog.read(workspace, scope, project, as_of, ask)
