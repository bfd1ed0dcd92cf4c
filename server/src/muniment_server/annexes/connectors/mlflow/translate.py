"""What MLflow has, in Muniment's words. Pure."""

from __future__ import annotations

import re
from typing import Any

from muniment.model import mlflow
from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.errors import InvalidInput
from muniment.model.metric import WireNumber, to_wire
from muniment.model.model import NewModel, NewModelVersion
from muniment.model.othername import OtherName
from muniment.model.run import TERMINAL, NewRun
from muniment_server.annexes.connectors.mlflow.shapes import (
    Dataset,
    Experiment,
    LoggedModel,
    RegisteredModel,
    Run,
    Version,
)

STATUS = "LOGGED_MODEL_"
"""How the names of the states of logged models begin in MLflow's API."""
METRICS = f"{mlflow.FACET}.metrics/"
"""How the names of facets of logged models begin that keep what a run measured."""
_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})(?:/|\Z)")


def experiment_name(identity: str, experiment: str) -> OtherName:
    """What MLflow calls an experiment."""
    return OtherName(system=mlflow.SYSTEM, namespace=identity, name=f"experiment/{experiment}")


def experiment_facet(given: Experiment) -> dict[str, Any]:
    """What is kept of an experiment word for word."""
    default = given.location.rstrip("/").endswith(f"/{given.id}")  # where that server puts what nobody gave a place
    return _said({
        "artifact_location": "" if default else given.location, "creation_time": given.created,
        "last_update_time": given.updated,
    })  # fmt: skip


def run_of(given: Run, experiment: str, parent: str | None) -> NewRun:
    """A run without params and tags.

    Args:
        given: the run.
        experiment: id of its experiment here.
        parent: the run that it is part of, if that is here.
    """
    state = mlflow.STATES.get(given.status, "running")
    started = None if given.started is None else mlflow.moment(given.started)
    ended = None if given.ended is None else mlflow.moment(given.ended)
    if started is not None and ended is not None and ended < started:
        ended = started  # clocks differ; the facet keeps what was said
    return NewRun(
        experiment=experiment, id=given.id, name=given.name or given.tags.get(mlflow.RUN_NAME) or None, state=state,
        parent=parent, user=given.user or None, code=mlflow.code_of(given.tags), started_at=started, ended_at=ended,
    )  # fmt: skip


def run_facet(given: Run) -> dict[str, Any]:
    """What is kept of a run word for word: where its artifacts are, and times that a run here cannot have."""
    said: dict[str, Any] = {"artifact_uri": given.location} if given.location else {}
    if given.deleted is not None:
        said["deleted_time"] = given.deleted
    if given.started is None or mlflow.milliseconds(mlflow.moment(given.started)) != given.started:
        said["start_time"] = given.started
    terminal = mlflow.STATES.get(given.status) in TERMINAL
    odd = given.ended is not None and given.started is not None and given.ended < given.started
    if (given.ended is None and terminal) or odd:
        said["end_time"] = given.ended
    return said


def tags_of(given: Run) -> dict[str, str | None]:
    """Tags of a run; its name is none."""
    return {key: value or "" for key, value in given.tags.items() if key != mlflow.RUN_NAME}


def parent_of(given: Run) -> str | None:
    """The run that this one is part of, as its tag says."""
    said = given.tags.get(mlflow.PARENT_RUN, "").lower()
    return said if len(said) == 32 and said != given.id else None


def role_of(tags: dict[str, str]) -> str:
    """The role in which a run read a dataset."""
    return tags.get(mlflow.CONTEXT, "")


def dataset_of(given: Dataset) -> tuple[NewDataset, NewDatasetVersion]:
    """A dataset and its version."""
    return NewDataset(name=given.name), NewDatasetVersion(
        digest=given.digest, sources=mlflow.sources_of(given.source_type, given.source),
        schema=mlflow.columns_of(given.schema), rows=mlflow.rows_of(given.profile),
    )  # fmt: skip


