"""Runs as MLflow spells them, and what its requests about runs mean here."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from muniment.model.metric import WireNumber
from muniment.model.mlflow import (
    CONTEXT,
    FACET,
    PARENT_RUN,
    RUN_NAME,
    STATES,
    STATUSES,
    code_of,
    milliseconds,
    model_id,
    moment,
)
from muniment.model.run import NewRun, Run, RunChange
from muniment_server.api.mlflow.translate import kept
from muniment_server.api.mlflow.translate.experiments import tags as pairs
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.services.details import RunDetails, Used
from muniment_server.services.snapshots import Last, Snapshot

OUTPUT = f"{FACET}.output/"
"""How the names of facets begin that say at which step a run logged a model."""
USED = f"{FACET}.used/"
"""How the names of facets begin that say that a run read a logged model which it made itself."""
INPUT = f"{FACET}.input/"
"""How the names of facets begin that keep the tags of a dataset that a run used, but for the one that is its role."""
_VALUE = attrgetter("value")


def new_run(given: Mapping[str, Any], tags: dict[str, str], experiment: str, parent: str | None) -> NewRun:
    """What a request to start a run means.

    Args:
        given: its fields.
        tags: among them, by key.
        experiment: the id of the experiment.
        parent: the run that it is nested in, if that is one.
    """
    kept = {key: value for key, value in tags.items() if key != RUN_NAME}
    start = given.get("start_time")
    return NewRun(
        experiment=experiment,
        name=given.get("run_name") or tags.get(RUN_NAME) or None,
        user=given.get("user_id") or None,
        code=code_of(tags),
        parent=parent,
        started_at=None if start is None else moment(start),
        tags=kept,
    )


def change(given: Mapping[str, Any]) -> RunChange:
    """What a request to change a run means."""
    said: dict[str, Any] = {}
    if given.get("run_name"):
        said["name"] = given["run_name"]
    if given.get("status") in STATES:
        said["state"] = STATES[given["status"]]
    if given.get("end_time"):
        said["ended_at"] = moment(given["end_time"])
    return RunChange(**said)


def info(run: Run, place: Place, details: RunDetails | None = None) -> dict[str, Any]:
    """What MLflow tells of a run itself."""
    said = kept.about(details.facets) if details else {}
    made: dict[str, Any] = {
        "run_uuid": run.id,
        "experiment_id": place.number,
        "run_name": run.name,
        "user_id": run.user or "",
        "status": STATUSES[run.state],
        "start_time": milliseconds(run.started_at or run.created_at),
    }
    if run.ended_at is not None:
        made["end_time"] = milliseconds(run.ended_at)
    made["artifact_uri"] = said.get("artifact_uri") or artifact_uri(place, run.id)
    made["lifecycle_stage"] = "active" if run.lifecycle == "active" else "deleted"
    made["run_id"] = run.id
    return made


def artifact_uri(place: Place, run: str) -> str:
    """Where a run's artifacts go."""
    base, mark, rest = place.artifacts.partition("?")
    return f"{base.rstrip('/')}/{run}/artifacts{mark}{rest}"


def to_mlflow(found: Snapshot, place: Place) -> dict[str, Any]:
    """A whole run."""
    run, details = found.data.run, found.about
    data: dict[str, Any] = {}
    if found.data.metrics:
        data["metrics"] = metrics(found.data.metrics)
    if found.data.params:
        data["params"] = found.data.params
    data["tags"] = [*(tag for tag in found.data.tags if tag.key != RUN_NAME), {"key": RUN_NAME, "value": run.name}]
    inputs: dict[str, Any] = {}
    if details.datasets:
        first = {used.version.id: used for used in reversed(details.datasets)}  # one for each version, the first role
        shown = [used for used in details.datasets if first[used.version.id] is used]
        inputs["dataset_inputs"] = [_dataset_input(used, details.facets) for used in shown]
    own = [model for model, _ in kept.outputs(details.facets, USED)]
    if details.models or own:
        inputs["model_inputs"] = [{"model_id": model} for model in (*map(model_id, details.models), *own)]
    outputs = [{"model_id": model, "step": step} for model, step in kept.outputs(details.facets, OUTPUT)]
    return {
        "info": info(run, place, details),
        "data": data,
        "inputs": inputs,
        "outputs": {"model_outputs": outputs} if outputs else {},
    }


def _dataset_input(used: Used, facets: Mapping[str, Any]) -> dict[str, Any]:
    tags = kept.texts(facets.get(f"{INPUT}{used.version.id}"))
    if used.role:
        tags = {CONTEXT: used.role, **tags}
    made: dict[str, Any] = {"tags": pairs(tags)} if tags else {}
    return {**made, "dataset": dataset(used, kept.texts(facets.get(f"{FACET}/{used.version.id}")))}


def dataset(used: Used, by_run: Mapping[str, str] | None = None) -> dict[str, str]:
    """A dataset as it was logged, by this run if it said something else than the first, or as it would have been."""
    said = by_run or kept.about(used.facets)
    source = said.get("source") or next((source.uri for source in used.version.sources), "")
    made = {
        "name": used.dataset.name,
        "digest": used.version.digest or used.version.version,
        "source_type": said.get("source_type", "") or "unknown",
        "source": source,
    }
    for name in ("schema", "profile"):
        if said.get(name):
            made[name] = said[name]
    return made


def metrics(last: Sequence[Last]) -> Sequence[Any]:
    """The last points of series, whose fields have MLflow's names."""
    if math.isfinite(sum(map(_VALUE, last))):  # no NaN and nothing infinite among them
        return last
    return [{"key": one.key, "value": number(one.value), "timestamp": one.timestamp, "step": one.step} for one in last]


def number(value: WireNumber) -> float | str:
    """A metric's value; what is infinite is as large as a double can be."""
    plain = float(value)
    if math.isnan(plain):
        return "NaN"
    return plain if math.isfinite(plain) else math.copysign(sys.float_info.max, plain)


def points(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Points as columns, the fields of our own request."""
    series: dict[str, int] = {}
    key = [series.setdefault(metric["key"], len(series)) for metric in metrics]
    return {
        "series": list(series),
        "key": key,
        "value": [wire(metric["value"]) for metric in metrics],
        "step": [metric.get("step", 0) for metric in metrics],
        "timestamp": [metric["timestamp"] for metric in metrics],
    }


def wire(value: float) -> WireNumber:
    """A double as our own requests spell it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def parent_of(tags: Mapping[str, str]) -> str | None:
    """The run that tags say a run is nested in."""
    return tags.get(PARENT_RUN) or None
