"""What is recorded, in the forms that others read: PROV-JSON, Graphviz, Croissant, a model card."""

from __future__ import annotations

from typing import Any

from muniment.model import croissant, graphviz, prov
from muniment.model.card import card
from muniment.model.errors import NotFound
from muniment.model.ids import urn
from muniment.model.link import Lineage, LineageQuery
from muniment_server.policy.access import Scope
from muniment_server.services import catalog, lineage, reports
from muniment_server.services.references import resolve, version_of
from muniment_server.services.workspace import Workspace
from muniment_server.store.reader import Reader


def _lineage(workspace: Workspace, scope: Scope, project: str, record: str, query: LineageQuery) -> Lineage:
    kinds = None if query.kinds is None else frozenset(query.kinds.split(","))
    return lineage.lineage(
        workspace, scope, project, record,
        direction=query.direction, depth=query.depth, limit=query.limit, kinds=kinds, as_of=query.as_of,
    )  # fmt: skip


def as_prov(workspace: Workspace, scope: Scope, project: str, record: str, query: LineageQuery) -> dict[str, Any]:
    """A lineage as W3C PROV-JSON."""
    return prov.document(_lineage(workspace, scope, project, record, query), project)


def as_picture(workspace: Workspace, scope: Scope, project: str, record: str, query: LineageQuery) -> str:
    """A lineage as Graphviz DOT."""
    return graphviz.picture(_lineage(workspace, scope, project, record, query))


def as_croissant(
    workspace: Workspace, scope: Scope, project: str, dataset: str, version: str, as_of: int | str | None = None
) -> dict[str, Any]:
    """A dataset version as Croissant."""

    def ask(reader: Reader) -> dict[str, Any]:
        held: Any = resolve(reader, dataset, "dataset", "dataset")
        found: Any = version_of(reader, held, "dataset", version)
        if found is None:
            raise NotFound(f"dataset {dataset[:100]} has no version {version[:100]!r}", field="version")
        key = (held.record.namespace, held.record.name)
        url = urn(project, "dataset", *key, version=found.record.version)
        return croissant.document(held.record, found.record, url)

    return catalog.read(workspace, scope, project, as_of, ask)


def as_card(workspace: Workspace, scope: Scope, project: str, version: str, as_of: int | str | None = None) -> str:
    """A model version's card in Markdown."""
    return card(reports.reproducibility(workspace, scope, project, version, as_of))
