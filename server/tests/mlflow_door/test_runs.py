"""Runs and their histories, where more is asked than one request of a recorded case does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflow_door.asking import JSON, Asking, asking
from muniment.model.errors import Unavailable
from muniment_server.api.mlflow.routes import experiments
from muniment_server.api.mlflow.routes import runs as door_runs


@pytest.fixture
def ask(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    with asking(store_url, tmp_path / "home", monkeypatch) as made:
        yield made


def start(ask: Asking, experiment: str, name: str) -> str:
    run: dict[str, Any] = ask("POST", "runs/create", {"experiment_id": experiment, "run_name": name, "start_time": 1})
    return str(run["run"]["info"]["run_id"])


def test_runs_of_very_many_experiments_are_found(ask: Asking) -> None:
    commands = [{"do": "experiment.create", "name": f"e{n}"} for n in range(1_200)]
    body = json.dumps({"commands": commands}).encode()
    made = ask.transport.request("POST", "/v1/projects/default/batch", JSON, body)
    assert made.status == 200
    ids, token = [], ""
    while True:
        page = ask("POST", "experiments/search", {"max_results": 500, "page_token": token})
        ids += [one["experiment_id"] for one in page["experiments"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert len(ids) == 1_201
    assert len(set(ids)) == 1_201
    first, last = start(ask, ids[0], "first"), start(ask, ids[-2], "last")
    found = ask("POST", "runs/search", {"experiment_ids": ids, "max_results": 1})
    more = ask("POST", "runs/search", {"experiment_ids": ids, "max_results": 1, "page_token": found["next_page_token"]})
    assert {run["info"]["run_id"] for run in (*found["runs"], *more["runs"])} == {first, last}
    other = {"experiment_ids": ids[:5], "max_results": 1, "page_token": found["next_page_token"]}
    assert ask.refused("POST", "runs/search", other) == (400, "Invalid page token, could not base64-decode")


def test_pages_of_a_history_are_of_the_position_of_the_first(ask: Asking) -> None:
    run = start(ask, "0", "long")

    def log(first: int, count: int) -> None:
        points = [{"key": "m", "value": n / 2, "timestamp": n, "step": n} for n in range(first, first + count)]
        ask("POST", "runs/log-batch", {"run_id": run, "metrics": points})

    for first in range(0, 12_000, 1_000):
        log(first, 1_000)
    asked: dict[str, Any] = {"run_id": run, "metric_key": "m", "max_results": 5_000}
    page = ask("GET", "metrics/get-history", **asked)
    log(12_000, 500)
    steps = [point["step"] for point in page["metrics"]]
    while token := page.get("next_page_token"):
        page = ask("GET", "metrics/get-history", **asked, page_token=token)
        steps += [point["step"] for point in page["metrics"]]
    assert steps == list(range(12_000))
    assert len(ask("GET", "metrics/get-history", run_id=run, metric_key="m")["metrics"]) == 12_500
    assert ask.refused("GET", "metrics/get-history", **asked, page_token="NA==") == (
        400, "Invalid page token, could not base64-decode",
    )  # fmt: skip


def test_a_chart_has_the_first_of_equal_parts_and_the_last_point(ask: Asking) -> None:
    run = start(ask, "0", "charted")
    points = [{"key": "m", "value": n, "timestamp": n, "step": n} for n in range(10)]
    ask("POST", "runs/log-batch", {"run_id": run, "metrics": points})
    chart = ask("GET", "metrics/get-history-bulk-interval", run_ids=run, metric_key="m", max_results=4)
    assert [point["step"] for point in chart["metrics"]] == [0, 3, 6, 9]
    whole = ask("GET", "metrics/get-history-bulk-interval", run_ids=run, metric_key="m", start_step=2, end_step=4)
    assert [point["step"] for point in whole["metrics"]] == [2, 3, 4]


def test_a_run_is_a_run_of_ours_with_code_and_parent(ask: Asking) -> None:
    parent = start(ask, "0", "outer")
    tags = {
        "mlflow.parentRunId": parent, "mlflow.source.git.commit": "abc", "mlflow.source.name": "train.py", "team": "a",
    }  # fmt: skip
    made = ask("POST", "runs/create", {
        "experiment_id": "0", "run_name": "inner", "user_id": "ann", "start_time": 1,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    })["run"]["info"]["run_id"]  # fmt: skip
    (found,) = ask.found("run", f"parent = '{parent}'")
    record = found["run"]
    assert (record["id"], record["name"], record["user"], record["parent"]) == (made, "inner", "ann", parent)
    assert (record["code"]["commit"], record["code"]["entry_point"]) == ("abc", "train.py")
    assert found["tags"] == tags


def test_the_name_of_a_run_is_a_tag_to_search_by(ask: Asking) -> None:
    run = start(ask, "0", "inner")
    for filter_, expected in (
        ("tags.mlflow.runName = 'inner'", [run]),
        ("tags.`mlflow.runName` LIKE 'out%'", []),
        ("tags.mlflow.runName IS NULL", []),
        ("tags.mlflow.runName IS NOT NULL", [run]),
    ):
        found = ask("POST", "runs/search", {"experiment_ids": ["0"], "filter": filter_})
        assert [one["info"]["run_id"] for one in found.get("runs", [])] == expected, filter_


def test_a_deletion_that_was_cut_off_is_finished_when_it_is_asked_for_again(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = ask("POST", "experiments/create", {"name": "e"})["experiment_id"]
    made = [start(ask, experiment, name) for name in ("a", "b", "c")]

    def lifecycles() -> set[str]:
        runs = (ask("GET", "runs/get", run_id=run)["run"]["info"]["lifecycle_stage"] for run in made)
        return {*runs, ask("GET", "experiments/get", experiment_id=experiment)["experiment"]["lifecycle_stage"]}

    for operation, before, after in (("delete", "active", "deleted"), ("restore", "deleted", "active")):
        with monkeypatch.context() as cut:
            cut.setattr(experiments, "COMMANDS_LIMIT", 1)
            done = experiments._do
            calls = []

            async def once(*given: Any, done: Any = done, calls: list[int] = calls) -> Any:
                calls.append(1)
                if len(calls) == 2:
                    raise Unavailable("cut off")
                return await done(*given)

            cut.setattr(experiments, "_do", once)
            assert ask.raw("POST", f"experiments/{operation}", {"experiment_id": experiment})[0] == 503
        assert lifecycles() == {before, after}
        ask("POST", f"experiments/{operation}", {"experiment_id": experiment})
        assert lifecycles() == {after}
        assert ask.refused("POST", f"experiments/{operation}", {"experiment_id": experiment})[0] == 404


LARGEST = sys.float_info.max
LASTS: list[tuple[list[Any], list[Any]]] = [
    ([], []),
    ([0.5, -2, 3], [0.5, -2.0, 3.0]),
    ([LARGEST, LARGEST], [LARGEST, LARGEST]),  # finite, but their sum is not
    (["NaN", 1.0], ["NaN", 1.0]),
    (["Infinity", "-Infinity", 5e-324], [LARGEST, -LARGEST, 5e-324]),
    (["NaN", "NaN", "-Infinity"], ["NaN", "NaN", -LARGEST]),
]
"""What is logged last to a run's metrics, and how it is told."""


