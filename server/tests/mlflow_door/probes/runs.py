"""Runs: their life, parameters, tags and the metrics that are written to them."""

from __future__ import annotations

from typing import Any

from mlflow_door.calls import NONE, Call, Case, call, case, get, post

EXPERIMENT = post("experiments/create", {"name": "$u-e"}, e="experiment_id")
RUN = post(
    "runs/create", {"experiment_id": "$e", "run_name": "a run", "start_time": 5, "user_id": "ann"}, r="run.info.run_id"
)
NEW = (EXPERIMENT, RUN)
LOOK = get("runs/get", run_id="$r")
GONE = post("runs/delete", {"run_id": "$r"})


def tag(key: str, value: str = "v") -> dict[str, str]:
    return {"key": key, "value": value}


def metric(key: str, value: Any = 1, timestamp: Any = 1, **more: Any) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": timestamp, **more}


def create(**body: Any) -> Call:
    return post("runs/create", {"experiment_id": "$e", **body}, r="run.info.run_id")


def batch(**body: Any) -> Call:
    return post("runs/log-batch", {"run_id": "$r", **body})


CREATING = [
    case("create", EXPERIMENT, RUN, LOOK, get("runs/get", run_uuid="$r"), get("runs/get", run_id="$r", run_uuid="$r")),
    *(
        case(f"create: {why}", EXPERIMENT, create(**body), LOOK)
        for why, body in {
            "nothing else": {},
            "name only": {"run_name": "n"},
            "empty name": {"run_name": ""},
            "blank name": {"run_name": "  "},
            "start_time as string": {"start_time": "123"},
            "start_time zero": {"start_time": 0},
            "start_time negative": {"start_time": -5},
            "user": {"user_id": "bob"},
            "empty user": {"user_id": ""},
            "tags": {"tags": [tag("b"), tag("a"), tag("mlflow.user", "eve"), tag("mlflow.source.name", "x.py")]},
            "name as tag": {"tags": [tag("mlflow.runName", "by tag")]},
            "name twice, alike": {"run_name": "n", "tags": [tag("mlflow.runName", "n")]},
            "name twice": {"run_name": "n", "tags": [tag("mlflow.runName", "m")]},
            "empty name as tag": {"tags": [tag("mlflow.runName", "")]},
            "parent": {"tags": [tag("mlflow.parentRunId", NONE)]},
            "source tags": {"tags": [tag("mlflow.source.type", "LOCAL"), tag("mlflow.source.git.commit", "abc")]},
            "camelCase": {"runName": "camel", "startTime": 7, "userId": "ann"},
            "unknown field": {"nonsense": 1},
            "long name": {"run_name": "n" * 300},
            "tag value of 8001": {"tags": [tag("k", "v" * 8001)]},
            "tag with empty value": {"tags": [tag("k", "")]},
            "start_time large": {"start_time": 2**53},
        }.items()
    ),
    *(
        case(f"create refused: {why}", EXPERIMENT, post("runs/create", body))
        for why, body in {
            "no experiment": {},
            "empty experiment": {"experiment_id": ""},
            "none": {"experiment_id": "987654321"},
            "no number": {"experiment_id": "abc"},
            "number": {"experiment_id": 987654321},
            "start_time text": {"experiment_id": "$e", "start_time": "x"},
            "start_time fraction": {"experiment_id": "$e", "start_time": 1.5},
            "start_time whole float": {"experiment_id": "$e", "start_time": 2.0},
            "start_time bool": {"experiment_id": "$e", "start_time": True},
            "start_time too large": {"experiment_id": "$e", "start_time": 2**63},
            "name number": {"experiment_id": "$e", "run_name": 5},
            "tag twice": {"experiment_id": "$e", "tags": [tag("k", "1"), tag("k", "2")]},
            "tag key odd": {"experiment_id": "$e", "tags": [tag("a?b")]},
            "tag key long": {"experiment_id": "$e", "tags": [tag("k" * 251)]},
            "tag without key": {"experiment_id": "$e", "tags": [{"value": "v"}]},
            "tag without value": {"experiment_id": "$e", "tags": [{"key": "k"}]},
            "tags no list": {"experiment_id": "$e", "tags": {"k": "v"}},
            "tag no object": {"experiment_id": "$e", "tags": ["k"]},
            "tag null": {"experiment_id": "$e", "tags": [None]},
            "tag value number": {"experiment_id": "$e", "tags": [{"key": "k", "value": 5}]},
            "tags null": {"experiment_id": "$e", "tags": None},
        }.items()
    ),
]

