"""What a project holds, as plain documents that can be compared: without positions, and with names for ids."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.search import Query
from muniment_server.services import facets, models, othernames, records, search
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace
from muniment_server.store import points, tables

KINDS = ("experiment", "run", "dataset", "dataset_version", "model", "model_version")


def of(workspace: Workspace, project: str = DEFAULT_PROJECT) -> dict[str, Any]:
    """Everything, by kind and name."""
    scope = workspace.owner_scope
    found: dict[str, list[Any]] = {}
    for kind in KINDS:
        page = search.search(workspace, scope, project, Query(kind=kind, lifecycle="any", limit=10_000))
        assert page.next is None
        found[kind] = getattr(page, f"{kind}s")
    names = {one.id: one.name for kind in ("experiment", "dataset") for one in found[kind]}
    names |= {one.id: _named(one.name, names) for one in found["model"]}
    for kind in ("dataset", "model"):
        for version in found[f"{kind}_version"]:
            at = getattr(version, "digest", None) or version.version
            names[version.id] = (
                version.id if _is_logged(names[getattr(version, kind)]) else (f"{names[getattr(version, kind)]}@{at}")
            )
    made: dict[str, Any] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for one in found[kind]:
            record = one.run if kind == "run" else one
            document = _named({**msgspec.to_builtins(record), "position": 0, "created_at": ""}, names)
            about = {
                "record": {**document, "id": names.get(record.id, record.id)},
                "tags": _named(records.tags_of(workspace, scope, project, record.id).tags, names),
                "facets": _named(msgspec.to_builtins(facets.of_record(workspace, scope, project, record.id)), names),
                "names": [name.name for name in othernames.of_record(workspace, scope, project, record.id).names],
            }
            if kind == "run":
                about |= {"params": one.params, "series": series(workspace, record.id)}
            if kind == "model":
                about["aliases"] = models.get(workspace, scope, project, record.id).aliases
            made[kind][names.get(record.id, record.id)] = about
    made["links"] = _links(workspace, project, names)
    page = search.search(workspace, scope, project, Query(kind="evaluation", limit=10_000))
    made["evaluations"] = {
        one.id: _named([one.model_version, one.dataset_version, one.run, one.metrics], names)
        for one in page.evaluations
    }
    return made


def _is_logged(model: str) -> bool:
    return "/" in model


def _named(value: Any, names: dict[str, str]) -> Any:
    """A document with the names of records in the place of their ids."""
    if isinstance(value, dict):
        return {_named(key, names): _named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if isinstance(value, str):
        for record, name in names.items():
            value = value.replace(record, name)
    return value


def series(workspace: Workspace, run: str) -> dict[str, list[tuple[int, int, str]]]:
    """Every point of a run, values as their exact text."""
    with workspace.store.read() as connection:
        number = connection.execute(
            sa.select(tables.records.c.project_id, tables.records.c.no).where(tables.records.c.id == run)
        ).one()
        found = points.read_series(connection, number.project_id, points.RunPoints(number.no, run), None)
    return {
        key: [
            (step, at, repr(value + 0.0))
            for step, at, value in zip(one.step.tolist(), one.timestamp.tolist(), one.value.tolist(), strict=True)
        ]
        for key, one in sorted(found.items())
    }


def count(workspace: Workspace) -> int:
    """How many points were ever received, repetitions included."""
    with workspace.store.read() as connection:
        return int(connection.execute(sa.select(sa.func.sum(tables.summaries.c.count))).scalar() or 0)


def _links(workspace: Workspace, project: str, names: dict[str, str]) -> list[tuple[str, ...]]:
    ref = workspace.project(workspace.owner_scope, project, search.Permission.READ)
    up, down = tables.records.alias(), tables.records.alias()
    links = tables.links
    query = sa.select(up.c.id, down.c.id, links.c.type, links.c.role).where(
        links.c.project_id == ref.no, links.c.valid_to.is_(None),
        up.c.project_id == ref.no, up.c.no == links.c.upstream,
        down.c.project_id == ref.no, down.c.no == links.c.downstream,
    )  # fmt: skip
    with workspace.store.read() as connection:
        rows = connection.execute(query).all()
    return sorted((names.get(row[0], row[0]), names.get(row[1], row[1]), row[2], row[3]) for row in rows)