def test_the_last_values_of_runs_are_told_alike_wherever_they_are_asked(ask: Asking) -> None:
    experiment = ask.experiment("lasts")
    told = {}
    for at, (values, expected) in enumerate(LASTS):
        run = start(ask, experiment, f"n{at}")
        points = [
            {"key": f"m{number}", "value": value, "timestamp": 10 + step, "step": step}
            for number, last in enumerate(values)
            for step, value in enumerate((7.0, last))
        ]
        ask("POST", "runs/log-batch", {"run_id": run, "metrics": points})
        told[run] = [
            {"key": f"m{number}", "value": value, "timestamp": 11, "step": 1} for number, value in enumerate(expected)
        ]
    found = ask("POST", "runs/search", {"experiment_ids": [experiment]})["runs"]
    assert {run["info"]["run_id"]: run["data"].get("metrics", []) for run in found} == told
    for run in found:
        assert ask("GET", "runs/get", run_id=run["info"]["run_id"])["run"] == run


def test_a_run_is_told_alike_by_every_page_and_by_itself(ask: Asking) -> None:
    """Of several experiments, with params, tags and a dataset; some are deleted."""
    places = [ask.experiment(name) for name in ("p", "q", "r")]
    made = []
    for at in range(23):
        run = start(ask, places[at % 3], f"n{at}")
        made.append(run)
        tags = {"z": "last", "a": str(at), "mlflow.runName": f"renamed {at}", "mlflow.note.content": "é"}
        ask("POST", "runs/log-batch", {
            "run_id": run,
            "params": [{"key": key, "value": f"{key}{at}"} for key in "zay"],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        })  # fmt: skip
        dataset = {"name": f"d{at % 2}", "digest": "1", "source_type": "local", "source": "{}"}
        ask("POST", "runs/log-inputs", {
            "run_id": run, "datasets": [{"tags": [{"key": "mlflow.data.context", "value": "t"}], "dataset": dataset}],
        })  # fmt: skip
        if at % 5 == 0:
            ask("POST", "runs/delete", {"run_id": run})
    ask("POST", "runs/delete-tag", {"run_id": made[1], "key": "a"})
    for view, expected in (("ALL", made), ("DELETED_ONLY", made[::5])):
        asked = {"experiment_ids": places[::-1], "run_view_type": view, "order_by": ["params.z DESC"]}
        for size in (1_000, 7, 1):
            found: list[Any] = []
            token: str | None = None
            while token is not None or not found:
                page = ask("POST", "runs/search", {**asked, "max_results": size, "page_token": token or ""})
                found += page["runs"]
                token = page.get("next_page_token")
            assert sorted(run["info"]["run_id"] for run in found) == sorted(expected)
            for run in found:
                assert ask("GET", "runs/get", run_id=run["info"]["run_id"])["run"] == run
    data = ask("GET", "runs/get", run_id=made[1])["run"]["data"]
    assert data["params"] == [{"key": key, "value": f"{key}1"} for key in "ayz"]
    assert {tag["key"]: tag["value"] for tag in data["tags"]} == {
        "z": "last", "mlflow.runName": "renamed 1", "mlflow.note.content": "é",
    }  # fmt: skip
    assert len(data["tags"]) == 3


def test_a_search_goes_through_several_pages_of_ours(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_runs, "PAGE_LIMIT", 4)
    experiments_ = [ask.experiment(name) for name in "ab"]
    made = [start(ask, experiments_[at % 2], f"n{at:02}") for at in range(11)]
    asked = {"experiment_ids": experiments_, "order_by": ["attributes.run_name"]}
    for size, pages in ((11, 1), (10, 2), (4, 3), (5, 3), (50, 1)):
        found: list[str] = []
        token: str | None = ""
        count = 0
        while token is not None:
            page = ask("POST", "runs/search", {**asked, "max_results": size, "page_token": token})
            assert len(page["runs"]) <= size
            found += [run["info"]["run_id"] for run in page["runs"]]
            token, count = page.get("next_page_token"), count + 1
        assert (found, count) == (made, pages)
    assert ask("POST", "runs/search", {"experiment_ids": [ask.experiment("empty")]}) == {}
    assert ask("POST", "runs/search", {"experiment_ids": ["999"]}) == {}
