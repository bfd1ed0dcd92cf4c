"""Logged models as MLflow spells them. One is a version of the model that stands for its name in its experiment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from muniment.model.errors import InvalidInput
from muniment.model.mlflow import FACET, milliseconds, model_id
from muniment_server.api.mlflow.translate import kept
from muniment_server.api.mlflow.translate.experiments import tags as pairs
from muniment_server.api.mlflow.translate.kept import STATUSES, Logged, Point
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.translate.runs import number, wire
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid
from muniment_server.services.registry import Version

PENDING, READY = STATUSES[1], STATUSES[2]
_FORBIDDEN = ("/", ":", ".", "%", '"', "'")


def check_name(name: str) -> None:
    """Check the name of a logged model."""
    if any(letter in name for letter in _FORBIDDEN):
        raise invalid(
            f"Invalid model name ({name!r}) provided. Model name must be a non-empty string and cannot contain the "
            f"following characters: {_FORBIDDEN}"
        )


def once(given: Sequence[Mapping[str, str]], what: str) -> dict[str, str]:
    """Params or tags by their keys.

    Raises:
        Refusal: a key is given twice.
    """
    found = {item.get("key", ""): item.get("value", "") for item in given}
    if len(found) != len(given):
        raise Refusal("BAD_REQUEST", f"A {what} is given twice; a model has one value of each.")
    return found


def document(
    *, name: str, model_type: str, experiment: str, source_run_id: str, params: dict[str, str]
) -> dict[str, Any]:
    """What the facet of a version keeps of a logged model that begins."""
    return {
        "name": name, "model_type": model_type, "status": PENDING, "experiment": experiment,
        "source_run_id": source_run_id, "params": params,
    }  # fmt: skip


def is_logged(said: Mapping[str, Any] | None) -> bool:
    """Whether the facet of a version is that of a logged model."""
    return kept.logged(said) is not None


def said_of(found: Version) -> Logged:
    """What the facet of a version that is a logged model says of it."""
    said = kept.logged(found.details.facets.get(FACET))
    assert said is not None, "who has found a logged model has asked"
    return said


def with_status(said: Mapping[str, Any], status: str, at: datetime) -> dict[str, Any]:
    """The facet after a change of the status."""
    return {**said, "status": status, "updated": milliseconds(at)}


def with_params(said: Mapping[str, Any], params: Mapping[str, str]) -> dict[str, Any]:
    """The facet with more params.

    Raises:
        InvalidInput: one of them is there already.
    """
    there = kept.texts(said.get("params"))
    twice = sorted(there.keys() & params.keys())
    if twice:
        raise InvalidInput(f"Params {twice} were already logged; a param of a model is logged once", field="params")
    return {**said, "params": {**there, **params}}


def artifact_uri(place: Place, model: str) -> str:
    """Where a logged model's artifacts go."""
    base, mark, rest = place.artifacts.partition("?")
    return f"{base.rstrip('/')}/models/{model}/artifacts{mark}{rest}"


def updated(found: Version) -> int:
    """When a logged model was last changed, its tags, params and metrics aside. Epoch milliseconds."""
    return max(milliseconds(found.details.changed_at), said_of(found).updated)


def to_mlflow(found: Version, place: Place) -> dict[str, Any]:
    """A logged model."""
    said = said_of(found)
    model = model_id(found.version.id)
    info: dict[str, Any] = {
        "model_id": model,
        "experiment_id": place.number,
        "name": said.name,
        "creation_timestamp_ms": milliseconds(found.version.created_at),
        "last_updated_timestamp_ms": updated(found),
        "artifact_uri": artifact_uri(place, model),
        "status": said.status,
        "model_type": said.model_type,
        "source_run_id": said.source_run_id,
    }
    if found.details.tags:
        info["tags"] = pairs(dict(sorted(found.details.tags.items())))
    data: dict[str, Any] = {}
    if said.params:
        data["params"] = pairs(dict(sorted(said.params.items())))
    metrics = [_metric(point, model) for point in points(found)]
    if metrics:
        data["metrics"] = metrics
    return {"info": info, "data": data}


def _metric(point: Point, model: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "key": point.key, "value": number(wire(point.value)), "timestamp": point.timestamp, "step": point.step,
    }  # fmt: skip
    if point.dataset_name:
        made["dataset_name"] = point.dataset_name
    if point.dataset_digest:
        made["dataset_digest"] = point.dataset_digest
    return {**made, "model_id": model, "run_id": point.run_id}


def measured(run: str, given: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a facet keeps of the points of one request that are about a model."""
    made = []
    for point in given:
        said = {"key": point["key"], "value": wire(point["value"]), "timestamp": point["timestamp"],
                "step": point.get("step", 0)}  # fmt: skip
        for field in ("dataset_name", "dataset_digest"):
            if point.get(field):
                said[field] = point[field]
        made.append(said)
    return {"run_id": run, "points": made}


def points(found: Version) -> list[Point]:
    """All that was measured of a logged model, in the order in which it came; what was said twice once."""
    said: dict[tuple[str, Point], Point] = {}
    for point in kept.points(found.details.facets):  # NaN equals nothing, itself included, but its spelling does
        said.setdefault((str(point.value), msgspec.structs.replace(point, value=0.0)), point)
    return list(said.values())


def latest(measurements: Iterable[Point]) -> float | None:
    """The value of the latest of some points of one metric."""
    chosen = min(measurements, key=lambda point: (-point.timestamp, -point.step, point.run_id), default=None)
    return None if chosen is None else chosen.value


def rank(value: float | None, *, descending: bool) -> tuple[int, float]:
    """What a metric sorts by: numbers first, then NaN, then what is missing."""
    if value is None:
        return 2, 0.0
    if math.isnan(value):
        return 1, 0.0
    return 0, -value if descending else value
