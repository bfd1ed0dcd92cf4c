"""Searches of runs: filters, orders, pages, views."""

from __future__ import annotations

from typing import Any

from mlflow_door.calls import Call, Case, case, post
from mlflow_door.probes.runs import batch, metric, tag

DATASET = {"name": "data", "digest": "abc", "source_type": "local", "source": "{}"}


def _run(number: int, name: str, start: int, **logged: Any) -> tuple[Call, ...]:
    one = post("runs/create", {"experiment_id": "$e", "run_name": name, "start_time": start, "user_id": f"user{number}"},
               r="run.info.run_id", **{f"r{number}": "run.info.run_id"})
    return (one, batch(**logged)) if logged else (one,)


RUNS = (
    post("experiments/create", {"name": "$u-e"}, e="experiment_id"),
    *_run(1, "one", 10, metrics=[metric("m", 1), metric("x y", 5)], params=[tag("p", "1"), tag("odd key", "Abc")], tags=[tag("t", "a%b"), tag("g", "ja")]),
    *_run(2, "two", 20, metrics=[metric("m", 2)], params=[tag("p", "2")], tags=[tag("t", "AXB")]),
    *_run(3, "three", 30, metrics=[metric("m", "NaN")], params=[tag("p", "10")]),
    *_run(4, "four", 31, metrics=[metric("m", "Infinity"), metric("m", 0, 0, step=-1)]),
    *_run(5, "five", 5),
    *_run(6, "six", 6, metrics=[metric("m", "-Infinity")], tags=[tag("t", "a_b")]),
    post("runs/update", {"run_id": "$r1", "status": "FINISHED", "end_time": 100}),
    post("runs/update", {"run_id": "$r2", "status": "FAILED", "end_time": 90}),
    post("runs/log-inputs", {"run_id": "$r1", "datasets": [{"dataset": DATASET, "tags": [tag("mlflow.data.context", "training")]}]}),
    post("runs/log-inputs", {"run_id": "$r2", "datasets": [{"dataset": {**DATASET, "name": "Other"}}]}),
    post("runs/delete", {"run_id": "$r6"}),
)


def _search(**asked: Any) -> Call:
    return post("runs/search", {"experiment_ids": ["$e"], **asked})