def dataset_facet(given: Dataset) -> dict[str, Any]:
    """What is kept of a dataset word for word."""
    return _said({
        "source_type": given.source_type, "source": given.source, "schema": given.schema, "profile": given.profile,
    })  # fmt: skip


def model_of(given: RegisteredModel) -> NewModel:
    """A registered model."""
    return NewModel(name=given.name, description=given.description or None)


def model_facet(given: RegisteredModel) -> dict[str, Any]:
    """What is kept of a registered model word for word, and the aliases that it had."""
    said = {"creation_time": given.created, "last_updated_time": given.updated}
    return _said(said) | ({"aliases": sorted(given.aliases)} if given.aliases else {})


def version_of(given: Version) -> NewModelVersion:
    """A version of a registered model."""
    run = given.run if given.run and len(given.run) == 32 else None
    return NewModelVersion(
        version=given.version, run=run, uri=given.source or None, stage=mlflow.STAGES.get(given.stage, "none"),
        description=given.description or None,
    )  # fmt: skip


def version_facet(given: Version, *, known_run: bool) -> dict[str, Any]:
    """What is kept of a version word for word.

    Args:
        given: the version.
        known_run: whether its run is here, and linked.
    """
    logged = _LOGGED.match(given.source)
    return _said({
        "creation_time": given.created, "last_updated_time": given.updated, "user_id": given.user,
        "run_id": None if known_run else given.run, "run_link": given.run_link,
        "model_id": None if logged is None else logged[1],
        "version_status": None if given.status == "READY" else given.status, "status_message": given.status_message,
        "storage_location": None if given.location == given.source else given.location,
    })  # fmt: skip


def logged_model_of(given: LoggedModel) -> NewModelVersion:
    """A logged model as the version that it is of the model of its name.

    Raises:
        InvalidInput: its id is none of a logged model.
    """
    found = mlflow.version_id(given.id)
    if found is None:
        raise InvalidInput(f"a logged model's id is m- and 32 hex digits, not {given.id[:80]!r}")
    run = given.run if len(given.run) == 32 else None
    return NewModelVersion(id=found, run=run, uri=given.location or None)


def logged_model_facet(given: LoggedModel, experiment: str) -> dict[str, Any]:
    """What is kept of a logged model word for word.

    Args:
        given: the logged model.
        experiment: the id of its experiment here.
    """
    return {
        "name": given.name, "model_type": given.type, "status": STATUS + given.status, "experiment": experiment,
        "source_run_id": given.run, "params": given.params,
        **_said({
            "creation_time": given.created, "last_updated_time": given.updated, "artifact_uri": given.location,
            "status_message": given.status_message,
        }),
    }  # fmt: skip


def measured(given: LoggedModel) -> dict[str, dict[str, Any]]:
    """What is kept of a logged model's metrics: a document for each run that measured it, by the run's id."""
    order = sorted(given.metrics, key=lambda one: (one.key, one.step, one.timestamp, str(one.value)))
    found: dict[str, dict[str, Any]] = {}
    for one in order:
        said = _said({"dataset_name": one.dataset_name, "dataset_digest": one.dataset_digest})
        point = {"key": one.key, "value": one.value, "timestamp": one.timestamp, "step": one.step, **said}
        found.setdefault(one.run, {"run_id": one.run, "points": []})["points"].append(point)
    return found


def evaluated(given: LoggedModel) -> dict[tuple[str, str, str], dict[str, WireNumber]]:
    """What runs measured of a logged model on datasets: the latest of each metric, by run, dataset and its digest."""
    found: dict[tuple[str, str, str], dict[str, WireNumber]] = {}
    for one in sorted(given.metrics, key=lambda one: (one.step, one.timestamp)):
        if one.dataset_name and one.dataset_digest:
            on = one.run, one.dataset_name, one.dataset_digest
            found.setdefault(on, {})[one.key] = to_wire(float(one.value))
    return found


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """What is not empty."""
    return {name: value for name, value in given.items() if value not in (None, "")}
