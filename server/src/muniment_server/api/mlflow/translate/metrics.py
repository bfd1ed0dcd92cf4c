"""Points of metrics as MLflow spells them: one object a point, by time."""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from muniment_server.api.routing import Sent

Points = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Steps, timestamps and values of a series by (step, timestamp, value). All of shape (n,)."""
NOTHING: Points = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


class Point(msgspec.Struct, frozen=True, gc=False):
    """One point."""

    key: str
    value: float | str
    timestamp: int
    step: int


class PointOfRun(msgspec.Struct, frozen=True, gc=False):
    """One point, and whose it is."""

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str


def by_time(points: Points) -> Points:
    """The same points by (timestamp, step, value), where NaN counts as 0."""
    step, timestamp, value = points
    if len(step) < 2 or (np.diff(timestamp) > 0).all():
        return points
    order = np.lexsort((np.nan_to_num(value, nan=0.0), step, timestamp))
    return step[order], timestamp[order], value[order]


def page(key: str, points: Points, after: int, limit: int | None, position: int) -> Sent:
    """A page of a history, with the token of the next if there is more."""
    step, timestamp, value = by_time(points)
    rows = slice(after, None if limit is None else after + limit)
    found = list(map(Point, repeat(key), spelled(value[rows]), timestamp[rows].tolist(), step[rows].tolist()))
    answer: dict[str, Any] = {"metrics": found} if found else {}
    if limit is not None and after + limit < len(step):
        answer["next_page_token"] = base64.urlsafe_b64encode(f"{after + limit}.{position}".encode()).decode()
    return Sent(200, msgspec.json.encode(answer))


def bulk(key: str, found: Sequence[tuple[str, Points]], limit: int) -> Sent:
    """The first points of some runs' histories, in one list."""
    listed = []
    for run, points in found:
        step, timestamp, value = (part[:limit] for part in by_time(points))
        listed.extend(_of_run(key, run, step, timestamp, value))
    return Sent(200, msgspec.json.encode({"metrics": listed}))


def interval(key: str, found: Sequence[tuple[str, Points]], limit: int) -> Sent:
    """At most `limit` points of each run, evenly chosen; its last point is always among them."""
    listed = []
    for run, (step, timestamp, value) in found:
        chosen = _chosen(len(step), limit)
        listed.extend(_of_run(key, run, step[chosen], timestamp[chosen], value[chosen]))
    return Sent(200, msgspec.json.encode({"metrics": listed} if listed else {}))


def _chosen(count: int, limit: int) -> npt.NDArray[np.int64]:
    """The first of each of `limit` parts as even as they can be, the larger ones first; and the last of all."""
    if count <= limit:
        return np.arange(count)
    small, large = divmod(count, limit)
    at = np.arange(limit)
    starts = at * small + np.minimum(at, large)
    starts[-1] = count - 1
    return starts


def _of_run(key: str, run: str, *columns: Any) -> list[PointOfRun]:
    step, timestamp, value = columns
    return list(map(PointOfRun, repeat(key), spelled(value), timestamp.tolist(), step.tolist(), repeat(run)))


def spelled(value: npt.NDArray[np.float64]) -> list[float | str]:
    """Values as MLflow's server spells them: what is infinite is as large as a double can be."""
    if np.isfinite(value).all():
        found: list[float | str] = value.tolist()
        return found
    return [
        "NaN" if math.isnan(one) else math.copysign(sys.float_info.max, one) if math.isinf(one) else one
        for one in value.tolist()
    ]
