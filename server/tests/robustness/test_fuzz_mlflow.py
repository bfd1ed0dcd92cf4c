"""Good requests of MLflow's clients, mutated at random: never a 5xx, errors in their shape, nothing half written."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from muniment_server.api.mlflow import ROUTES
from muniment_server.api.mlflow.routes import points
from muniment_server.api.mlflow.wire.message import read
from robustness.server import JSON
from robustness.stage import Stage
from robustness.test_fuzz import mutated

EXAMPLES = 40
"""For each operation and engine."""
_TAGS = [{"key": "a", "value": "b"}]
_POINT = {"key": "loss", "value": 0.5, "timestamp": 1, "step": 2}
_DATASET = {"name": "d", "digest": "1", "source_type": "s", "source": "{}", "schema": "{}", "profile": "{}"}


def requests(run: str) -> dict[str, dict[str, Any]]:
    """A good request of each operation that takes a body and does not end the run."""
    return {
        "create_experiment": {"name": "n", "artifact_location": "s3://b", "tags": _TAGS},
        "search_experiments": {"max_results": 5, "filter": "name = 'a'", "order_by": ["name"], "page_token": ""},
        "update_experiment": {"experiment_id": "0", "new_name": "Default"},
        "set_experiment_tag": {"experiment_id": "0", "key": "k", "value": "v"},
        "delete_experiment_tag": {"experiment_id": "0", "key": "k"},
        "create_run": {"experiment_id": "0", "user_id": "u", "run_name": "n", "start_time": 5, "tags": _TAGS},
        "update_run": {"run_id": run, "status": "RUNNING", "end_time": 9, "run_name": "n"},
        "log_metric": {"run_id": run, **_POINT},
        "log_param": {"run_id": run, "key": "p", "value": "v"},
        "log_batch": {"run_id": run, "metrics": [_POINT], "params": [{"key": "p", "value": "v"}], "tags": _TAGS},
        "set_tag": {"run_id": run, "key": "k", "value": "v"},
        "delete_tag": {"run_id": run, "key": "k"},
        "search_runs": {
            "experiment_ids": ["0"], "filter": "metrics.loss > 0.1 AND params.p = 'v'", "order_by": ["metrics.loss"],
            "max_results": 5, "run_view_type": "ALL", "page_token": "",
        },
        "log_inputs": {"run_id": run, "datasets": [{"dataset": _DATASET, "tags": _TAGS}]},
        "log_outputs": {"run_id": run, "models": [{"model_id": f"m-{run}", "step": 1}]},
        "search_datasets": {"experiment_ids": ["0"]},
    }  # fmt: skip


_BY_NAME = {route.name.removeprefix("mlflow_"): route for route in ROUTES if route.method == "POST" and not route.twin}


@pytest.mark.parametrize("name", list(requests("")))
def test_no_request_breaks_the_server(stage: Stage, name: str) -> None:
    route = _BY_NAME[name]
    stage.request("POST", "/api/2.0/mlflow/experiments/search", b'{"max_results": 1}', {"content-type": JSON})

    @settings(max_examples=EXAMPLES, derandomize=True, database=None)
    @given(body=mutated(requests(stage.run)[name]))
    def attempt(body: dict[str, Any]) -> None:
        before = stage.heads()
        reply = stage.request("POST", route.path, json.dumps(body).encode(), {"content-type": JSON})
        assert reply.status < 500, (body, reply)
        if reply.status >= 400:
            error = msgspec.json.decode(reply.body)
            assert set(error) >= {"error_code", "message"}
            assert stage.heads() == before, "a refused request was written"

    attempt()
    stage.still_works()


@settings(max_examples=300, derandomize=True, database=None)
@given(body=mutated({"run_id": "0" * 32, "metrics": [_POINT, {**_POINT, "key": "b", "step": -3, "value": 7}]}))
def test_the_short_way_reads_what_the_long_way_reads(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    try:
        plain = msgspec.json.decode(raw, type=points.Points)
    except msgspec.MsgspecError:
        return
    endpoint = next(one for one in points.ENDPOINTS if one.path == "/runs/log-batch")
    given_ = read(msgspec.json.decode(raw), endpoint.message, endpoint.checks)
    assert given_["run_id"] == plain.run_id
    assert [(one["key"], one["value"], one["timestamp"], one.get("step", 0)) for one in given_["metrics"]] == [
        (one.key, one.value, one.timestamp, one.step) for one in plain.metrics
    ]