LIFE = [
    case(
        "end, delete, restore",
        *NEW,
        post("runs/update", {"run_id": "$r", "status": "FINISHED", "end_time": 9}),
        LOOK,
        GONE,
        LOOK,
        GONE,
        post("runs/restore", {"run_id": "$r"}),
        LOOK,
        post("runs/restore", {"run_id": "$r"}),
    ),
    *(
        case(f"update: {why}", *NEW, post("runs/update", {"run_id": "$r", **body}), LOOK)
        for why, body in {
            "nothing": {},
            "FAILED": {"status": "FAILED"},
            "KILLED": {"status": "KILLED"},
            "SCHEDULED": {"status": "SCHEDULED"},
            "RUNNING": {"status": "RUNNING"},
            "UNFINISHED": {"status": "UNFINISHED"},
            "lower case": {"status": "finished"},
            "status as number": {"status": 3},
            "status as other number": {"status": 17},
            "status empty": {"status": ""},
            "status null": {"status": None},
            "end_time only": {"end_time": 9},
            "end_time text": {"end_time": "9"},
            "end_time odd": {"end_time": "x"},
            "end_time fraction": {"end_time": 1.5},
            "end_time zero": {"status": "FINISHED", "end_time": 0},
            "end_time before start": {"status": "FINISHED", "end_time": 1},
            "name": {"run_name": "new"},
            "empty name": {"run_name": ""},
            "name number": {"run_name": 5},
            "camelCase": {"endTime": 9, "runName": "camel"},
        }.items()
    ),
    case(
        "end and go on",
        *NEW,
        post("runs/update", {"run_id": "$r", "status": "FINISHED", "end_time": 9}),
        post("runs/update", {"run_id": "$r", "status": "RUNNING"}),
        LOOK,
        post("runs/log-metric", {"run_id": "$r", **metric("m")}),
        batch(params=[tag("p")]),
    ),
    case("update by run_uuid", *NEW, post("runs/update", {"run_uuid": "$r", "status": "FINISHED", "end_time": 9})),
    case("update: no id", post("runs/update", {"status": "FINISHED"})),
    case("update: none", post("runs/update", {"run_id": NONE, "status": "FINISHED"})),
    case("get: none", get("runs/get", run_id=NONE)),
    case("get: no id", get("runs/get")),
    case("get: empty", get("runs/get", run_id="")),
    case("get: odd id", get("runs/get", run_id="a/../b")),
    case("get by body", *NEW, call("GET", "runs/get", {"run_id": "$r"})),
    case("get: upper case", *NEW, get("runs/get", run_id=NONE.upper())),
    case("get: number in a body", call("GET", "runs/get", {"run_id": 5})),
    *(
        case(f"{verb}: {why}", post(f"runs/{verb}", body))
        for verb in ("delete", "restore")
        for why, body in {
            "no id": {},
            "none": {"run_id": NONE},
            "number": {"run_id": 5},
            "run_uuid": {"run_uuid": NONE},
        }.items()
    ),
    case(
        "everything of a deleted run",
        *NEW,
        GONE,
        post("runs/update", {"run_id": "$r", "status": "FINISHED"}),
        post("runs/log-metric", {"run_id": "$r", **metric("m")}),
        post("runs/log-parameter", {"run_id": "$r", **tag("p")}),
        post("runs/set-tag", {"run_id": "$r", **tag("t")}),
        post("runs/delete-tag", {"run_id": "$r", "key": "t"}),
        batch(metrics=[metric("m")]),
        batch(),
        post("runs/log-inputs", {"run_id": "$r", "datasets": []}),
        post("runs/outputs", {"run_id": "$r", "models": [{"model_id": "m-" + NONE, "step": 0}]}),
        get("metrics/get-history", run_id="$r", metric_key="m"),
        get("artifacts/list", run_id="$r"),
    ),
]

