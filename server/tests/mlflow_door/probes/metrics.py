"""Histories of metrics, and the datasets and models that a run read and made."""

from __future__ import annotations

from typing import Any

from mlflow_door.calls import Call, Case, call, case, get, post
from mlflow_door.probes.runs import EXPERIMENT, LOOK, NEW, NONE, batch, metric, tag

AJAX = "/ajax-api/2.0/mlflow/"
POINTS = (
    *NEW,
    batch(metrics=[metric("m", step, 1000 + step, step=step) for step in range(10)]),
    batch(
        metrics=[
            metric("m", 50, 1003, step=3),
            metric("odd key/x", 1),
            metric("n", "NaN"),
            metric("n", "Infinity", 1, step=1),
        ]
    ),
    post("runs/create", {"experiment_id": "$e", "run_name": "other", "start_time": 6}, s="run.info.run_id"),
    post(
        "runs/log-batch",
        {"run_id": "$s", "metrics": [metric("m", -step, 2000 - step, step=step * 10) for step in range(4)]},
    ),
)
HISTORY = "metrics/get-history"
INTERVAL = AJAX + "metrics/get-history-bulk-interval"
BULK = AJAX + "metrics/get-history-bulk"


def history(**asked: str) -> Call:
    return get(HISTORY, ("run_id", "$r"), ("metric_key", "m"), **asked)


HISTORIES = [
    case(
        "history",
        *POINTS,
        history(),
        get(HISTORY, run_uuid="$r", metric_key="m"),
        get(HISTORY, run_id="$r", metric_key="n"),
        get(HISTORY, run_id="$r", metric_key="odd key/x"),
        get(HISTORY, run_id="$r", metric_key="none"),
        get(HISTORY, run_id=NONE, metric_key="m"),
        get(HISTORY, run_id="$r"),
        get(HISTORY, metric_key="m"),
        get(HISTORY, run_id="$r", metric_key=""),
        get(HISTORY),
        call("GET", HISTORY, {"run_id": "$r", "metric_key": "n"}),
    ),
    case(
        "history in pages",
        *POINTS,
        Call(
            "GET",
            HISTORY,
            query=(("run_id", "$r"), ("metric_key", "m"), ("max_results", "4")),
            save=(("t", "next_page_token"),),
        ),
        Call(
            "GET",
            HISTORY,
            query=(("run_id", "$r"), ("metric_key", "m"), ("max_results", "4"), ("page_token", "$t")),
            save=(("t", "next_page_token"),),
        ),
        history(max_results="4", page_token="$t"),
        history(max_results="11"),
        history(max_results="12"),
        history(max_results="1000000"),
        history(page_token="$t"),
        *(history(max_results=count) for count in ("0", "-1", "x", "1.5", "", "25001", "99999999999")),
        *(
            history(max_results="2", page_token=token)
            for token in ("garbage", "", "eyJvZmZzZXQiOiAieCJ9", "eyJhIjogMX0=")
        ),
    ),
    case(
        "bulk interval",
        *POINTS,
        *(
            get(path, ("run_ids", "$r"), ("run_ids", "$s"), ("metric_key", "m"), *asked)
            for path in (INTERVAL, "metrics/get-history-bulk-interval")
            for asked in (
                (),
                (("max_results", "3"),),
                (("max_results", "1"),),
                (("start_step", "2"), ("end_step", "5")),
                (("start_step", "2"), ("end_step", "5"), ("max_results", "2")),
            )
        ),
        *(
            get(INTERVAL, *asked)
            for asked in (
                (),
                (("run_ids", "$r"),),
                (("metric_key", "m"),),
                (("run_ids", ""), ("metric_key", "m")),
                (("run_ids", NONE), ("metric_key", "m")),
                (("run_ids", "$r"), ("metric_key", "none")),
                (("run_ids", "$r"), ("metric_key", "n")),
                (("run_ids", "$r"), ("metric_key", "m"), ("max_results", "0")),
                (("run_ids", "$r"), ("metric_key", "m"), ("max_results", "2501")),
                (("run_ids", "$r"), ("metric_key", "m"), ("max_results", "2500")),
                (("run_ids", "$r"), ("metric_key", "m"), ("max_results", "x")),
                (("run_ids", "$r"), ("metric_key", "m"), ("start_step", "1")),
                (("run_ids", "$r"), ("metric_key", "m"), ("end_step", "1")),
                (("run_ids", "$r"), ("metric_key", "m"), ("start_step", "5"), ("end_step", "2")),
                (("run_ids", "$r"), ("metric_key", "m"), ("start_step", "x"), ("end_step", "2")),
                (("run_ids", "$r"), ("run_ids", "$r"), ("metric_key", "m"), ("max_results", "2")),
                (*(("run_ids", "$r"),) * 100, ("metric_key", "none")),
                (*(("run_ids", "$r"),) * 101, ("metric_key", "m")),
            )
        ),
    ),
    case(
        "bulk",
        *POINTS,
        *(
            get(BULK, *asked)
            for asked in (
                (("run_id", "$r"), ("run_id", "$r"), ("metric_key", "m")),
                (("run_id", "$s"), ("metric_key", "m"), ("max_results", "2")),
                (("run_id", "$r"), ("metric_key", "n")),
                (),
                (("run_id", "$r"),),
                (("metric_key", "m"),),
                (("run_id", NONE), ("metric_key", "m")),
                (("run_id", "$r"), ("metric_key", "none")),
                (("run_id", "$r"), ("metric_key", "m"), ("max_results", "0")),
                (("run_id", "$s"), ("metric_key", "m"), ("max_results", "-1")),
                (("run_id", "$r"), ("metric_key", "m"), ("max_results", "x")),
                (*(("run_id", "$r"),) * 101, ("metric_key", "m")),
            )
        ),
        get("metrics/get-history-bulk", run_id="$r", metric_key="m"),
    ),
    case(
        "of a deleted run",
        *POINTS,
        post("runs/delete", {"run_id": "$s"}),
        get(HISTORY, run_id="$s", metric_key="m"),
        get(INTERVAL, run_ids="$s", metric_key="m"),
        get(BULK, run_id="$s", metric_key="m"),
    ),
]