FILTERS = (
    "", " ", "metrics.m > 1", "metrics.m >= 1", "metrics.m = 1", "metrics.m != 1", "metrics.m < 2", "metrics.m <= 2", "metric.m > 1",
    "metrics.m = 1.0", "metrics.m > -1e3", "metrics.m = '1'", "metrics.m LIKE '1'", "metrics.m = NaN", "metrics.m = nan", "metrics.m > Infinity",
    "metrics.m IS NULL", "metrics.m IS NOT NULL", "metrics.`x y` = 5", "metrics.\"x y\" = 5", "metrics.x y = 5", "metrics.none = 1", "metrics.none != 1",
    "metrics.m = abc", "metrics.m == 1", "metrics.m IN (1, 2)", "metrics.m > 1 AND metrics.m < 3", "metrics.m > 1 and params.p = '2'", "metrics.m>1",
    "metrics.m = +1", "metrics.m = 1e0", "metrics.m = .5", "metrics.m = 1_0", "metrics.m = 9999999999999999999999", "metrics.m = 1.7976931348623157e308", "metrics.m = 1e400",
    "params.p = '1'", "params.p = \"1\"", "params.p = 1", "params.p = abc", "params.p != '1'", "params.p > '1'", "params.p LIKE '1%'", "params.p ILIKE '1%'",
    "params.`odd key` = 'Abc'", "params.`odd key` LIKE 'abc'", "params.`odd key` ILIKE 'aBC'", "param.p = '1'", "parameter.p = '1'", "parameters.p = '1'",
    "params.p IS NULL", "params.p IS NOT NULL", "params.p IN ('1', '2')", "params.p NOT LIKE '1'", "params.none != '1'", "params.p = ''",
    "tags.t = 'AXB'", "tag.t LIKE 'a%b'", "tags.t LIKE 'a_b'", "tags.t ILIKE 'a%b'", "tags.t LIKE 'a\\%b'", "tags.t != 'AXB'", "tags.t IS NULL", "tags.t IS NOT NULL", "tags.t is not null",
    "tags.none IS NULL", "tags.`mlflow.runName` = 'two'", "tags.mlflow.runName = 'two'", "tags.\"mlflow.runName\" LIKE 't%'", "tags.t = 'x' AND tags.t = 'y'", "tags.g = 'ja' AND tags.t IS NOT NULL",
    "tags.t = 5", "tags.t > 'a'", "tags.t IN ('a')", "tags.`t` = 'AXB'", "tags = 'x'", "tags. = 'x'", "tags.t.u = 'x'",
    "attributes.status = 'FINISHED'", "attribute.status = 'FINISHED'", "attr.status = 'FINISHED'", "run.status = 'FINISHED'", "status = 'FINISHED'", "status = 'finished'", "status != 'RUNNING'",
    "status LIKE 'F%'", "status IN ('FINISHED', 'FAILED')", "status = 'NONSENSE'", "status = FINISHED", "status > 'A'", "attributes.Status = 'FINISHED'", "Attributes.status = 'FINISHED'",
    "run_id = '$r1'", "run_id != '$r1'", "run_id IN ('$r1', '$r2')", "run_id NOT IN ('$r1')", "run_id IN ()", "run_id IN ('$r1',)", "run_id IN ('$r1' '$r2')", "run_id IN $r1", "run_id IN ($r1)",
    "run_id LIKE '%'", "run_id in ('$r1')", "run_id IN (\"$r1\")", "run_uuid = '$r1'", "attributes.run_id IN ('$r2')",
    "run_name = 'one'", "run_name LIKE 't%'", "run_name ILIKE 'T%'", "attributes.`run name` = 'one'", "attributes.\"Run name\" = 'one'", "run_name IN ('one')", "attributes.run_name != 'one'", "`run name` = 'one'", "attributes.`Run Name` = 'one'",
    "user_id = 'user1'", "attributes.user_id LIKE 'user%'", "user = 'user1'", "attributes.User = 'user1'",
    "artifact_uri LIKE 'mlflow%'", "artifact_uri LIKE '%$r1/artifacts'", "start_time > 10", "start_time = 10", "start_time >= 10 AND start_time < 30", "start_time != 10", "start_time > '10'", "start_time = 10.5",
    "end_time > 90", "end_time <= 90", "attributes.end_time != 0", "created > 1", "Created > 1", "start_time LIKE '1'", "start_time IN (10, 20)", "end_time IS NULL", "run_name IS NULL", "status IS NOT NULL",
    "experiment_id = '$e'", "lifecycle_stage = 'active'", "source_name = 'x'",
    "dataset.name = 'data'", "datasets.name = 'data'", "dataset.name LIKE 'D%'", "dataset.name ILIKE 'D%'", "dataset.digest = 'abc'", "dataset.context = 'training'", "dataset.name IN ('data', 'Other')", "dataset.name NOT IN ('data')",
    "dataset.name != 'data'", "dataset.nonsense = 'x'", "dataset.name = data", "dataset.name > 'a'", "dataset.digest IN ('abc')", "dataset.context LIKE 'tr%'", "dataset.name IS NULL", "dataset.name = 'data' AND dataset.name = 'Other'",
    "nonsense", "nonsense = 'x'", "nonsense.x = 'y'", "model.x = 'y'", "metrics.m > 1 OR metrics.m < 0", "NOT metrics.m > 1", "(metrics.m > 1)", "metrics.m > 1 AND (params.p = '2')", "metrics.m >", "> 1", "metrics.m 1", "metrics.m > 1 AND",
    "AND metrics.m > 1", "metrics.m > 1 metrics.m < 3", "metrics.m > 1; metrics.m < 3", "metrics.m > 1,", "1 < metrics.m", "'1' = params.p", "params.p = 'it''s'", "params.p = 'it\\'s'", "params.p = \"it's\"", "params.p = 'a", "params.`p = '1'",
    "metrics.m > 1 -- comment", "metrics.m > 1 /* c */", "trace.status = 'x'", "metrics.m BETWEEN 1 AND 2", "params.p = '1' AND params.p = '1'", "tags.`` = 'x'", "params.p='1'AND metrics.m=1", "params.p = '1'\nAND\tmetrics.m = 1",
    "params.p = 'ü'", "params.p = '%'", "tags.t LIKE '%'", "tags.t LIKE ''", "params.p RLIKE '1'", "params.p = NULL", "params.p IS '1'", "params.p IS", "models.x = '1'", "run_id = $r1", "metrics.m > params.p", "a.b.c = 'x'",
)