TAGS = [
    case(
        "set, overwrite, delete",
        *NEW,
        post("runs/set-tag", {"run_id": "$r", **tag("b", "1")}),
        post("runs/set-tag", {"run_id": "$r", **tag("b", "2")}),
        post("runs/set-tag", {"run_uuid": "$r", "run_id": "$r", **tag("a", "3")}),
        LOOK,
        post("runs/delete-tag", {"run_id": "$r", "key": "b"}),
        LOOK,
        post("runs/delete-tag", {"run_id": "$r", "key": "b"}),
    ),
    *(
        case(f"set-tag: {why}", *NEW, post("runs/set-tag", body), LOOK)
        for why, body in {
            "run_uuid": {"run_uuid": "$r", **tag("k")},
            "name": {"run_id": "$r", **tag("mlflow.runName", "by tag")},
            "empty name": {"run_id": "$r", **tag("mlflow.runName", "")},
            "user": {"run_id": "$r", **tag("mlflow.user", "eve")},
            "parent": {"run_id": "$r", **tag("mlflow.parentRunId", "$r")},
            "note": {"run_id": "$r", **tag("mlflow.note.content", "# text")},
            "no value": {"run_id": "$r", "key": "k"},
            "null value": {"run_id": "$r", "key": "k", "value": None},
            "number": {"run_id": "$r", "key": "k", "value": 5},
            "no key": {"run_id": "$r", "value": "v"},
            "empty key": {"run_id": "$r", **tag("")},
            "no run": tag("k"),
            "unknown run": {"run_id": NONE, **tag("k")},
            "odd run id": {"run_id": "a b", **tag("k")},
            "odd key": {"run_id": "$r", **tag("a?b")},
            "key ..": {"run_id": "$r", **tag("..")},
            "key .": {"run_id": "$r", **tag(".")},
            "key a//b": {"run_id": "$r", **tag("a//b")},
            "key a/b": {"run_id": "$r", **tag("a/b")},
            "key with slash last": {"run_id": "$r", **tag("a/")},
            "key of 250": {"run_id": "$r", **tag("k" * 250)},
            "key of 251": {"run_id": "$r", **tag("k" * 251)},
            "key in other letters": {"run_id": "$r", **tag("größe", "ü")},
            "key with colon and blank": {"run_id": "$r", **tag("a: b")},
            "key with a line": {"run_id": "$r", **tag("a\nb")},
            "value of 8000": {"run_id": "$r", **tag("k", "v" * 8000)},
            "value of 8001": {"run_id": "$r", **tag("k", "v" * 8001)},
            "value with zero": {"run_id": "$r", **tag("k", "a\0b")},
        }.items()
    ),
    case("delete-tag: no key", *NEW, post("runs/delete-tag", {"run_id": "$r"})),
    case("delete-tag: none", post("runs/delete-tag", {"run_id": NONE, "key": "k"})),
    case("delete-tag: the name", *NEW, post("runs/delete-tag", {"run_id": "$r", "key": "mlflow.runName"}), LOOK),
    case(
        "rename and look at the tag",
        *NEW,
        post("runs/update", {"run_id": "$r", "run_name": "new"}),
        LOOK,
        batch(tags=[tag("mlflow.runName", "batch")]),
        LOOK,
    ),
]

PARAMS = [
    case(
        "log-parameter",
        *NEW,
        post("runs/log-parameter", {"run_id": "$r", **tag("p", "1")}),
        post("runs/log-parameter", {"run_id": "$r", **tag("p", "1")}),
        post("runs/log-parameter", {"run_id": "$r", **tag("p", "2")}),
        post("runs/log-parameter", {"run_uuid": "$r", **tag("q", "1")}),
        LOOK,
    ),
    *(
        case(f"log-parameter: {why}", *NEW, post("runs/log-parameter", body), LOOK)
        for why, body in {
            "no value": {"run_id": "$r", "key": "p"},
            "empty value": {"run_id": "$r", **tag("p", "")},
            "number": {"run_id": "$r", "key": "p", "value": 5},
            "null value": {"run_id": "$r", "key": "p", "value": None},
            "no key": {"run_id": "$r", "value": "1"},
            "empty key": {"run_id": "$r", **tag("", "1")},
            "odd key": {"run_id": "$r", **tag("a?b")},
            "key ..": {"run_id": "$r", **tag("../a")},
            "key of 251": {"run_id": "$r", **tag("k" * 251)},
            "value of 6000": {"run_id": "$r", **tag("p", "v" * 6000)},
            "value of 6001": {"run_id": "$r", **tag("p", "v" * 6001)},
            "no run": tag("p"),
            "unknown run": {"run_id": NONE, **tag("p")},
        }.items()
    ),
]

