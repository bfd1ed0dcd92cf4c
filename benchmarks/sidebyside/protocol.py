"""MLflow's requests as its own client words them, encoded before the clock starts, and what its answers hold."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from benchmarks import bodies, wire
from benchmarks.bodies import MODELS

EPOCH = bodies.EPOCH
"""Epoch milliseconds at which the clock of the points starts."""
BASE = "/api/2.0/mlflow"
PAGE = 25_000
"""Points in a page of the history, as the client asks for them."""
BUCKETS = 2_500
"""Points in a chart."""
KEY = "train/layer_0000/loss"
"""The key of the long series."""
UNKNOWN = "x" * 32
"""Stands in a prepared request for the id of the run that the request before it made."""
_RUN_ID = re.compile(rb'"run_id":\s*"([0-9a-f]{32})"')
_TOKEN = re.compile(rb'"next_page_token":\s*"([^"]+)"')
_PARAMS, _METRICS = 20, 20


def post(path: str, body: object) -> bytes:
    """A request with a body."""
    return wire.request("POST", f"{BASE}/{path}", json.dumps(body).encode())


def get(path: str, **query: object) -> bytes:
    """A request with a query."""
    return wire.request("GET", f"{BASE}/{path}?{urlencode(query)}")


def create_run(experiment: str, name: str) -> bytes:
    """What starts a run: the tags are those that the client sets by itself."""
    tags = {"mlflow.user": "ada", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL"}
    return post(
        "runs/create",
        {
            "experiment_id": experiment, "user_id": "ada", "start_time": EPOCH, "run_name": name,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
    )  # fmt: skip


def log_batch(run: str, keys: int, number: int, *, single: bool = False) -> bytes:
    """The `number`-th request of 1,000 points of a run."""
    each = 1_000 // keys
    values = bodies.values(1_000, number, single=single).tolist()
    metrics = [
        {
            "key": f"train/layer_{at % keys:04d}/loss", "value": value,
            "timestamp": EPOCH + (number * each + at // keys) * 40, "step": number * each + at // keys,
        }
        for at, value in enumerate(values)
    ]  # fmt: skip
    return post("runs/log-batch", {"run_id": run, "metrics": metrics, "params": [], "tags": []})


def log_metric(run: str, number: int) -> bytes:
    """One point."""
    point = {"key": "loss", "value": 1.0 / (1 + number), "timestamp": EPOCH + number, "step": number}
    return post("runs/log-metric", {"run_uuid": run, "run_id": run, **point})


def whole_run(experiment: str, number: int) -> list[bytes]:
    """The three requests of a run: created, 20 params and 20 metrics logged, finished."""
    drawn = bodies.values(_PARAMS + _METRICS, number).tolist()
    params = [{"key": f"param_{at:02d}", "value": f"{drawn[at]:.6f}"} for at in range(_PARAMS - 5)]
    params += [
        {"key": f"param_{at:02d}", "value": MODELS[(number + at) % len(MODELS)]} for at in range(_PARAMS - 5, _PARAMS)
    ]
    metrics = [
        {"key": f"metric_{at:02d}", "value": value, "timestamp": EPOCH + number, "step": 0}
        for at, value in enumerate(drawn[_PARAMS:])
    ]
    finished = {"run_uuid": UNKNOWN, "run_id": UNKNOWN, "status": "FINISHED", "end_time": EPOCH + 1_000}
    return [
        create_run(experiment, f"run-{number}"),
        post("runs/log-batch", {"run_id": UNKNOWN, "metrics": metrics, "params": params, "tags": []}),
        post("runs/update", finished),
    ]


def runs_talk(wanted: Sequence[list[bytes]]) -> wire.Talk:
    """Makes runs one after the other: each of the later requests of a run needs the id that the first one gave it."""
    for created, *later in wanted:
        answer = yield created
        found = _RUN_ID.search(answer)
        for raw in later:
            yield raw.replace(UNKNOWN.encode(), found[1] if found else b"0" * 32)


def history_talk(run: str) -> wire.Talk:
    """Reads a series as the client does: page by page until there is no further one."""
    query: dict[str, Any] = {"run_uuid": run, "run_id": run, "metric_key": KEY, "max_results": PAGE}
    answer = yield get("metrics/get-history", **query)
    while (found := _TOKEN.search(answer, max(0, len(answer) - 2_000))) is not None:
        answer = yield get("metrics/get-history", **query, page_token=found[1].decode())


def disturbed_talk(raw: bytes, other: str, times: int, budget: float) -> wire.Talk:
    """Asks a question again and again, with a point logged to another run before each: nothing stays as it was.

    Args:
        raw: the question.
        other: the run that is logged to.
        times: after one that warms up.
        budget: seconds after which it is not asked again.
    """
    begun = time.perf_counter()
    for number in range(times + 1):
        yield log_metric(other, number)
        yield raw
        if time.perf_counter() - begun > budget:
            return


def chart(run: str) -> bytes:
    """The question for the chart of a series."""
    return get("metrics/get-history-bulk-interval", run_ids=run, metric_key=KEY, max_results=BUCKETS)


def search(experiment: str, question: dict[str, object]) -> bytes:
    """A question for runs."""
    return post("runs/search", {"experiment_ids": [experiment], "run_view_type": "ACTIVE_ONLY", **question})
