"""Lineage as W3C PROV-JSON: runs are activities, everything else is an entity."""

from __future__ import annotations

from typing import Any

from muniment.model.ids import urn
from muniment.model.link import Lineage, Link, Node

NAMESPACE = "urn:muniment:"
"""What the prefix ``muniment`` stands for."""
_ACTIVITIES = frozenset(("run",))


def document(lineage: Lineage, project: str) -> dict[str, Any]:
    """The PROV-JSON document of a lineage.

    Args:
        lineage: as it was answered.
        project: slug of the project, for the names of records.
    """
    kinds = {node.id: node.kind for node in lineage.nodes}
    made: dict[str, Any] = {"prefix": {"muniment": NAMESPACE}}
    for node in lineage.nodes:
        family = "activity" if node.kind in _ACTIVITIES else "entity"
        made.setdefault(family, {})[name_of(node, project)] = _attributes(node)
    names = {node.id: name_of(node, project) for node in lineage.nodes}
    for number, link in enumerate(lineage.links):
        relation, upstream, downstream = _relation(link, kinds)
        said: dict[str, Any] = {downstream: names[link.downstream], upstream: names[link.upstream]}
        if link.role:
            said["prov:role"] = link.role
        if relation == "wasInfluencedBy" or link.type not in {"used", "generated"}:
            said["muniment:type"] = link.type
        made.setdefault(relation, {})[f"_:l{number}"] = said
    return made


def name_of(node: Node, project: str) -> str:
    """The qualified name of a record: its URN by id, with the prefix."""
    return "muniment:" + urn(project, node.kind, node.id).removeprefix(NAMESPACE)


def _attributes(node: Node) -> dict[str, Any]:
    said: dict[str, Any] = {"prov:label": node.name, "prov:type": f"muniment:{node.kind}"}
    if node.created_at is not None:
        said["muniment:created_at"] = {"$": node.created_at.isoformat(), "type": "xsd:dateTime"}
    return said


def _relation(link: Link, kinds: dict[str, str]) -> tuple[str, str, str]:
    """(relation, field of the upstream end, field of the downstream end)."""
    up, down = kinds[link.upstream] in _ACTIVITIES, kinds[link.downstream] in _ACTIVITIES
    if down and not up:
        return "used", "prov:entity", "prov:activity"
    if up and not down:
        return "wasGeneratedBy", "prov:activity", "prov:entity"
    if up and down:
        return "wasInformedBy", "prov:informant", "prov:informed"
    if link.type in {"derived_from", "computed_from", "evaluates", "evaluated_on", "consumes_feature", "supersedes"}:
        return "wasDerivedFrom", "prov:usedEntity", "prov:generatedEntity"
    return "wasInfluencedBy", "prov:influencer", "prov:influencee"
