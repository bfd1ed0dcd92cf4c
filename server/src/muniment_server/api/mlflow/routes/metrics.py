"""Metric histories: whole, in pages, of many runs, and thinned out for charts."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re

from muniment.model.errors import Gone, NotFound
from muniment_server.api.mlflow.routes.runs import is_run
from muniment_server.api.mlflow.translate import metrics as translate
from muniment_server.api.mlflow.wire.exchange import TRACKING, Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import INT32, STRING, STRINGS
from muniment_server.api.mlflow.wire.refusals import invalid
from muniment_server.api.routing import Call, Sent
from muniment_server.policy.access import Permission
from muniment_server.services import metrics

RUNS_LIMIT, INTERVAL_LIMIT, BULK_LIMIT = 100, 2_500, 25_000
"""Runs in one request, points of each in a chart, and points of each in a table."""
Steps = tuple[int | None, int | None]
_PLACE = re.compile(rb"([0-9]{1,15})\.([0-9]{1,18})\Z")


async def get_metric_history(call: Call, given: Given) -> Sent:
    """Every point of a metric of a run, by time."""
    limit = given.get("max_results")
    if limit is not None and limit <= 0:
        raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer.")
    after, as_of = _place(given.get("page_token") or "")
    run = given.get("run_id") or given.get("run_uuid") or ""
    found, position = await asyncio.to_thread(_history, call, run, given["metric_key"], as_of)
    return await asyncio.to_thread(translate.page, given["metric_key"], found, after, limit, position)


def _place(token: str) -> tuple[int, int | None]:
    """How many points the pages before the one that a token names have given, and up to which position."""
    if not token:
        return 0, None
    try:
        match = _PLACE.match(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError):
        match = None
    if match is None:
        raise invalid("Invalid page token, could not base64-decode")
    return int(match[1]), int(match[2])


def _history(
    call: Call, run: str, key: str, as_of: int | None = None, steps: Steps = (None, None)
) -> tuple[translate.Points, int]:
    """The points of a metric of a run, and the position up to which that is so; none of a run that is not there."""
    if not is_run(run):
        return translate.NOTHING, 0
    try:
        found, position = metrics.history(
            call.workspace, call.scope, project_of(call), run, key, as_of=as_of, steps=steps
        )
    except (NotFound, Gone):
        return translate.NOTHING, 0
    return (found.step, found.timestamp, found.value), position


async def get_metric_history_bulk(call: Call, given: Given) -> Sent:
    """The points of a metric of some runs, for a table."""
    del given
    ids = [value for name, value in call.query if name == "run_id"]
    keys = [value for name, value in call.query if name == "metric_key"]
    most = next((value for name, value in call.query if name == "max_results"), str(BULK_LIMIT))
    if not ids:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(ids) > RUNS_LIMIT:
        raise invalid(
            f"GetMetricHistoryBulk request cannot specify more than {RUNS_LIMIT} run_ids. Received {len(ids)} run_ids."
        )
    if not keys:
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    if not re.fullmatch(r"[0-9]{1,9}", most):
        raise invalid("max_results must be a positive integer.")

    def read() -> Sent:
        found = [(run, _history(call, run, keys[0])[0]) for run in sorted(set(ids))]
        return translate.bulk(keys[0], found, min(int(most), BULK_LIMIT))

    return await asyncio.to_thread(read)


async def get_metric_history_bulk_interval(call: Call, given: Given) -> Sent:
    """The points of a metric of some runs at the same steps, not more than a chart can show."""
    ids = given["run_ids"]
    if len(ids) > RUNS_LIMIT:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {RUNS_LIMIT} run_ids. "
            f"Received {len(ids)} run_ids. See the API docs for more information about request parameters."
        )
    limit = given.get("max_results", INTERVAL_LIMIT)
    if not 1 <= limit <= INTERVAL_LIMIT:
        raise invalid(
            f"max_results must be between 1 and {INTERVAL_LIMIT}. "
            "See the API docs for more information about request parameters."
        )
    first, last = given.get("start_step"), given.get("end_step")
    if (first is None) != (last is None):
        raise invalid("If either start step or end step are specified, both must be specified.")
    if first is not None and last is not None and first > last:
        raise invalid(
            f"end_step must be greater than start_step. Found start_step={first} and end_step={last}."
        )  # fmt: skip

    def read() -> Sent:
        found = [(run, _history(call, run, given["metric_key"], steps=(first, last))[0]) for run in ids]
        return translate.interval(given["metric_key"], found, limit)

    return await asyncio.to_thread(read)


ENDPOINTS = [
    Endpoint(
        method="GET", path="/metrics/get-history", handler=get_metric_history, permission=Permission.READ,
        message={
            "run_id": STRING, "run_uuid": STRING, "metric_key": STRING, "max_results": INT32, "page_token": STRING,
        },
        checks=(
            ("run_id", ("string", "required")), ("metric_key", ("string", "required")), ("page_token", ("string",)),
        ),
    ),
    Endpoint(
        method="GET", path="/metrics/get-history-bulk", handler=get_metric_history_bulk, permission=Permission.READ,
        prefixes=("/ajax-api/2.0/mlflow",),
    ),
    Endpoint(
        method="GET", path="/metrics/get-history-bulk-interval", handler=get_metric_history_bulk_interval,
        permission=Permission.READ, prefixes=TRACKING,
        message={
            "run_ids": STRINGS, "metric_key": STRING, "start_step": INT32, "end_step": INT32, "max_results": INT32,
        },
        checks=(
            ("run_ids", ("required", "array", "strings")), ("metric_key", ("required", "string")),
            ("start_step", ("integer",)), ("end_step", ("integer",)), ("max_results", ("integer",)),
        ),
    ),
]  # fmt: skip
