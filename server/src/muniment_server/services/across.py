"""Questions to all projects that the caller may read: each is asked by itself, and the answers are put together."""

from __future__ import annotations

import msgspec

from muniment.model.errors import InvalidInput
from muniment.model.ids import parse_urn
from muniment.model.link import Direction, Link, Node, WorkspaceLineage, WorkspaceLineageQuery
from muniment.model.names import check_slug
from muniment.model.search import Page, Query, WorkspacePage, WorkspaceQuery
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog, lineage, search
from muniment_server.services.workspace import Workspace
from muniment_server.store import projects
from muniment_server.store.reader import Reader


def _check_time(as_of: int | str | None) -> None:
    if isinstance(as_of, int) or (isinstance(as_of, str) and as_of.isdigit()):
        raise InvalidInput(
            "as_of over several projects is a time such as 2026-01-31T12:00:00Z; a position is of one project",
            field="as_of",
        )


def search_all(workspace: Workspace, scope: Scope, query: WorkspaceQuery) -> WorkspacePage:
    """The first page of a search in each project."""
    _check_time(query.as_of)
    if query.page is not None:
        raise InvalidInput("page is of one project; ask it at /v1/projects/PROJECT/search", field="page")
    scope.require(Permission.READ)
    slugs = None if query.projects is None else [check_slug(slug, "projects") for slug in query.projects]
    if slugs is None:
        with workspace.store.read() as connection:
            slugs = [project.slug for _, project in projects.every(connection, scope)]
    asked = Query(**{name: getattr(query, name) for name in Query.__struct_fields__})
    pages: dict[str, Page] = {slug: search.search(workspace, scope, slug, asked) for slug in slugs}
    return WorkspacePage(pages=pages)


class _Gathered(msgspec.Struct):
    """What was found so far, by id."""

    nodes: dict[str, Node] = {}
    links: dict[tuple[str, str, str, str, str | None], Link] = {}
    positions: dict[str, int] = {}
    truncated: bool = False


def lineage_of(workspace: Workspace, scope: Scope, query: WorkspaceLineageQuery) -> WorkspaceLineage:
    """What a record descends from, or what descends from it, over projects."""
    _check_time(query.as_of)
    slug = check_slug(parse_urn(query.record).project, "record")
    made = _Gathered()
    waiting = [(slug, query.record, 0)]
    asked: dict[tuple[str, str], int] = {}
    root = ""
    while waiting:
        slug, record, depth = waiting.pop(0)
        if asked.get((slug, record), query.depth + 1) <= depth:
            continue
        asked[slug, record] = depth
        found = lineage.lineage(
            workspace, scope, slug, record, direction=query.direction, depth=query.depth - depth,
            limit=query.limit, as_of=query.as_of,
        )  # fmt: skip
        root = root or found.root
        made.positions[slug] = found.position
        made.truncated = made.truncated or found.truncated
        stands = [node.id for node in found.nodes if node.kind == "foreign"]
        abroad = _abroad(workspace, scope, slug, stands, query.as_of)
        real = {stand: there for stand, (_, there) in abroad.items()}
        for node in found.nodes:
            at = node.depth + depth
            if node.id in abroad:
                waiting.append((abroad[node.id][0], abroad[node.id][1], at))
            elif node.id not in made.nodes or made.nodes[node.id].depth > at:
                made.nodes[node.id] = msgspec.structs.replace(node, depth=at, project=slug)
        for link in found.links:
            upstream, downstream = real.get(link.upstream, link.upstream), real.get(link.downstream, link.downstream)
            joined = msgspec.structs.replace(link, upstream=upstream, downstream=downstream)
            made.links.setdefault((upstream, downstream, link.type, link.role, link.run), joined)
        if len(made.nodes) > query.limit:
            made.truncated = True
            break
    return _answer(made, root, query)


def _abroad(
    workspace: Workspace, scope: Scope, slug: str, stands: list[str], as_of: str | None
) -> dict[str, tuple[str, str]]:
    """(project, record) of those foreign records whose project the caller may read, by what stands for them."""
    if not stands:
        return {}

    def ask(reader: Reader) -> dict[str, tuple[str, str]]:
        found = {}
        for stand, record in reader.by_ids("foreign", stands).items():
            there = projects.slug_of_id(reader.connection, scope, record.project)
            if there is not None:
                found[stand] = (there, record.record)
        return found

    return catalog.read(workspace, scope, slug, as_of, ask)


def _answer(made: _Gathered, root: str, query: WorkspaceLineageQuery) -> WorkspaceLineage:
    kinds = None if query.kinds is None else frozenset(query.kinds.split(","))
    nodes = sorted(made.nodes.values(), key=lambda node: (node.depth, node.kind, node.name, node.id))[: query.limit]
    shown = {node.id for node in nodes if kinds is None or node.kind in kinds}
    direction: Direction = query.direction
    return WorkspaceLineage(
        root=root,
        direction=direction,
        nodes=[node for node in nodes if node.id in shown],
        links=[link for link in made.links.values() if link.upstream in shown and link.downstream in shown],
        truncated=made.truncated,
        positions=made.positions,
    )
