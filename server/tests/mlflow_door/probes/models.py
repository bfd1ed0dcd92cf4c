"""Logged models."""

from __future__ import annotations

from typing import Any

from mlflow_door.calls import Call, Case, call, case, get, post
from mlflow_door.probes.runs import EXPERIMENT, NONE, RUN, batch, metric, tag

NEW = (EXPERIMENT, post("logged-models", {"experiment_id": "$e", "name": "model"}, m="model.info.model_id"))
LOOK = get("logged-models/$m")
UNKNOWN = "m-" + NONE


def finalize(status: Any) -> Call:
    return call("PATCH", "logged-models/$m", {"model_id": "$m", "status": status})


def tags(*given: Any) -> Call:
    return call("PATCH", "logged-models/$m/tags", {"tags": list(given)})


def params(*given: Any) -> Call:
    return post("logged-models/$m/params", {"model_id": "$m", "params": list(given)})


LIFE = [
    case(
        "create, get",
        *NEW,
        LOOK,
        call("GET", "logged-models/$m", {}),
        get("logged-models/" + UNKNOWN),
        get("logged-models/nonsense"),
        get("logged-models/"),
    ),
    case(
        "create with everything",
        EXPERIMENT,
        RUN,
        post(
            "logged-models",
            {
                "experiment_id": "$e",
                "name": "model",
                "model_type": "agent",
                "source_run_id": "$r",
                "params": [tag("b", "2"), tag("a", "1")],
                "tags": [tag("d", "4"), tag("c", "3")],
            },
            m="model.info.model_id",
        ),
        LOOK,
    ),
    case(
        "create from a run with an end",
        EXPERIMENT,
        RUN,
        post("logged-models", {"experiment_id": "$e", "name": "model", "source_run_id": "$r"}, m="model.info.model_id"),
        finalize("LOGGED_MODEL_READY"),
        LOOK,
        finalize("LOGGED_MODEL_PENDING"),
        finalize("LOGGED_MODEL_UPLOAD_FAILED"),
        finalize("LOGGED_MODEL_STATUS_UNSPECIFIED"),
        finalize("READY"),
        finalize(2),
        finalize(17),
        finalize(""),
        finalize(None),
        call("PATCH", "logged-models/$m", {"model_id": "$m"}),
        call("PATCH", "logged-models/" + UNKNOWN, {"model_id": UNKNOWN, "status": "LOGGED_MODEL_READY"}),
        call("PATCH", "logged-models/$m", {"status": "LOGGED_MODEL_READY"}),
        call("PATCH", "logged-models/$m", {"status": "LOGGED_MODEL_READY", "model_id": UNKNOWN}),
    ),
    *(
        case(f"create: {why}", EXPERIMENT, post("logged-models", body))
        for why, body in {
            "no experiment": {"name": "model"},
            "unknown experiment": {"experiment_id": "987654321", "name": "model"},
            "odd experiment": {"experiment_id": "abc", "name": "model"},
            "no name": {"experiment_id": "$e"},
            "empty name": {"experiment_id": "$e", "name": ""},
            "name with slash": {"experiment_id": "$e", "name": "a/b"},
            "name with colon": {"experiment_id": "$e", "name": "a:b"},
            "name with dot": {"experiment_id": "$e", "name": "a.b"},
            "name with percent": {"experiment_id": "$e", "name": "a%b"},
            "name with quote": {"experiment_id": "$e", "name": "a'b"},
            "name with double quote": {"experiment_id": "$e", "name": 'a"b'},
            "name with blank": {"experiment_id": "$e", "name": "a b"},
            "long name": {"experiment_id": "$e", "name": "n" * 600},
            "number as name": {"experiment_id": "$e", "name": 5},
            "unknown run": {"experiment_id": "$e", "name": "model", "source_run_id": NONE},
            "a param twice": {"experiment_id": "$e", "name": "model", "params": [tag("k", "1"), tag("k", "2")]},
            "a tag twice": {"experiment_id": "$e", "name": "model", "tags": [tag("k", "1"), tag("k", "2")]},
            "param key odd": {"experiment_id": "$e", "name": "model", "params": [tag("a?b")]},
            "param key long": {"experiment_id": "$e", "name": "model", "params": [tag("k" * 251)]},
            "param value of 6001": {"experiment_id": "$e", "name": "model", "params": [tag("k", "v" * 6001)]},
            "tag key odd": {"experiment_id": "$e", "name": "model", "tags": [tag("a?b")]},
            "tag key long": {"experiment_id": "$e", "name": "model", "tags": [tag("k" * 251)]},
            "tag value of 8001": {"experiment_id": "$e", "name": "model", "tags": [tag("k", "v" * 8001)]},
            "params no list": {"experiment_id": "$e", "name": "model", "params": "x"},
            "101 params": {
                "experiment_id": "$e",
                "name": "model",
                "params": [tag(f"k{place}") for place in range(101)],
            },
            "tag without value": {"experiment_id": "$e", "name": "model", "tags": [{"key": "k"}]},
            "camelCase": {"experimentId": "$e", "name": "model", "modelType": "x"},
        }.items()
    ),
    case(
        "create in a deleted experiment",
        EXPERIMENT,
        post("experiments/delete", {"experiment_id": "$e"}),
        post("logged-models", {"experiment_id": "$e", "name": "model"}),
    ),
    case(
        "delete",
        *NEW,
        call("DELETE", "logged-models/$m"),
        LOOK,
        call("DELETE", "logged-models/$m"),
        finalize("LOGGED_MODEL_READY"),
        tags(tag("k")),
        params(tag("p")),
        call("DELETE", "logged-models/" + UNKNOWN),
        post("logged-models/search", {"experiment_ids": ["$e"]}),
        get("logged-models/$m", allow_deleted="true"),
        get("logged-models/$m", allow_deleted="maybe"),
    ),
    case(
        "tags",
        *NEW,
        tags(tag("b", "1"), tag("a", "2")),
        LOOK,
        tags(tag("b", "3")),
        LOOK,
        call("DELETE", "logged-models/$m/tags/b"),
        call("DELETE", "logged-models/$m/tags/b"),
        LOOK,
        tags(),
        tags({"key": "n"}),
        tags({"value": "v"}),
        tags(tag("a?b")),
        tags(tag("k" * 251)),
        tags(tag("k", "v" * 8001)),
        tags(tag("d", "1"), tag("d", "2")),
        call("PATCH", "logged-models/$m/tags", {}),
        call("PATCH", "logged-models/$m/tags", {"tags": "x"}),
        call("PATCH", "logged-models/" + UNKNOWN + "/tags", {"tags": [tag("k")]}),
        call("DELETE", "logged-models/" + UNKNOWN + "/tags/k"),
        call("DELETE", "logged-models/$m/tags/a%2Fb"),
        tags(tag("a/b")),
        call("DELETE", "logged-models/$m/tags/a%2Fb"),
        call("DELETE", "logged-models/$m/tags/a/b"),
        LOOK,
    ),
    case(
        "params",
        *NEW,
        params(tag("b", "1"), tag("a", "2")),
        LOOK,
        params(tag("b", "1")),
        params(tag("b", "3")),
        params(tag("c", "1"), tag("c", "1")),
        params(),
        params({"key": "n"}),
        params({"value": "v"}),
        params(tag("a?b")),
        params(tag("k" * 251)),
        params(tag("k", "v" * 6001)),
        post("logged-models/$m/params", {"model_id": "$m"}),
        post("logged-models/$m/params", {"model_id": "$m", "params": "x"}),
        post("logged-models/" + UNKNOWN + "/params", {"model_id": UNKNOWN, "params": [tag("k")]}),
        post("logged-models/$m/params", {"params": [tag("k")]}),
        LOOK,
    ),
    case(
        "metrics",
        EXPERIMENT,
        RUN,
        post("logged-models", {"experiment_id": "$e", "name": "model", "source_run_id": "$r"}, m="model.info.model_id"),
        batch(
            metrics=[
                metric("acc", 0.5, 1, step=1, model_id="$m"),
                metric("acc", 0.7, 2, step=2, model_id="$m"),
                metric("loss", 3, 1, model_id="$m", dataset_name="d", dataset_digest="x"),
            ]
        ),
        LOOK,
        post(
            "runs/log-metric",
            {"run_id": "$r", **metric("one", 1, 1, model_id="$m", dataset_name="d", dataset_digest="x")},
        ),
        LOOK,
        get("runs/get", run_id="$r"),
        get("metrics/get-history", run_id="$r", metric_key="acc"),
        get("metrics/get-history", run_id="$r", metric_key="loss"),
    ),
    case(
        "metrics in an odd order",
        EXPERIMENT,
        RUN,
        post("logged-models", {"experiment_id": "$e", "name": "model"}, m="model.info.model_id"),
        *(
            batch(metrics=[metric("acc", value, when, step=step, model_id="$m")])
            for value, when, step in ((5, 10, 1), (4, 9, 2), (6, 9, 2), (1, 100, 0))
        ),
        LOOK,
        batch(metrics=[metric("acc", "NaN", 5, step=9, model_id="$m"), metric("inf", "Infinity", 5, model_id="$m")]),
        LOOK,
    ),
    case(
        "directories",
        *NEW,
        get("logged-models/$m/artifacts/directories"),
        call("PUT", "/api/2.0/mlflow-artifacts/artifacts/$e/models/$m/artifacts/a.txt", b"text"),
        call("PUT", "/api/2.0/mlflow-artifacts/artifacts/$e/models/$m/artifacts/sub/b.txt", b"more"),
        get("logged-models/$m/artifacts/directories"),
        get("logged-models/$m/artifacts/directories", artifact_directory_path="sub"),
        get("logged-models/$m/artifacts/directories", artifact_directory_path="none"),
        get("logged-models/$m/artifacts/directories", artifact_directory_path="../x"),
        get("logged-models/" + UNKNOWN + "/artifacts/directories"),
        get("/ajax-api/2.0/mlflow/logged-models/$m/artifacts/files", artifact_file_path="sub/b.txt"),
        get("/ajax-api/2.0/mlflow/logged-models/$m/artifacts/files", artifact_file_path="none"),
        get("/ajax-api/2.0/mlflow/logged-models/$m/artifacts/files"),
    ),
]

