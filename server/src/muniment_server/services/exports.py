"""What is recorded, in the forms that others read: PROV-JSON, Graphviz, Croissant, a model card."""

from __future__ import annotations

from typing import Any

from muniment.model import croissant, graphviz, prov
from muniment.model.card import card
from muniment.model.ids import urn
from muniment.model.link import LineageQuery
from muniment_server.policy.access import Scope
from muniment_server.services import catalog, lineage, reports
from muniment_server.services.references import resolve_version
from muniment_server.services.workspace import Workspace
from muniment_server.store.reader import Reader


def as_prov(workspace: Workspace, scope: Scope, project: str, record: str, query: LineageQuery) -> dict[str, Any]:
    """A lineage as W3C PROV-JSON."""
    return prov.document(lineage.asked(workspace, scope, project, record, query), project)


def as_picture(workspace: Workspace, scope: Scope, project: str, record: str, query: LineageQuery) -> str:
    """A lineage as Graphviz DOT."""
    return graphviz.picture(lineage.asked(workspace, scope, project, record, query))


def as_croissant(
    workspace: Workspace, scope: Scope, project: str, dataset: str, version: str, as_of: int | str | None = None
) -> dict[str, Any]:
    """A dataset version as Croissant."""

    def ask(reader: Reader) -> dict[str, Any]:
        found: tuple[Any, Any] = resolve_version(reader, dataset, "dataset", version)
        owner, made = (held.record for held in found)
        url = urn(project, "dataset", owner.namespace, owner.name, version=made.version)
        return croissant.document(owner, made, url)

    return catalog.read(workspace, scope, project, as_of, ask)


def as_card(
    workspace: Workspace, scope: Scope, project: str, model: str, version: str, as_of: int | str | None = None
) -> str:
    """A model version's card in Markdown."""
    return card(reports.reproducibility(workspace, scope, project, model, version, as_of))