FULL = {
    "name": "data",
    "digest": "abc",
    "source_type": "local",
    "source": '{"uri": "x"}',
    "schema": "{}",
    "profile": '{"rows": 1}',
}
LEAST = {"name": "least", "digest": "d", "source_type": "s3", "source": "s3://x"}


def inputs(**body: Any) -> Call:
    return post("runs/log-inputs", {"run_id": "$r", **body})


INPUTS = [
    case(
        "inputs",
        *NEW,
        inputs(
            datasets=[{"dataset": FULL, "tags": [tag("mlflow.data.context", "train"), tag("b")]}, {"dataset": LEAST}]
        ),
        LOOK,
        inputs(datasets=[{"dataset": FULL, "tags": [tag("mlflow.data.context", "test")]}]),
        LOOK,
        inputs(datasets=[{"dataset": {**FULL, "digest": "other"}, "tags": []}]),
        LOOK,
        post(AJAX + "experiments/search-datasets", {"experiment_ids": ["$e"]}),
        post("experiments/search-datasets", {"experiment_ids": ["$e"]}),
        post(AJAX + "experiments/search-datasets", {"experiment_ids": ["$e", "987654321"]}),
    ),
    case(
        "search datasets",
        EXPERIMENT,
        *(
            post(AJAX + "experiments/search-datasets", body)
            for body in (
                {"experiment_ids": ["$e"]},
                {},
                {"experiment_ids": []},
                {"experiment_ids": ["987654321"]},
                {"experiment_ids": ["x"]},
                {"experiment_ids": "$e"},
                {"experiment_ids": ["1"] * 21},
            )
        ),
    ),
    *(
        case(f"inputs: {why}", *NEW, post("runs/log-inputs", body), LOOK)
        for why, body in {
            "no run": {"datasets": [{"dataset": LEAST}]},
            "unknown run": {"run_id": NONE, "datasets": [{"dataset": LEAST}]},
            "nothing": {"run_id": "$r"},
            "no list": {"run_id": "$r", "datasets": 5},
            "empty": {"run_id": "$r", "datasets": []},
            "no dataset": {"run_id": "$r", "datasets": [{}]},
            "dataset null": {"run_id": "$r", "datasets": [{"dataset": None}]},
            **{
                f"no {missing}": {
                    "run_id": "$r",
                    "datasets": [{"dataset": {key: value for key, value in LEAST.items() if key != missing}}],
                }
                for missing in LEAST
            },
            "empty name": {"run_id": "$r", "datasets": [{"dataset": {**LEAST, "name": ""}}]},
            "name of 501": {"run_id": "$r", "datasets": [{"dataset": {**LEAST, "name": "n" * 501}}]},
            "digest of 37": {"run_id": "$r", "datasets": [{"dataset": {**LEAST, "digest": "n" * 37}}]},
            "source of 65536": {"run_id": "$r", "datasets": [{"dataset": {**LEAST, "source": "n" * 65536}}]},
            "schema too long": {"run_id": "$r", "datasets": [{"dataset": {**LEAST, "schema": "n" * 1048576}}]},
            "tag key of 256": {"run_id": "$r", "datasets": [{"dataset": LEAST, "tags": [tag("k" * 256)]}]},
            "tag value of 501": {"run_id": "$r", "datasets": [{"dataset": LEAST, "tags": [tag("k", "v" * 501)]}]},
            "tag without key": {"run_id": "$r", "datasets": [{"dataset": LEAST, "tags": [{"value": "v"}]}]},
            "tag without value": {"run_id": "$r", "datasets": [{"dataset": LEAST, "tags": [{"key": "k"}]}]},
            "tag of odd letters": {"run_id": "$r", "datasets": [{"dataset": LEAST, "tags": [tag("a?b")]}]},
            "the same twice": {
                "run_id": "$r",
                "datasets": [{"dataset": LEAST}, {"dataset": LEAST, "tags": [tag("k")]}],
            },
            "1001": {
                "run_id": "$r",
                "datasets": [{"dataset": {**LEAST, "digest": str(place)}} for place in range(1001)],
            },
            "camelCase": {
                "run_id": "$r",
                "datasets": [{"dataset": {"name": "c", "digest": "c", "sourceType": "t", "source": "s"}}],
            },
            "a model that is none": {"run_id": "$r", "models": [{"model_id": "m-" + NONE}]},
            "a model without id": {"run_id": "$r", "models": [{}]},
        }.items()
    ),
    case("inputs by run_uuid", *NEW, post("runs/log-inputs", {"run_uuid": "$r", "datasets": [{"dataset": LEAST}]})),
    case(
        "models in and out",
        *NEW,
        post("logged-models", {"experiment_id": "$e", "name": "model"}, m="model.info.model_id"),
        inputs(models=[{"model_id": "$m"}]),
        inputs(models=[{"model_id": "$m"}]),
        LOOK,
        post("runs/outputs", {"run_id": "$r", "models": [{"model_id": "$m", "step": 3}]}),
        LOOK,
        post("runs/outputs", {"run_id": "$r", "models": [{"model_id": "$m", "step": 5}]}),
        LOOK,
    ),
    *(
        case(
            f"outputs: {why}",
            *NEW,
            post("logged-models", {"experiment_id": "$e", "name": "model"}, m="model.info.model_id"),
            post("runs/outputs", body),
            LOOK,
        )
        for why, body in {
            "no run": {"models": [{"model_id": "$m"}]},
            "unknown run": {"run_id": NONE, "models": [{"model_id": "$m"}]},
            "no models": {"run_id": "$r"},
            "empty": {"run_id": "$r", "models": []},
            "no list": {"run_id": "$r", "models": "$m"},
            "no step": {"run_id": "$r", "models": [{"model_id": "$m"}]},
            "none": {"run_id": "$r", "models": [{"model_id": "m-" + NONE, "step": 0}]},
            "no id": {"run_id": "$r", "models": [{"step": 0}]},
            "step as string": {"run_id": "$r", "models": [{"model_id": "$m", "step": "7"}]},
            "twice": {"run_id": "$r", "models": [{"model_id": "$m", "step": 1}, {"model_id": "$m", "step": 2}]},
        }.items()
    ),
]

INPUTS.append(
    case(
        "the same name and digest in two experiments",
        *NEW,
        post("experiments/create", {"name": "$u-f"}, f="experiment_id"),
        post("runs/create", {"experiment_id": "$f", "run_name": "other", "start_time": 6}, s="run.info.run_id"),
        inputs(datasets=[{"dataset": {"name": "$u", "digest": "x", "source_type": "local", "source": "one"}}]),
        post(
            "runs/log-inputs",
            {
                "run_id": "$s",
                "datasets": [{"dataset": {"name": "$u", "digest": "x", "source_type": "s3", "source": "two"}}],
            },
        ),
        LOOK,
        get("runs/get", run_id="$s"),
    )
)
CASES: list[Case] = [*HISTORIES, *INPUTS]