MANY = (
    EXPERIMENT,
    RUN,
    post(
        "logged-models",
        {
            "experiment_id": "$e",
            "name": "b",
            "model_type": "agent",
            "source_run_id": "$r",
            "params": [tag("p", "1")],
            "tags": [tag("t", "x")],
        },
        m="model.info.model_id",
        m1="model.info.model_id",
    ),
    batch(
        metrics=[
            metric("acc", 0.5, 1, model_id="$m1"),
            metric("acc", 0.9, 2, step=1, model_id="$m1", dataset_name="d", dataset_digest="x"),
        ]
    ),
    call("PATCH", "logged-models/$m1", {"status": "LOGGED_MODEL_READY"}),
    post(
        "logged-models",
        {"experiment_id": "$e", "name": "a", "params": [tag("p", "2"), tag("odd key", "Abc")], "tags": [tag("t", "y")]},
        m2="model.info.model_id",
    ),
    batch(metrics=[metric("acc", 0.7, 1, model_id="$m2")]),
    post("logged-models", {"experiment_id": "$e", "name": "c"}, m3="model.info.model_id"),
)


def search(**asked: Any) -> Call:
    return post("logged-models/search", {"experiment_ids": ["$e"], **asked})


def by(name: Any, *, ascending: Any = None, **more: Any) -> dict[str, Any]:
    return {"field_name": name, **({} if ascending is None else {"ascending": ascending}), **more}


