"""Points as clients send them by the million: read by a typed decoder, and checked by the column.

Whatever is not plain (``"NaN"``, numbers as strings, points of models, unknown fields, a wrong key) goes the long way,
which reads every field by itself and says what is wrong with it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np

from muniment.model.batch import LogParams, LogPoints
from muniment.model.errors import Conflict, Gone, NotFound
from muniment.model.metric import Int64, NewPoints
from muniment_server.api.mlflow.routes import measured, runs
from muniment_server.api.mlflow.routes.experiments import TAG
from muniment_server.api.mlflow.translate import runs as translate
from muniment_server.api.mlflow.wire import checks
from muniment_server.api.mlflow.wire.exchange import Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import DOUBLE, INT64, STRING, many
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid
from muniment_server.api.routing import Call
from muniment_server.policy.access import Permission
from muniment_server.services import metrics

Key = Annotated[str, msgspec.Meta(min_length=1)]
Timestamp = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One point."""

    key: Key
    value: float
    timestamp: Timestamp
    step: Int64 = 0


class PointOfRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One point, and of which run it is."""

    run_id: str
    key: Key
    value: float
    timestamp: Timestamp
    step: Int64 = 0
    run_uuid: str = ""


class Points(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Many points of one run, and nothing else."""

    run_id: str
    metrics: list[Point]
    params: list[Any] = []
    tags: list[Any] = []


async def log_points(call: Call, given: Points) -> dict[str, Any] | None:
    """Log a batch that holds nothing but plain points; None if it holds more."""
    points = given.metrics
    if given.params or given.tags or not 0 < len(points) <= checks.METRICS_LIMIT or not runs.is_run(given.run_id):
        return None
    keys = [point.key for point in points]
    distinct = list(dict.fromkeys(keys))
    if not all(map(_plain, distinct)):
        return None
    timestamp = np.array([point.timestamp for point in points], "<i8")
    step = np.array([point.step for point in points], "<i8")
    value = np.array([point.value for point in points], "<f8")
    place = {key: at for at, key in enumerate(distinct)}
    new = NewPoints(
        series=distinct, key=[place[key] for key in keys] if len(distinct) > 1 else None,
        value=value.tobytes(), step=step.tobytes(), timestamp=timestamp.tobytes(),
    )  # fmt: skip
    return await _log(call, given.run_id, new)


async def log_point(call: Call, given: PointOfRun) -> dict[str, Any] | None:
    """Log one plain point; None if it is not."""
    if not runs.is_run(given.run_id) or not _plain(given.key):
        return None
    new = NewPoints(series=[given.key], value=[given.value], step=[given.step], timestamp=[given.timestamp])
    return await _log(call, given.run_id, new)


async def _log(call: Call, run: str, new: NewPoints) -> dict[str, Any]:
    try:
        await call.commit(metrics.log(call.workspace, call.scope, project_of(call), run, new))
    except (NotFound, Gone, Conflict) as error:
        raise await runs.refused(call, run, error, {}) from None
    return {}


@lru_cache(maxsize=4096)
def _plain(key: str) -> bool:
    """Whether a text can be the key of a metric."""
    try:
        checks.check_metric(key, 0, 0.0)
    except Refusal:
        return False
    return True


async def log_batch(call: Call, given: Given) -> dict[str, Any]:
    """Log metrics, params and tags together, all of them or none."""
    run = str(given.get("run_id") or "")
    checks.check_run_id(run)
    points, params, tags = given.get("metrics", []), given.get("params", []), given.get("tags", [])
    for point in points:
        checks.check_measured_on(point)
    for at, point in enumerate(points):
        checks.check_metric(point["key"], point["timestamp"], point["value"], f"metrics[{at}]")
    values = [
        (param["key"], checks.checked_param(param["key"], param.get("value", ""), f"params[{at}]"))
        for at, param in enumerate(params)
    ]
    texts = {
        tag["key"]: checks.checked_tag(tag["key"], tag.get("value", ""), f"tags[{at}]") for at, tag in enumerate(tags)
    }
    checks.check_batch(len(points), len(params), len(tags))
    _check_twice([key for key, _ in values])
    await log(call, runs.run_of(given), points, dict(values), texts)
    return {}


async def log(
    call: Call, run: str, points: list[dict[str, Any]], params: dict[str, str], texts: dict[str, str]
) -> None:
    """Log what has been checked."""
    commands: list[Any] = []
    if params or not (points or texts):
        commands.append(LogParams(run=run, params=dict(params)))
    if texts:
        commands.extend(runs.tagging(run, texts))
    if points:
        commands.extend(await measured.of_models(call, run, points))
        commands.append(LogPoints(run=run, **translate.points(points)))
    await runs.commit(call, run, *commands)


def _check_twice(keys: list[str]) -> None:
    seen: set[str] = set()
    twice = [key for key in keys if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    if twice:
        raise invalid(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one param "
            "value per param key."
        )


async def log_metric(call: Call, given: Given) -> dict[str, Any]:
    """Log one point."""
    checks.check_measured_on(given)
    checks.check_metric(given["key"], given["timestamp"], given["value"])
    run = runs.run_of(given)
    commands = await measured.of_models(call, run, [given])
    if commands:
        await runs.commit(call, run, *commands, LogPoints(run=run, **translate.points([given])))
        return {}
    new = NewPoints(**translate.points([given]))
    try:
        await call.commit(metrics.log(call.workspace, call.scope, project_of(call), run, new))
    except (NotFound, Gone, Conflict) as error:
        raise await runs.refused(call, run, error, {}) from None
    return {}


_METRIC = {
    "key": STRING, "value": DOUBLE, "timestamp": INT64, "step": INT64, "model_id": STRING, "dataset_name": STRING,
    "dataset_digest": STRING,
}  # fmt: skip


def _each(name: str, *fields: str) -> Any:
    """A check that every item of a list has some fields."""

    def check(items: Any) -> bool:
        for at, item in enumerate(items if isinstance(items, list) else []):
            for field in fields:
                if not isinstance(item, dict) or item.get(field) in (None, ""):
                    raise invalid(
                        f"Missing value for required parameter '{name}[{at}].{field}'. See the API docs for more "
                        "information about request parameters."
                    )
        return True

    return check


ENDPOINTS = [
    Endpoint(
        method="POST", path="/runs/log-metric", handler=log_metric, permission=Permission.WRITE,
        message={"run_id": STRING, "run_uuid": STRING, **_METRIC},
        checks=(
            ("run_id", ("required", "string")), ("key", ("required", "string")), ("value", ("required", "number")),
            ("timestamp", ("integer", "required")), ("step", ("integer",)), ("model_id", ("string",)),
            ("dataset_name", ("string",)), ("dataset_digest", ("string",)),
        ),
        plain=(PointOfRun, log_point),
    ),
    Endpoint(
        method="POST", path="/runs/log-batch", handler=log_batch, permission=Permission.WRITE,
        message={"run_id": STRING, "metrics": many(**_METRIC), "params": TAG, "tags": TAG},
        checks=(
            ("run_id", ("string", "required")),
            ("metrics", ("array", _each("metrics", "key", "value", "timestamp"))),
            ("params", ("array", _each("params", "key"))), ("tags", ("array", _each("tags", "key"))),
        ),
        plain=(Points, log_points),
    ),
]  # fmt: skip
