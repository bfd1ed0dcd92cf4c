"""What a project has, in the shapes of MLflow: the other way of what an import does.

What MLflow has no place for is left out: notes, jobs, evaluations, other links, facets of other names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from muniment.model import mlflow
from muniment.model.artifact import Artifact, Attachment
from muniment.model.model import ModelVersion
from muniment.model.run import RunData
from muniment.model.search import Query
from muniment_server.annexes.connectors.mlflow import files
from muniment_server.annexes.connectors.mlflow.shapes import (
    Dataset,
    Experiment,
    Input,
    LoggedModel,
    ModelLink,
    ModelMetric,
    Portion,
    RegisteredModel,
    Run,
    Version,
)
from muniment_server.annexes.connectors.mlflow.steps import INPUT, OUTPUT, USED
from muniment_server.annexes.connectors.mlflow.translate import METRICS, STATUS
from muniment_server.policy.access import Scope
from muniment_server.services import details, metrics, models, records, search
from muniment_server.services.details import RunDetails, Used
from muniment_server.services.workspace import Workspace

PAGE = 500
"""Records in one page."""


class Holdings:
    """One project as MLflow would have it.

    Args:
        workspace: the store.
        scope: who exports.
        project: which.
    """

    def __init__(self, workspace: Workspace, scope: Scope, project: str) -> None:
        self.workspace, self.scope, self.project = workspace, scope, project

    def _found(self, kind: Any, *order: str) -> Iterator[list[Any]]:
        """Records of a kind in pages, deleted ones included."""
        query = Query(kind=kind, order_by=list(order), limit=PAGE, lifecycle="any")
        while True:
            page = search.search(self.workspace, self.scope, self.project, query)
            yield getattr(page, f"{kind}s")
            if page.next is None:
                return
            query = msgspec.structs.replace(query, page=page.next)

    def _tags(self, record: str) -> dict[str, str]:
        return records.tags_of(self.workspace, self.scope, self.project, record).tags

    def experiments(self) -> list[Experiment]:
        """All experiments, the oldest first."""
        found = []
        for page in self._found("experiment", "created_at"):
            kept = [one for one in page if one.lifecycle != "erased"]
            about = details.of(self.workspace, self.scope, self.project, kept, mlflow.FACET)
            for one, detail in zip(kept, about, strict=True):
                said = detail.facets.get(mlflow.FACET, {})
                found.append(
                    Experiment(
                        id=one.id, name=one.name, location=said.get("artifact_location", ""), lifecycle=one.lifecycle,
                        tags=detail.tags,
                    )
                )  # fmt: skip
        return found

    def runs(self) -> Iterator[list[Run]]:
        """All runs, those that began first before those that began later, in pages."""
        for page in self._found("run", "started_at", "created_at"):
            kept = [one for one in page if one.run.lifecycle != "erased"]
            ids = [one.run.id for one in kept]
            about = details.of_runs(self.workspace, self.scope, self.project, ids, mlflow.FACET)
            yield [_run(one, detail) for one, detail in zip(kept, about, strict=True)]

    def points(self, run: str) -> Portion:
        """All points of a run."""
        found = metrics.recorded(self.workspace, self.scope, self.project, run, None)
        series = list(found.values())
        empty = np.empty(0, np.int64)
        sizes = [len(one.step) for one in series]
        return Portion(
            run, list(found), np.repeat(np.arange(len(series), dtype=np.int64), sizes),
            np.concatenate([empty, *(one.step for one in series)]),
            np.concatenate([empty, *(one.timestamp for one in series)]),
            np.concatenate([np.empty(0, np.float64), *(one.value for one in series)]),
        )  # fmt: skip

    def artifacts(self, record: str) -> list[Attachment]:
        """The artifacts of a run, or of the version that is a logged model."""
        return files.of_record(self.workspace, self.scope, self.project, record)

    def bytes_of(self, artifact: Artifact) -> Iterator[bytes]:
        """The bytes of an artifact, in pieces."""
        return files.pieces_of(self.workspace, artifact)

    def models(self) -> Iterator[tuple[RegisteredModel, list[Version]]]:
        """All models that are no families of logged models, with their versions; without deleted ones."""
        for model in (one for page in self._found("model", "name") for one in page if one.lifecycle == "active"):
            tags = self._tags(model.id)
            if mlflow.FAMILY_TAG in tags:
                continue
            found = models.get(self.workspace, self.scope, self.project, model.id)
            versions = [one for one in found.versions if one.lifecycle == "active"]
            numbers = {one.version for one in versions}
            aliases = {name: number for name, number in sorted(found.aliases.items()) if number in numbers}
            yield (
                RegisteredModel(name=model.name, description=model.description, tags=tags, aliases=aliases),
                [self._version(model.name, one, facets) for one, facets in self._about(versions)],
            )

    def _about(self, versions: list[ModelVersion]) -> Iterator[tuple[ModelVersion, dict[str, Any]]]:
        """Versions with their facets by name."""
        about = details.of(self.workspace, self.scope, self.project, versions, mlflow.FACET)
        for one, detail in zip(versions, about, strict=True):
            yield one, detail.facets

    def _version(self, model: str, one: ModelVersion, facets: Mapping[str, Any]) -> Version:
        said = facets.get(mlflow.FACET, {})
        return Version(
            name=model, version=one.version, description=one.description, stage=mlflow.STAGE_NAMES[one.stage],
            source=one.uri or "", run=one.run or said.get("run_id"), run_link=said.get("run_link", ""),
            tags=self._tags(one.id),
        )  # fmt: skip

    def logged_models(self) -> Iterator[LoggedModel]:
        """All logged models, the oldest first."""
        found = []
        for model in (one for page in self._found("model", "name") for one in page if one.lifecycle != "erased"):
            experiment = self._tags(model.id).get(mlflow.FAMILY_TAG)
            if experiment is None:
                continue
            kept = models.get(self.workspace, self.scope, self.project, model.id).versions
            for one, facets in self._about([one for one in kept if one.lifecycle != "erased"]):
                found.append(_logged_model(one, facets, experiment, model.name, self._tags(one.id)))
        yield from sorted(found, key=lambda one: (one.created or 0, one.id))


def _run(found: RunData, about: RunDetails) -> Run:
    run, said = found.run, about.facets.get(mlflow.FACET, {})
    started = None if run.started_at is None else mlflow.milliseconds(run.started_at)
    ended = None if run.ended_at is None else mlflow.milliseconds(run.ended_at)
    return Run(
        id=run.id, experiment=run.experiment, name=run.name, user=run.user, status=mlflow.STATUSES[run.state],
        started=said.get("start_time", started), ended=said.get("end_time", ended), lifecycle=run.lifecycle,
        location=said.get("artifact_uri", ""), params=found.params, tags=found.tags,
        inputs=[_input(used, about.facets) for used in about.datasets],
        models_in=[
            *(ModelLink(model=mlflow.model_id(model)) for model in about.models),
            *(ModelLink(model=one["model_id"]) for name, one in about.facets.items() if name.startswith(USED)),
        ],
        models_out=[
            ModelLink(model=one["model_id"], step=one.get("step", 0))
            for name, one in about.facets.items() if name.startswith(OUTPUT)
        ],
    )  # fmt: skip


def _input(used: Used, facets: Mapping[str, Any]) -> Input:
    digest = used.version.digest or used.version.version
    said = facets.get(f"{mlflow.FACET}/{used.version.id}") or used.facets.get(mlflow.FACET) or _described(used)
    tags = {mlflow.CONTEXT: used.role} if used.role else {}
    return Input(
        dataset=Dataset(
            name=used.dataset.name, digest=digest, source_type=said.get("source_type", ""),
            source=said.get("source", ""), schema=said.get("schema", ""), profile=said.get("profile", ""),
        ),
        tags={**tags, **facets.get(f"{INPUT}{used.version.id}", {})},
    )  # fmt: skip


def _described(used: Used) -> dict[str, str]:
    """A dataset that MLflow has not described, as it would."""
    version = used.version
    source = version.sources[0] if version.sources else None
    spec = [{"type": column.type or "unknown", "name": column.name} for column in version.schema]
    return {
        "source_type": (source.format if source is not None and source.format else "") or "unknown",
        "source": msgspec.json.encode({"uri": "" if source is None else source.uri}).decode(),
        "schema": msgspec.json.encode({"mlflow_colspec": spec}).decode() if spec else "",
        "profile": "" if version.rows is None else msgspec.json.encode({"num_rows": version.rows}).decode(),
    }


def _logged_model(
    one: ModelVersion, facets: Mapping[str, Any], experiment: str, family: str, tags: dict[str, str]
) -> LoggedModel:
    said = facets.get(mlflow.FACET, {})
    return LoggedModel(
        id=mlflow.model_id(one.id), experiment=experiment, name=said.get("name") or family.partition("/")[2],
        location=one.uri or "", created=said.get("creation_time", mlflow.milliseconds(one.created_at)),
        status=said.get("status", "READY").removeprefix(STATUS), status_message=said.get("status_message", ""),
        lifecycle=one.lifecycle, type=said.get("model_type", ""), run=one.run or said.get("source_run_id", ""),
        params=said.get("params", {}), tags=tags,
        metrics=[
            ModelMetric(
                key=point["key"], value=point["value"], timestamp=point["timestamp"], step=point.get("step", 0),
                run=measured["run_id"], dataset_name=point.get("dataset_name"),
                dataset_digest=point.get("dataset_digest"),
            )
            for name, measured in facets.items() if name.startswith(METRICS)
            for point in measured["points"]
        ],
    )  # fmt: skip


def exact(value: float) -> float | str:
    """A double as MLflow's API takes it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