FILTERS = (
    "name = 'a'",
    "name != 'a'",
    "name LIKE 'A'",
    "name ILIKE 'A'",
    "name IN ('a', 'b')",
    "name NOT IN ('a')",
    "name > 'a'",
    "name = a",
    "name = 5",
    "attributes.name = 'a'",
    "attribute.name = 'a'",
    "attributes.model_id = '$m1'",
    "model_id = '$m1'",
    "model_id IN ('$m1')",
    "model_type = 'agent'",
    "model_type != 'agent'",
    "status = 'READY'",
    "status = 'LOGGED_MODEL_READY'",
    "status != 'READY'",
    "status = 1",
    "source_run_id = '$r'",
    "source_run_id != '$r'",
    "experiment_id = '$e'",
    "creation_timestamp > 1",
    "creation_timestamp_ms > 1",
    "creation_time > 1",
    "last_updated_timestamp > 1",
    "last_updated_timestamp_ms > '1'",
    "metrics.acc > 0.6",
    "metrics.acc >= 0.5",
    "metrics.acc = 0.5",
    "metrics.acc != 0.5",
    "metric.acc > 0.6",
    "metrics.acc > '0.6'",
    "metrics.none > 0",
    "params.p = '1'",
    "params.p != '1'",
    "params.p LIKE '1%'",
    "params.`odd key` = 'Abc'",
    "params.p = 1",
    "params.none != '1'",
    "params.p > '1'",
    "tags.t = 'x'",
    "tags.t != 'x'",
    "tags.t LIKE 'X'",
    "tags.t ILIKE 'X'",
    "tags.t IN ('x')",
    "tags.none != 'x'",
    "tags.t IS NULL",
    "tags.t IS NOT NULL",
    "tags.t > 'x'",
    "nonsense = 'x'",
    "nonsense.x = 'y'",
    "name = 'a' OR name = 'b'",
    "(name = 'a')",
    "name =",
    "garbage",
    "name = 'x",
    "name = 'a' AND tags.t = 'y'",
    "name == 'a'",
    "lifecycle_stage = 'active'",
    "artifact_location = 'x'",
    "dataset.name = 'd'",
    "",
    " ",
)
SEARCHING = [
    case(
        "search",
        *MANY,
        search(),
        post("logged-models/search", {}),
        post("logged-models/search", {"experiment_ids": []}),
        post("logged-models/search", {"experiment_ids": ["987654321"]}),
        post("logged-models/search", {"experiment_ids": ["abc"]}),
        post("logged-models/search", {"experiment_ids": "$e"}),
        post("logged-models/search", {"experimentIds": ["$e"]}),
        call("DELETE", "logged-models/$m2"),
        search(),
    ),
    case(
        "search: filters",
        *MANY,
        *(search(filter=filter_) for filter_ in FILTERS),
        search(filter=5),
        search(filter=None),
    ),
    case(
        "search: datasets",
        *MANY,
        *(
            search(filter="metrics.acc > 0.6", datasets=given)
            for given in (
                [],
                [{"dataset_name": "d"}],
                [{"dataset_name": "d", "dataset_digest": "x"}],
                [{"dataset_name": "d", "dataset_digest": "other"}],
                [{"dataset_name": "none"}],
                [{}],
                [{"dataset_digest": "x"}],
                "d",
            )
        ),
        search(datasets=[{"dataset_name": "d"}]),
    ),
    case(
        "search: orders",
        *MANY,
        *(
            search(order_by=order)
            for order in (
                [by("name")],
                [by("name", ascending=True)],
                [by("name", ascending=False)],
                [by("creation_timestamp")],
                [by("creation_timestamp", ascending=False)],
                [by("creation_timestamp_ms", ascending=True)],
                [by("creation_time", ascending=True)],
                [by("last_updated_timestamp", ascending=True)],
                [by("last_updated_timestamp_ms", ascending=True)],
                [by("model_type", ascending=True)],
                [by("status", ascending=True)],
                [by("source_run_id", ascending=True)],
                [by("metrics.acc")],
                [by("metrics.acc", ascending=True)],
                [by("metrics.acc", ascending=False)],
                [by("metrics.acc", ascending=True, dataset_name="d")],
                [by("metrics.acc", ascending=True, dataset_name="d", dataset_digest="x")],
                [by("metrics.acc", ascending=True, dataset_digest="x")],
                [by("metrics.none", ascending=True)],
                [by("params.p", ascending=True)],
                [by("tags.t", ascending=True)],
                [by("nonsense", ascending=True)],
                [by("")],
                [{}],
                [{"ascending": True}],
                "name",
                ["name"],
                [by("name", ascending="yes")],
                [by("name", ascending=True), by("name", ascending=False)],
                [by("attributes.name", ascending=True)],
                [by("model_type", ascending=True), by("name", ascending=False)],
                [by("name", ascending=True, dataset_name="d")],
                [by("metrics.`acc`", ascending=True)],
                [by("experiment_id", ascending=True), by("name", ascending=True)],
                None,
                [],
            )
        ),
    ),
    case(
        "search: pages",
        *MANY,
        Call(
            "POST",
            "logged-models/search",
            {"experiment_ids": ["$e"], "max_results": 2},
            save=(("t", "next_page_token"),),
        ),
        search(max_results=2, page_token="$t"),
        search(page_token="$t"),
        search(max_results=2, page_token="$t", filter="name = 'a'"),
        search(max_results=3),
        *(search(max_results=count, filter="name = 'none'") for count in (0, -1, 50, 51, 1000, "2", "x", None)),
        *(search(page_token=token, filter="name = 'none'") for token in ("garbage", "", 5, "eyJvZmZzZXQiOiAieCJ9")),
    ),
]

CASES: list[Case] = [*LIFE, *SEARCHING]
