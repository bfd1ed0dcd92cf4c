"""Metrics that are said of a logged model, with or without the data that it was measured on."""

from __future__ import annotations

import asyncio
from typing import Any

from muniment.model.batch import CreateEvaluation, SetFacet
from muniment.model.dataset import DEFAULT_NAMESPACE
from muniment.model.ids import new_id
from muniment.model.search import Query
from muniment_server.api.mlflow.routes import models
from muniment_server.api.mlflow.translate import logged as translate
from muniment_server.api.mlflow.translate.filters import quoted
from muniment_server.api.mlflow.translate.kept import METRICS
from muniment_server.api.mlflow.translate.runs import wire
from muniment_server.api.mlflow.wire.exchange import project_of
from muniment_server.api.routing import Call
from muniment_server.services import search


async def of_models(call: Call, run: str, points: list[dict[str, Any]]) -> list[Any]:
    """The commands that keep what points say of models, besides being points of a run.

    Each request makes one facet of each model, so that a write costs the same however much was measured before; and an
    evaluation for each dataset that is known here.
    """
    by_model: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        if point.get("model_id"):
            by_model.setdefault(point["model_id"], []).append(point)
    commands: list[Any] = []
    for model, mine in by_model.items():
        record = await models.check(call, model)
        name = f"{METRICS}{new_id()}"
        commands.append(SetFacet(record=record, name=name, value=translate.measured(run, mine)))
        for (dataset, digest), metrics in _by_dataset(mine).items():
            version = await _dataset_version(call, dataset, digest)
            if version is not None:
                commands.append(
                    CreateEvaluation(model_version=record, dataset_version=version, run=run, metrics=metrics)
                )
    return commands


def _by_dataset(points: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The values of metrics on each dataset that points name; of a metric that comes twice the latest."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for point in sorted(points, key=lambda point: (point.get("step", 0), point["timestamp"])):
        if point.get("dataset_name") and point.get("dataset_digest"):
            metrics = found.setdefault((point["dataset_name"], point["dataset_digest"]), {})
            metrics[point["key"]] = wire(point["value"])
    return found


async def _dataset_version(call: Call, name: str, digest: str) -> str | None:
    """The version of a dataset that has a digest, if it is known here."""
    where = (
        f"dataset.name = {quoted(name)} AND dataset.namespace = {quoted(DEFAULT_NAMESPACE)} "
        f"AND digest = {quoted(digest)}"
    )  # fmt: skip
    query = Query(kind="dataset_version", where=where, limit=1)
    page = await asyncio.to_thread(search.search, call.workspace, call.scope, project_of(call), query)
    return page.dataset_versions[0].id if page.dataset_versions else None