METRICS = [
    case(
        "log-metric",
        *NEW,
        post("runs/log-metric", {"run_id": "$r", **metric("m", 0.5, 10, step=3)}),
        post("runs/log-metric", {"run_uuid": "$r", **metric("n", "1.5", "10", step="4")}),
        LOOK,
        get("metrics/get-history", run_id="$r", metric_key="n"),
    ),
    case(
        "the latest value",
        *NEW,
        *(
            post("runs/log-metric", {"run_id": "$r", **metric("m", value, when, step=step)})
            for value, when, step in ((5, 10, 1), (4, 9, 2), (6, 9, 2), (7, 8, 2), (1, 100, 0), (6, 9, 2))
        ),
        LOOK,
        get("metrics/get-history", run_id="$r", metric_key="m"),
    ),
    case(
        "values that are no numbers",
        *NEW,
        *(
            post("runs/log-metric", {"run_id": "$r", **metric(f"m{place}", value)})
            for place, value in enumerate(
                (
                    "NaN",
                    "Infinity",
                    "-Infinity",
                    "nan",
                    "inf",
                    "1e400",
                    1e308,
                    -0.0,
                    5e-324,
                    "0x10",
                    "1_0",
                    True,
                    None,
                    "",
                    "x",
                    [1],
                    {"a": 1},
                )
            )
        ),
        LOOK,
    ),
    case(
        "NaN and numbers at a step",
        *NEW,
        batch(metrics=[metric("m", "NaN"), metric("m", 1)]),
        LOOK,
        batch(metrics=[metric("n", 1), metric("n", "NaN")]),
        LOOK,
        batch(metrics=[metric("o", "-Infinity"), metric("o", "NaN")]),
        LOOK,
        batch(metrics=[metric("p", "Infinity"), metric("p", "NaN")]),
        LOOK,
        *(get("metrics/get-history", run_id="$r", metric_key=key) for key in "mnop"),
    ),
    *(
        case(f"log-metric: {why}", *NEW, post("runs/log-metric", body), LOOK)
        for why, body in {
            "no run": metric("m"),
            "unknown run": {"run_id": NONE, **metric("m")},
            "no key": {"run_id": "$r", "value": 1, "timestamp": 1},
            "empty key": {"run_id": "$r", **metric("")},
            "no value": {"run_id": "$r", "key": "m", "timestamp": 1},
            "no timestamp": {"run_id": "$r", "key": "m", "value": 1},
            "timestamp zero": {"run_id": "$r", **metric("m", 1, 0)},
            "timestamp negative": {"run_id": "$r", **metric("m", 1, -1)},
            "timestamp text": {"run_id": "$r", **metric("m", 1, "x")},
            "timestamp too large": {"run_id": "$r", **metric("m", 1, 2**63)},
            "timestamp largest": {"run_id": "$r", **metric("m", 1, 2**63 - 1)},
            "step negative": {"run_id": "$r", **metric("m", 1, 1, step=-7)},
            "step least": {"run_id": "$r", **metric("m", 1, 1, step=-(2**63))},
            "step too large": {"run_id": "$r", **metric("m", 1, 1, step=2**63)},
            "step text": {"run_id": "$r", **metric("m", 1, 1, step="x")},
            "step null": {"run_id": "$r", **metric("m", 1, 1, step=None)},
            "odd key": {"run_id": "$r", **metric("a?b")},
            "key ..": {"run_id": "$r", **metric("a/../b")},
            "key /a": {"run_id": "$r", **metric("/a")},
            "key of 250": {"run_id": "$r", **metric("k" * 250)},
            "key of 251": {"run_id": "$r", **metric("k" * 251)},
            "key in other letters": {"run_id": "$r", **metric("größe")},
            "of a dataset": {"run_id": "$r", **metric("m", dataset_name="d", dataset_digest="x")},
            "of a model that is none": {"run_id": "$r", **metric("m", model_id="m-" + NONE)},
            "dataset without digest": {"run_id": "$r", **metric("m", dataset_name="d")},
        }.items()
    ),
]

