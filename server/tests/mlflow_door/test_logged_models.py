"""Logged models: begun, filled, finalized, measured, found, registered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlflow_door.asking import Asking, asking

UNKNOWN = "m-0123456789abcdef0123456789abcdef"
READY = "LOGGED_MODEL_READY"
MLMODEL = b"""
flavors:
  python_function:
    python_version: 3.11.7
  sklearn:
    pickled_model: model.pkl
    sklearn_version: 1.9.1
signature:
  inputs: '[{"name": "age", "type": "double", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
"""
REQUIREMENTS = b"mlflow==3.17.2\nscikit_learn[extra]==1.9.1  # pinned\n# nothing\nnumpy>=2\n"


@pytest.fixture
def ask(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    with asking(store_url, tmp_path / "home", monkeypatch) as made:
        yield made


def begun(ask: Asking, experiment: str, name: str = "model", **more: Any) -> Any:
    return ask("POST", "logged-models", {"experiment_id": experiment, "name": name, **more})["model"]


def get(ask: Asking, model: str) -> Any:
    return ask("GET", f"logged-models/{model}")["model"]


def finalized(ask: Asking, model: str, status: str = READY) -> Any:
    return ask("PATCH", f"logged-models/{model}", {"model_id": model, "status": status})["model"]["info"]


def found(ask: Asking, experiment: str, **more: Any) -> list[str]:
    answer = ask("POST", "logged-models/search", {"experiment_ids": [experiment], **more})
    return [model["info"]["name"] for model in answer.get("models", [])]


def test_it_is_a_version_of_a_model_of_its_own(ask: Asking) -> None:
    experiment = ask.experiment()
    run = ask.run(experiment)
    made = begun(
        ask, experiment, model_type="agent", source_run_id=run,
        params=[{"key": "b", "value": "2"}, {"key": "a", "value": "1"}], tags=[{"key": "t", "value": "x"}],
    )  # fmt: skip
    info = made["info"]
    model = info["model_id"]
    assert model.startswith("m-")
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment}/models/{model}/artifacts"
    assert (info["status"], info["model_type"], info["source_run_id"]) == ("LOGGED_MODEL_PENDING", "agent", run)
    assert info["creation_timestamp_ms"] == info["last_updated_timestamp_ms"]
    assert info["tags"] == [{"key": "t", "value": "x"}]
    assert made["data"] == {"params": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}
    assert get(ask, model) == made
    (record,) = ask.found("model_version", f"run = '{run}'")
    assert f"m-{record['id']}" == model
    begun(ask, experiment)
    assert len(ask.found("model")) == 1, "models of one name in one experiment are versions of one model"
    assert ask("GET", "registered-models/search") == {}
    assert ask("GET", "model-versions/search") == {}
    assert ask.refused("GET", f"logged-models/{UNKNOWN}") == (404, f"Logged model with ID '{UNKNOWN}' not found.")
    assert ask.refused("GET", "logged-models/nonsense")[0] == 404


def test_what_cannot_be_begun(ask: Asking) -> None:
    experiment = ask.experiment()
    for body, status in (
        ({"name": "model"}, 400),
        ({"experiment_id": "99", "name": "model"}, 404),
        ({"experiment_id": "x", "name": "model"}, 400),
        ({"experiment_id": experiment, "name": "a/b"}, 400),
        ({"experiment_id": experiment, "params": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]}, 400),
    ):
        assert ask.refused("POST", "logged-models", body)[0] == status
    ask("POST", "experiments/delete", {"experiment_id": experiment})
    refused = ask.refused("POST", "logged-models", {"experiment_id": experiment, "name": "model"})
    assert refused[1] == f"The experiment {experiment} must be in the 'active' state. Current state is deleted."
    assert ask.found("model_version") == []


def test_a_registered_version_is_no_logged_model(ask: Asking) -> None:
    ask.model("risk")
    ask.version("risk", run_link="http://x")
    (record,) = ask.found("model_version")
    assert ask.refused("GET", f"logged-models/m-{record['id']}")[0] == 404
    ask.ours("PUT", f"records/{record['id']}/facets/mlflow", {"value": {"status": "x"}})
    assert ask.refused("GET", f"logged-models/m-{record['id']}")[0] == 404


def test_finalizing_reads_what_the_files_say(ask: Asking) -> None:
    experiment = ask.experiment()
    run = ask.run(experiment)
    model = begun(ask, experiment, source_run_id=run)["info"]["model_id"]
    for path, content in (("MLmodel", MLMODEL), ("requirements.txt", REQUIREMENTS), ("data/model.pkl", b"\x00")):
        ask.upload(model[2:], path, content)
    info = finalized(ask, model)
    assert info["status"] == READY
    assert info["last_updated_timestamp_ms"] > info["creation_timestamp_ms"]
    (record,) = ask.found("model_version")
    assert record["framework"] == {"name": "sklearn", "version": "1.9.1"}
    assert record["signature"]["inputs"] == [{"name": "age", "type": "double", "nullable": False}]
    assert record["signature"]["outputs"] == [{"name": "column_0", "type": "long", "nullable": False}]
    files = {"MLmodel": MLMODEL, "requirements.txt": REQUIREMENTS, "data/model.pkl": b"\x00"}
    lines = "".join(
        f"sha256:{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in sorted(files.items())
    )
    assert record["digest"] == f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    environment = ask.ours("GET", f"runs/{run}")["run"]["environment"]
    packages = hashlib.sha256(b"mlflow==3.17.2\nscikit-learn==1.9.1").hexdigest()
    assert environment == {"python": "3.11.7", "packages_digest": packages}
    assert finalized(ask, model)["status"] == READY
    assert ask.found("model_version")[0]["digest"] == record["digest"]


def test_what_is_known_of_a_run_stays(ask: Asking) -> None:
    experiment = ask.experiment()
    run = ask.run(experiment)
    ask.ours("PATCH", f"runs/{run}", {"environment": {"python": "3.12.1"}})
    model = begun(ask, experiment, source_run_id=run)["info"]["model_id"]
    ask.upload(model[2:], "MLmodel", MLMODEL)
    finalized(ask, model)
    assert ask.ours("GET", f"runs/{run}")["run"]["environment"] == {"python": "3.12.1"}


BOMB = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d]\n" % (depth, depth, depth - 1, depth - 1) for depth in range(1, 60)
)  # as text it would have 2 ** 60 letters


@pytest.mark.parametrize(
    "content",
    [
        BOMB + b"flavors: {x: {x_version: *a59}}",
        b"\xff\xfe\x00",
        b"- a\n- b",
        b"flavors: 5\nsignature: [1]",
        b"a: &a [*a]",
        b"[",
    ],
)
def test_files_that_say_nothing(ask: Asking, content: bytes) -> None:
    model = begun(ask, ask.experiment())["info"]["model_id"]
    ask.upload(model[2:], "MLmodel", content)
    assert finalized(ask, model)["status"] == READY
    (record,) = ask.found("model_version")
    assert (record["signature"], record["framework"]) == (None, None)


def test_statuses(ask: Asking) -> None:
    model = begun(ask, ask.experiment())["info"]["model_id"]
    assert finalized(ask, model, "LOGGED_MODEL_UPLOAD_FAILED")["status"] == "LOGGED_MODEL_UPLOAD_FAILED"
    assert finalized(ask, model, 2)["status"] == READY  # type: ignore[arg-type]
    for body in ({"model_id": model}, {"status": READY}, {"model_id": model, "status": "READY"}):
        assert ask.refused("PATCH", f"logged-models/{model}", body)[0] == 400
    body = {"model_id": UNKNOWN, "status": READY}
    assert ask.refused("PATCH", f"logged-models/{UNKNOWN}", body)[0] == 404
    history = ask.ours("GET", f"records/{model[2:]}/history")
    said = [change for change in history["revisions"] if "facets" in str(change)]
    assert len(said) >= 3, "every status is a revision"


def test_tags_and_params(ask: Asking) -> None:
    model = begun(ask, ask.experiment())["info"]["model_id"]
    ask("PATCH", f"logged-models/{model}/tags", {"tags": [{"key": "b", "value": "1"}, {"key": "a", "value": "2"}]})
    ask("PATCH", f"logged-models/{model}/tags", {"tags": [{"key": "b", "value": "3"}]})
    ask("POST", f"logged-models/{model}/params", {"model_id": model, "params": [{"key": "p", "value": "1"}]})
    ask("POST", f"logged-models/{model}/params", {"model_id": model, "params": [{"key": "a", "value": "2"}]})
    told = get(ask, model)
    assert told["info"]["tags"] == [{"key": "a", "value": "2"}, {"key": "b", "value": "3"}]
    assert told["data"]["params"] == [{"key": "a", "value": "2"}, {"key": "p", "value": "1"}]
    assert told["info"]["last_updated_timestamp_ms"] == told["info"]["creation_timestamp_ms"]
    again = {"model_id": model, "params": [{"key": "p", "value": "1"}]}
    assert ask.refused("POST", f"logged-models/{model}/params", again)[0] == 400
    ask("DELETE", f"logged-models/{model}/tags/b")
    assert ask.refused("DELETE", f"logged-models/{model}/tags/b") == (
        404, f"No tag with key 'b' found for model with ID '{model}'.",
    )  # fmt: skip
    assert get(ask, model)["info"]["tags"] == [{"key": "a", "value": "2"}]


def test_params_that_come_at_once_are_all_kept(ask: Asking) -> None:
    model = begun(ask, ask.experiment())["info"]["model_id"]

    def log(number: int) -> None:
        ask("POST", f"logged-models/{model}/params", {"model_id": model, "params": [{"key": f"p{number}"}]})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(log, range(16)))
    assert len(get(ask, model)["data"]["params"]) == 16


def test_metrics(ask: Asking) -> None:
    experiment = ask.experiment()
    run = ask.run(experiment)
    model = begun(ask, experiment, source_run_id=run)["info"]["model_id"]
    version = ask.ours("POST", "datasets", {"name": "d"})
    made = ask.ours("POST", f"datasets/{version['id']}/versions", {"version": "1", "digest": "x"})
    points = [
        {"key": "acc", "value": 0.5, "timestamp": 1, "step": 1, "model_id": model},
        {"key": "acc", "value": 0.7, "timestamp": 2, "step": 2, "model_id": model},
        {"key": "loss", "value": 3, "timestamp": 1, "model_id": model, "dataset_name": "d", "dataset_digest": "x"},
        {"key": "loss", "value": 4, "timestamp": 1, "model_id": model, "dataset_name": "d", "dataset_digest": "?"},
        {"key": "other", "value": 1, "timestamp": 1},
    ]
    ask("POST", "runs/log-batch", {"run_id": run, "metrics": points})
    one = {"run_id": run, "key": "one", "value": "NaN", "timestamp": 1, "model_id": model}
    ask("POST", "runs/log-metric", one)
    ask("POST", "runs/log-metric", one)
    mine = {"model_id": model, "run_id": run}
    assert get(ask, model)["data"]["metrics"] == [
        {"key": "acc", "value": 0.5, "timestamp": 1, "step": 1, **mine},
        {"key": "acc", "value": 0.7, "timestamp": 2, "step": 2, **mine},
        {"key": "loss", "value": 3.0, "timestamp": 1, "step": 0, "dataset_name": "d", "dataset_digest": "x", **mine},
        {"key": "loss", "value": 4.0, "timestamp": 1, "step": 0, "dataset_name": "d", "dataset_digest": "?", **mine},
        {"key": "one", "value": "NaN", "timestamp": 1, "step": 0, **mine},
    ]
    latest = {metric["key"]: metric["value"] for metric in
              ask("GET", "runs/get", run_id=run)["run"]["data"]["metrics"]}  # fmt: skip
    assert latest == {"acc": 0.7, "loss": 4.0, "one": "NaN", "other": 1.0}
    (evaluation,) = ask.found("evaluation")
    assert (evaluation["model_version"], evaluation["dataset_version"]) == (model[2:], made["id"])
    assert (evaluation["metrics"], evaluation["run"]) == ({"loss": 3.0}, run)


def test_a_point_of_no_model_is_refused_with_all_that_came_with_it(ask: Asking) -> None:
    run = ask.run(ask.experiment())
    points = [{"key": "a", "value": 1, "timestamp": 1}, {"key": "b", "value": 1, "timestamp": 1, "model_id": UNKNOWN}]
    assert ask.refused("POST", "runs/log-batch", {"run_id": run, "metrics": points})[0] == 404
    assert "metrics" not in ask("GET", "runs/get", run_id=run)["run"]["data"]


def test_directories(ask: Asking) -> None:
    experiment = ask.experiment()
    model = begun(ask, experiment)["info"]["model_id"]
    path = f"logged-models/{model}/artifacts/directories"
    root = {"root_uri": f"mlflow-artifacts:/{experiment}/models/{model}/artifacts"}
    assert ask("GET", path) == root
    for name, content in (("a.txt", b"text"), ("empty", b""), ("sub/b.txt", b"more"), ("sub/deep/c", b"c")):
        ask.upload(model[2:], name, content)
    assert ask("GET", path)["files"] == [
        {"path": "a.txt", "is_dir": False, "file_size": 4},
        {"path": "empty", "is_dir": False},
        {"path": "sub", "is_dir": True},
    ]
    assert ask("GET", path, artifact_directory_path="sub")["files"] == [
        {"path": "sub/b.txt", "is_dir": False, "file_size": 4}, {"path": "sub/deep", "is_dir": True},
    ]  # fmt: skip
    assert ask("GET", path, artifact_directory_path="none") == root
    file = f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files"
    answer = ask.transport.request("GET", f"{file}?artifact_file_path=sub/b.txt", {}, b"")
    assert (answer.status, answer.body) == (200, b"more")
    assert ask.refused("GET", file, artifact_file_path="none")[0] == 404
    assert "refers to a directory" in ask.refused("GET", file, artifact_file_path="sub")[1]
    assert ask.refused("GET", file)[0] == 400
    assert ask.refused("GET", path, artifact_directory_path="../x") == (400, "Invalid path")


def test_delete(ask: Asking) -> None:
    experiment = ask.experiment()
    run = ask.run(experiment)
    model = begun(ask, experiment, source_run_id=run)["info"]["model_id"]
    ask("DELETE", f"logged-models/{model}")
    ask("DELETE", f"logged-models/{model}")
    assert ask.refused("GET", f"logged-models/{model}")[0] == 404
    assert ask("GET", f"logged-models/{model}", allow_deleted="true")["model"]["info"]["model_id"] == model
    assert found(ask, experiment) == []
    assert found(ask, experiment, filter=f"source_run_id = '{run}'") == []
    assert ask.refused("PATCH", f"logged-models/{model}", {"model_id": model, "status": READY})[0] == 404
    assert ask.refused("DELETE", f"logged-models/{UNKNOWN}")[0] == 404


def test_search(ask: Asking) -> None:
    experiment, other = ask.experiment(), ask.experiment("other")
    run = ask.run(experiment)
    first = begun(
        ask, experiment, "b", model_type="agent", source_run_id=run, params=[{"key": "p", "value": "1"}],
        tags=[{"key": "t", "value": "x"}],
    )["info"]["model_id"]  # fmt: skip
    second = begun(
        ask, experiment, "a", params=[{"key": "p", "value": "2"}, {"key": "odd key", "value": "Abc"}],
        tags=[{"key": "t", "value": "y"}],
    )["info"]["model_id"]  # fmt: skip
    begun(ask, experiment, "c")
    begun(ask, other, "elsewhere")
    finalized(ask, second)
    points = [
        {"key": "acc", "value": 0.5, "timestamp": 1, "model_id": first},
        {"key": "acc", "value": 0.9, "timestamp": 2, "model_id": first, "dataset_name": "d", "dataset_digest": "x"},
        {"key": "acc", "value": 0.7, "timestamp": 1, "model_id": second},
        {"key": "bad", "value": "NaN", "timestamp": 1, "model_id": second},
    ]
    ask("POST", "runs/log-batch", {"run_id": run, "metrics": points})
    assert found(ask, experiment) == ["c", "a", "b"]
    for text, wanted in (
        ("name = 'a'", ["a"]),
        ("name != 'a'", ["c", "b"]),
        ("name ILIKE 'A'", ["a"]),
        ("name LIKE 'A'", []),
        ("name IN ('a', 'b')", ["a", "b"]),
        ("attributes.name NOT IN ('a')", ["c", "b"]),
        (f"model_id = '{first}'", ["b"]),
        ("model_type != 'agent'", ["c", "a"]),
        ("status = 'READY'", ["a"]),
        (f"source_run_id = '{run}'", ["b"]),
        (f"source_run_id = '{run}' AND name = 'a'", []),
        (f"source_run_id != '{run}'", ["c", "a"]),
        ("creation_time > 1 AND last_updated_timestamp_ms > 1", ["c", "a", "b"]),
        ("metrics.acc > 0.6", ["a", "b"]),
        ("metrics.acc = 0.5", ["b"]),
        ("metrics.bad != 0", ["a"]),
        ("metrics.bad > 0", []),
        ("params.p = 1", ["b"]),
        ("params.p != '1'", ["a"]),
        ("params.`odd key` LIKE 'A%' AND tags.t = 'y'", ["a"]),
        ("tags.none != 'x'", []),
    ):
        assert found(ask, experiment, filter=text) == wanted, text
    data = [{"dataset_name": "d", "dataset_digest": "x"}]
    assert found(ask, experiment, filter="metrics.acc > 0.6", datasets=data) == ["b"]
    assert found(ask, experiment, datasets=[{"dataset_name": "d"}]) == ["b"]
    assert found(ask, experiment, datasets=[{"dataset_name": "d", "dataset_digest": "?"}]) == []
    for key, wanted in (
        ({"field_name": "name"}, ["a", "b", "c"]),
        ({"field_name": "name", "ascending": False}, ["c", "b", "a"]),
        ({"field_name": "creation_timestamp", "ascending": True}, ["b", "a", "c"]),
        ({"field_name": "metrics.acc"}, ["a", "b", "c"]),
        ({"field_name": "metrics.acc", "ascending": False}, ["b", "a", "c"]),
        ({"field_name": "metrics.acc", "dataset_name": "d"}, ["b", "c", "a"]),
        ({"field_name": "metrics.bad"}, ["a", "c", "b"]),
    ):
        assert found(ask, experiment, order_by=[key]) == wanted, key
    assert found(ask, experiment, experiment_ids=[experiment, other, "99"]) == ["elsewhere", "c", "a", "b"]
    page = ask("POST", "logged-models/search", {"experiment_ids": [experiment], "max_results": 2})
    assert found(ask, experiment, max_results=2, page_token=page["next_page_token"]) == ["b"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"filter": "name > 'a'"}, "Invalid comparison operator for attributes.name: '>'."),
        ({"filter": "attribute.name = 'a'"}, "Invalid entity type: 'attribute'."),
        ({"filter": "status = 'x'"}, "Unknown model status in filter: 'x'"),
        ({"filter": "nonsense = 'x'"}, "Invalid attribute key 'nonsense'"),
        ({"filter": "metrics.acc > '1'"}, "is no number"),
        ({"filter": "tags.t IS NULL"}, "Expected a comparison with 3 tokens."),
        ({"filter": "name = 'a' OR name = 'b'"}, "Invalid filter string:"),
        ({"filter": "name = 'x"}, "Invalid filter string:"),
        ({"filter": " "}, "Expected a single SQL expression."),
        ({"order_by": [{}]}, "Invalid order by field name: "),
        ({"order_by": [{"field_name": "params.p"}]}, "Only metrics are supported."),
        ({"datasets": [{}]}, "`dataset_name` in the `datasets` clause must be specified."),
        ({"page_token": "x"}, "Invalid page token"),
        ({"max_results": -1}, "max_results"),
        ({"experiment_ids": ["x"]}, "Invalid experiment ID 'x'."),
    ],
)
def test_what_cannot_be_asked(ask: Asking, body: dict[str, Any], message: str) -> None:
    asked = {"experiment_ids": [ask.experiment()], **body}
    assert message in ask.refused("POST", "logged-models/search", asked)[1]


def test_registered_it_hands_on_what_it_says_of_itself(ask: Asking) -> None:
    experiment = ask.experiment()
    run = ask.run(experiment)
    model = begun(ask, experiment, source_run_id=run)["info"]["model_id"]
    ask.upload(model[2:], "MLmodel", MLMODEL)
    finalized(ask, model)
    ask.model("risk")
    artifacts = f"mlflow-artifacts:/{experiment}/models/{model}/artifacts"
    for source, more in (
        (f"models:/{model}", {"model_id": model}),
        (artifacts, {"model_id": model}),
        (f"runs:/{run}/model", {"run_id": run}),
    ):
        made = ask.version("risk", source, **more)
        assert (made["source"], made["run_id"]) == (source, run)
        (record,) = ask.found("model_version", f"model.name = 'risk' AND version = {made['version']}")
        assert record["framework"] == {"name": "sklearn", "version": "1.9.1"}
        assert record["signature"]["inputs"][0]["name"] == "age"
        lineage = ask.ours("GET", f"lineage/{record['id']}?direction=upstream")
        assert (model[2:], record["id"], "derived_from") in {
            (link["upstream"], link["downstream"], link["type"]) for link in lineage["links"]
        }
    assert ask("GET", "model-versions/get-download-uri", name="risk", version="1") == {"artifact_uri": artifacts}
    tags = {tag["key"]: tag["value"] for tag in get(ask, model)["info"]["tags"]}
    assert tags["mlflow.modelVersions"] == '[{"name":"risk","version":1},{"name":"risk","version":2}]'
    unknown = {"name": "risk", "source": f"models:/{UNKNOWN}", "model_id": UNKNOWN}
    assert ask.refused("POST", "model-versions/create", unknown)[0] == 404
    other = {"name": "risk", "source": f"models:/{model}", "model_id": UNKNOWN}
    assert "must identify the resource" in ask.refused("POST", "model-versions/create", other)[1]