ORDERS: tuple[Any, ...] = (
    [], ["metrics.m"], ["metrics.m DESC"], ["metrics.m ASC"], ["metrics.m desc"], ["params.p"], ["params.p DESC"], ["tags.t"], ["tags.t DESC"],
    ["attributes.start_time"], ["start_time DESC"], ["start_time ASC"], ["attributes.end_time"], ["end_time DESC"], ["status"], ["run_name"], ["attributes.run_name DESC"],
    ["attribute.`Run name`"], ["`Start Time` DESC"], ["Created DESC"], ["created"], ["user_id"], ["metrics.`x y`"], ["metrics.\"x y\" DESC"], ["metrics.none"], ["metrics.m", "params.p DESC"], ["status", "metrics.m DESC"],
    ["metrics.m", "metrics.m DESC"], ["start_time", "start_time DESC"], ["tags.`mlflow.runName`"], ["tags.mlflow.runName"], ["parameters.p"], ["nonsense"], ["nonsense.x"], ["metrics.m UP"], ["metrics.m ASC DESC"], [""], [" "], ["metrics"], ["metrics."],
    ["dataset.name"], ["metrics.m, params.p"], ["metrics.m;"], ["lifecycle_stage"], ["experiment_id"], ["duration"], [5], "metrics.m", ["metrics.x y"], ["METRICS.m"], ["attributes.nonsense"], ["'metrics.m'"], None,
)

CASES: list[Case] = [
    case("search: all", *RUNS, _search()),
    case("filters", *RUNS, *(_search(filter=filter_) for filter_ in FILTERS)),
    case("orders", *RUNS, *(_search(order_by=order) for order in ORDERS)),
    case("orders by what is random", *RUNS, *(_search(order_by=[key], filter="run_id = '$r1'") for key in ("run_id", "artifact_uri", "attributes.run_id DESC"))),
    case("max_results", *RUNS, *(_search(max_results=count) for count in (0, 1, -1, 50000, 50001, "2", "x", 1.5, None, 2**31, 2**63))),
    case("views", *RUNS, *(_search(run_view_type=view) for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE", 1, 2, 3, 0, None, "active_only", "1"))),
    case("page tokens", *RUNS, *(_search(page_token=token) for token in ("garbage", "", 5, None, "eyJvZmZzZXQiOiAieCJ9", "eyJvZmZzZXQiOiAxfQ==", "eyJhIjogMX0=", "eyJvZmZzZXQiOiAtMX0="))),
    case("pages", *RUNS,
        Call("POST", "runs/search", {"experiment_ids": ["$e"], "max_results": 2}, save=(("t", "next_page_token"),)),
        Call("POST", "runs/search", {"experiment_ids": ["$e"], "max_results": 2, "page_token": "$t"}, save=(("t", "next_page_token"),)),
        _search(max_results=2, page_token="$t"), _search(max_results=5)),
    case("pages in an order", *RUNS,
        Call("POST", "runs/search", {"experiment_ids": ["$e"], "max_results": 3, "order_by": ["metrics.m DESC"]}, save=(("t", "next_page_token"),)),
        _search(max_results=3, page_token="$t", order_by=["metrics.m DESC"])),
    case("no experiments", post("runs/search", {})),
    case("empty experiments", post("runs/search", {"experiment_ids": []})),
    case("unknown experiment", post("runs/search", {"experiment_ids": ["987654321"]})),
    case("odd experiment", post("runs/search", {"experiment_ids": ["abc"]})),
    case("numbers as experiments", post("runs/search", {"experiment_ids": [987654321]})),
    case("no list of experiments", post("runs/search", {"experiment_ids": "987654321"})),
    case("two experiments, one unknown", *RUNS, post("runs/search", {"experiment_ids": ["$e", "987654321"]})),
    case("an experiment twice", *RUNS, post("runs/search", {"experiment_ids": ["$e", "$e"]})),
    case("deleted experiment", *RUNS, post("experiments/delete", {"experiment_id": "$e"}), _search(), _search(run_view_type="DELETED_ONLY"), _search(run_view_type="ALL")),
    case("filter is a number", *RUNS, _search(filter=5)),
    case("filter is null", *RUNS, _search(filter=None)),
    case("camelCase", *RUNS, post("runs/search", {"experimentIds": ["$e"], "maxResults": 1, "orderBy": ["start_time"], "runViewType": "ALL"})),
]