BATCHES = [
    case(
        "a batch",
        *NEW,
        batch(
            metrics=[metric("m", 1, 1, step=1), metric("m", 2, 2, step=2), metric("a", 3)],
            params=[tag("p", "1"), tag("b", "2")],
            tags=[tag("t", "1"), tag("c", "2")],
        ),
        LOOK,
        batch(),
        batch(metrics=[], params=[], tags=[]),
    ),
    case(
        "a batch again",
        *NEW,
        batch(metrics=[metric("m")], params=[tag("p", "1")]),
        batch(metrics=[metric("m")], params=[tag("p", "1")]),
        batch(params=[tag("p", "2"), tag("q", "1")]),
        batch(params=[tag("p", "3"), tag("r", "1")], metrics=[metric("late")], tags=[tag("late")]),
        LOOK,
        get("metrics/get-history", run_id="$r", metric_key="m"),
    ),
    *(
        case(f"batch: {why}", *NEW, batch(**body), LOOK)
        for why, body in {
            "a param twice": {"params": [tag("d", "1"), tag("d", "2"), tag("e", "1"), tag("e", "1")]},
            "a param twice alike": {"params": [tag("d", "1"), tag("d", "1")]},
            "a tag twice": {"tags": [tag("d", "1"), tag("d", "2")]},
            "metric without key": {"metrics": [metric("m"), {"value": 1, "timestamp": 1}]},
            "metric without value": {"metrics": [{"key": "m", "timestamp": 1}]},
            "metric without timestamp": {"metrics": [{"key": "m", "value": 1}]},
            "metric with empty key": {"metrics": [metric("")]},
            "metric value null": {"metrics": [metric("m", None)]},
            "metric value text": {"metrics": [metric("m", "x")]},
            "metric value of digits": {"metrics": [metric("m", "2.5", "7", step="3")]},
            "metric value NaN": {"metrics": [metric("m", "NaN"), metric("n", "Infinity"), metric("o", "-Infinity")]},
            "metric timestamp negative": {"metrics": [metric("m", 1, -1)]},
            "metric timestamp fraction": {"metrics": [metric("m", 1, 1.5)]},
            "metric timestamp whole float": {"metrics": [metric("m", 1, 2.0)]},
            "metric key odd": {"metrics": [metric("m"), metric("a?b")]},
            "metric key long": {"metrics": [metric("k" * 251)]},
            "metric null": {"metrics": [None]},
            "metric no object": {"metrics": [5]},
            "metrics no list": {"metrics": 5},
            "metrics null": {"metrics": None},
            "metric bool": {"metrics": [metric("m", value=True)]},
            "param without key": {"params": [{"value": "1"}]},
            "param without value": {"params": [{"key": "p"}]},
            "param value number": {"params": [{"key": "p", "value": 5}]},
            "param key odd": {"params": [tag("a?b")]},
            "param key long": {"params": [tag("k" * 251)]},
            "param value of 6001": {"params": [tag("p", "v" * 6001)]},
            "params no list": {"params": "p"},
            "tag without key": {"tags": [{"value": "1"}]},
            "tag without value": {"tags": [{"key": "t"}]},
            "tag key odd": {"tags": [tag("a?b")]},
            "tag value of 8001": {"tags": [tag("k", "v" * 8001)]},
            "tags no list": {"tags": {"a": "b"}},
            "1000 metrics": {"metrics": [metric("m", 1, place) for place in range(1000)]},
            "1001 metrics": {"metrics": [metric("m", 1, place) for place in range(1001)]},
            "101 params": {"params": [tag(f"p{place}") for place in range(101)]},
            "101 tags": {"tags": [tag(f"p{place}") for place in range(101)]},
            "1001 in all": {"metrics": [metric("m", 1, place) for place in range(1000)], "tags": [tag("t")]},
            "one wrong metric of two": {
                "metrics": [metric("good"), metric("bad", 1, -1)],
                "params": [tag("p")],
                "tags": [tag("t")],
            },
            "one wrong tag after the rest": {"metrics": [metric("good")], "params": [tag("p")], "tags": [tag("a?b")]},
            "name by tag": {"tags": [tag("mlflow.runName", "by tag")]},
            "camelCase": {
                "metrics": [
                    {"key": "m", "value": 1, "timestamp": 1, "modelId": "", "datasetName": "d", "datasetDigest": "x"}
                ]
            },
            "metric of a dataset": {"metrics": [metric("m", dataset_name="d", dataset_digest="x")]},
        }.items()
    ),
    case("batch: no run", post("runs/log-batch", {"metrics": [metric("m")]})),
    case("batch: unknown run", post("runs/log-batch", {"run_id": NONE, "metrics": [metric("m")]})),
    case("batch: unknown run, empty", post("runs/log-batch", {"run_id": NONE})),
    case("batch: run_uuid", *NEW, post("runs/log-batch", {"run_uuid": "$r", "metrics": [metric("m")]})),
    case("batch: odd run id", post("runs/log-batch", {"run_id": "a b", "metrics": [metric("m")]})),
    case(
        "log-model",
        *NEW,
        post(
            "runs/log-model",
            {
                "run_id": "$r",
                "model_json": '{"artifact_path": "model", "flavors": {}, "utc_time_created": "2020-01-01", "run_id": "$r"}',  # noqa: E501
            },
        ),
        LOOK,
        post("runs/log-model", {"run_id": "$r", "model_json": "{}"}),
        post("runs/log-model", {"run_id": "$r", "model_json": "{"}),
        post("runs/log-model", {"run_id": "$r"}),
    ),
]

CASES: list[Case] = [*CREATING, *LIFE, *TAGS, *PARAMS, *METRICS, *BATCHES]
