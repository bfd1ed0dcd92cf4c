"""Sequences of calls that hypothesis makes up: few names and few values, so that calls meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mlflow_door.calls import NONE, Call, call, get, post

Calls = st.SearchStrategy[Call]

KEYS = st.sampled_from(("a", "b", "k k", "a/b"))
VALUES = st.sampled_from(("1", "2", "x", "X", "10", "", "ü", "it's", "a%b"))
NUMBERS = st.sampled_from((0, 1, 1, 2, -1, 0.5, "NaN", "Infinity", "-Infinity", "2", 1e300))
TIMES = st.sampled_from((0, 1, 1, 2, 3, "4"))
STEPS = st.sampled_from((0, 1, 1, 2, -1, "3"))
EXPERIMENT = st.sampled_from(("$e", "$f"))
RUN = st.sampled_from(("$r", "$r", "$s", "$t"))
MODEL = st.sampled_from(("$m", "$m", "$m", "$n", "$n", "m-" + NONE))
REGISTERED = st.sampled_from(("$u-m", "$u-m", "$u-m", "$u-n", "$u-none"))
VERSION = st.sampled_from(("1", "1", "1", "2", "2", "3", "9"))
NAMED = st.sampled_from(("$u-1", "$u-2", "$u-3"))

ABSENT = object()
WRONG = st.sampled_from((ABSENT, ABSENT, "", None, 5, "a?b", "../a", "k" * 251, "987654321", NONE, [], -1))
"""What stands in the place of a field now and then."""
_MISTAKE = st.integers(0, 5).flatmap(lambda drawn: st.none() if drawn else st.tuples(st.integers(0, 9), WRONG))

TAG = st.fixed_dictionaries({"key": KEYS, "value": VALUES})
METRIC = st.fixed_dictionaries({"key": KEYS, "value": NUMBERS, "timestamp": TIMES}, optional={"step": STEPS})


def body(path: str, method: str = "POST", /, _optional: dict[str, Any] | None = None, **fields: Any) -> Calls:
    """A call with a body, in which something is wrong now and then."""
    every = st.fixed_dictionaries(fields, optional=_optional or {})
    return st.tuples(every, _MISTAKE).map(lambda drawn: call(method, path, _spoilt(*drawn)))


def _spoilt(document: dict[str, Any], mistake: tuple[int, Any] | None) -> dict[str, Any]:
    if mistake is None:
        return document
    place, wrong = mistake
    spoilt = sorted(document)[place % len(document)]
    kept = {key: value for key, value in document.items() if key != spoilt}
    if spoilt.endswith("name") and isinstance(wrong, str) and wrong:
        wrong = f"$u-{wrong}"  # a name that another sequence has not made
    return kept if wrong is ABSENT else {**kept, spoilt: wrong}


def asked(path: str, /, **fields: Any) -> Calls:
    """A GET with a query, in which something lacks now and then."""
    return st.tuples(st.fixed_dictionaries(fields), _MISTAKE).map(
        lambda drawn: get(path, *((key, str(value)) for key, value in _spoilt(*drawn).items()))
    )


def quoted(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A value as a filter writes it."""
    return values.map(lambda value: '"' + value + '"' if "'" in value else f"'{value}'")


_KEY = st.sampled_from(("a", "b", "`k k`", "`a/b`", "none", '"a/b"'))
_TEXT = quoted(st.sampled_from(("1", "2", "x", "X", "1%", "%x%", "a%b", "", "it's")))
_SAME = st.sampled_from(("=", "!=", "LIKE", "ILIKE"))
_MORE = st.sampled_from(("=", "!=", ">", ">=", "<", "<="))
_NUMBER = st.sampled_from(("1", "0", "0.5", "-1", "2", "1e300", "'1'", "x"))


def _clause(*parts: Any) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map("".join)


def _spaced(left: st.SearchStrategy[str], operator: Any, right: Any) -> st.SearchStrategy[str]:
    return st.tuples(left, operator, right).map(" ".join)


def _of(entity: str) -> st.SearchStrategy[str]:
    return _clause(entity, ".", _KEY)


_LACKING = st.tuples(st.one_of(_of("params"), _of("tags")), st.sampled_from(("IS NULL", "IS NOT NULL"))).map(" ".join)
RUN_CLAUSE = st.one_of(
    _spaced(_of("metrics"), _MORE, _NUMBER),
    _spaced(_of("params"), _SAME, _TEXT),
    _spaced(_of("tags"), _SAME, _TEXT),
    _LACKING,
    _spaced(
        st.sampled_from(("status", "attributes.status")), _SAME, quoted(st.sampled_from(("RUNNING", "FAILED", "F%")))
    ),
    _spaced(
        st.sampled_from(("run_name", "attr.run_name")), _SAME, quoted(st.sampled_from(("one", "TWO", "t%", "new")))
    ),
    _spaced(st.sampled_from(("start_time", "end_time")), _MORE, st.sampled_from(("5", "7", "100", "'5'"))),
    _spaced(st.just("run_id"), _SAME, quoted(st.sampled_from(("$r", "$s", NONE, "%$r", "%", "_" * 32, "_" * 31)))),
    _spaced(
        st.sampled_from(("artifact_uri", "run.artifact_uri")),
        _SAME,
        quoted(
            st.sampled_from(
                (
                    "mlflow-artifacts:/$e/$r/artifacts",
                    "%$r%",
                    "%/$s/artifacts",
                    "MLFLOW%",
                    "mlflow-artifacts:/$e/%",
                    "%:/$f/%ts",
                    "%a%",
                    "%/_",
                    "$r",
                    "",
                )
            )
        ),
    ),
    _spaced(st.just("run_id"), st.sampled_from(("IN", "NOT IN")), st.sampled_from(("('$r')", "('$r', '$s')", "('x')"))),
    _spaced(st.sampled_from(("dataset.name", "dataset.digest")), _SAME, quoted(st.sampled_from(("d", "D", "x", "%")))),
    _spaced(st.just("user_id"), _SAME, quoted(st.sampled_from(("ann", "A%")))),
)
RUN_FILTER = st.lists(RUN_CLAUSE, max_size=2).map(" AND ".join)
_DIRECTION = st.sampled_from(("", " ASC", " DESC"))
RUN_ORDER = st.lists(
    _clause(
        st.one_of(
            _of("metrics"),
            _of("params"),
            _of("tags"),
            st.sampled_from(("start_time", "end_time", "status", "run_name")),
        ),
        _DIRECTION,
    ),
    max_size=2,
    unique_by=lambda order: order.split(" ")[0],
)
VIEW = st.sampled_from(("ACTIVE_ONLY", "DELETED_ONLY", "ALL"))

_ARGUMENT = _clause(st.sampled_from(("name", "attribute.name")))
EXPERIMENT_CLAUSE = st.one_of(
    _spaced(_ARGUMENT, _SAME, quoted(st.sampled_from(("$u-e", "$u-1", "%-F", "%-f", "$u%")))),
    _spaced(_of("tags"), _SAME, _TEXT),
    st.tuples(_of("tags"), st.sampled_from(("IS NULL", "IS NOT NULL"))).map(" ".join),
    _spaced(st.just("creation_time"), _MORE, st.sampled_from(("5", "'5'"))),
)
MODEL_CLAUSE = st.one_of(
    _spaced(st.just("name"), _SAME, quoted(st.sampled_from(("$u-m", "$u-N", "%-n", "$u%")))),
    _spaced(_of("tags"), _SAME, _TEXT),
)
VERSION_CLAUSE = st.one_of(
    MODEL_CLAUSE,
    _spaced(st.just("version_number"), _MORE, st.sampled_from(("1", "2"))),
    _spaced(st.just("run_id"), st.just("="), quoted(st.sampled_from(("$r", "x")))),
    _spaced(st.just("source_path"), _SAME, quoted(st.sampled_from(("s3://b/m", "s3%")))),
)


def mine(clause: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A filter that finds nothing of other sequences."""
    return st.lists(clause, max_size=2).map(lambda clauses: " AND ".join(["name LIKE '$u%'", *clauses]))


EXPERIMENTS = st.one_of(
    body(
        "experiments/create",
        name=NAMED,
        _optional={"tags": st.lists(TAG, max_size=2, unique_by=lambda tag: tag["key"])},
    ),
    body("experiments/update", experiment_id=EXPERIMENT, new_name=NAMED),
    body("experiments/delete", experiment_id=EXPERIMENT),
    body("experiments/restore", experiment_id=EXPERIMENT),
    body("experiments/set-experiment-tag", experiment_id=EXPERIMENT, key=KEYS, value=VALUES),
    body("experiments/delete-experiment-tag", experiment_id=EXPERIMENT, key=KEYS),
    asked("experiments/get", experiment_id=EXPERIMENT),
    asked("experiments/get-by-name", experiment_name=st.sampled_from(("$u-e", "$u-1", "$u-none"))),
    body(
        "experiments/search",
        filter=mine(EXPERIMENT_CLAUSE),
        max_results=st.sampled_from((1, 2, 10)),
        view_type=VIEW,
        _optional={
            "order_by": st.sampled_from((["name"], ["name DESC"], ["creation_time"], ["last_update_time DESC"]))
        },
    ).filter(lambda made: "$u" in str(made.body.get("filter"))),
)
RUNS = st.one_of(
    body(
        "runs/update",
        run_id=RUN,
        _optional={
            "status": st.sampled_from(("RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED")),
            "end_time": st.sampled_from((7, "9", 100)),
            "run_name": st.sampled_from(("new", "TWO")),
        },
    ),
    body("runs/delete", run_id=RUN),
    body("runs/restore", run_id=RUN),
    body("runs/set-tag", run_id=RUN, key=st.one_of(KEYS, st.just("mlflow.runName")), value=VALUES.filter(bool)),
    body("runs/delete-tag", run_id=RUN, key=KEYS),
    body("runs/log-parameter", run_id=RUN, key=KEYS, value=VALUES),
    body("runs/log-metric", run_id=RUN, key=KEYS, value=NUMBERS, timestamp=TIMES, _optional={"step": STEPS}),
    body(
        "runs/log-batch",
        run_id=RUN,
        _optional={
            "metrics": st.lists(METRIC, max_size=4),
            "params": st.lists(TAG, max_size=3),
            "tags": st.lists(TAG, max_size=3),
        },
    ),
    body(
        "runs/log-inputs",
        run_id=RUN,
        datasets=st.lists(
            st.fixed_dictionaries(
                {
                    "dataset": st.fixed_dictionaries(
                        {
                            "name": st.sampled_from(("d", "D")),
                            "digest": st.sampled_from(("x", "y")),
                            "source_type": st.just("local"),
                            "source": st.just("{}"),
                        }
                    ),
                    "tags": st.lists(
                        st.fixed_dictionaries({"key": st.just("mlflow.data.context"), "value": VALUES.filter(bool)}),
                        max_size=1,
                    ),
                }
            ),
            max_size=2,
        ),
    ),
    asked("runs/get", run_id=RUN),
    asked("metrics/get-history", run_id=RUN, metric_key=KEYS, max_results=st.sampled_from(("1", "2", "100"))),
)
SEARCHES = body(
    "runs/search",
    experiment_ids=st.sampled_from((["$e"], ["$f"], ["$e", "$f"], [])),
    filter=RUN_FILTER,
    _optional={"order_by": RUN_ORDER, "run_view_type": VIEW, "max_results": st.sampled_from((1, 2, "3", 0, 50001))},
)
SOURCE = st.sampled_from(
    ("s3://b/m", "s3://b/m", "s3://b", "/tmp/m", "runs:/$r/model", "mlflow-artifacts:/$e/$r/artifacts/m")
)
STAGE = st.sampled_from(("None", "Staging", "Production", "production", "Archived", "x"))
_VERSIONED = {"name": REGISTERED, "version": VERSION}
REGISTRY = st.one_of(
    body(
        "registered-models/create",
        name=REGISTERED,
        _optional={"description": VALUES, "tags": st.lists(TAG, max_size=2)},
    ),
    body("registered-models/rename", name=REGISTERED, new_name=REGISTERED),
    body("registered-models/update", "PATCH", name=REGISTERED, description=VALUES),
    body("registered-models/delete", "DELETE", name=REGISTERED),
    body("registered-models/set-tag", name=REGISTERED, key=KEYS, value=VALUES),
    body("registered-models/delete-tag", "DELETE", name=REGISTERED, key=KEYS),
    body(
        "registered-models/alias",
        name=REGISTERED,
        alias=st.sampled_from(("best", "Best", "v1", "latest", "a b")),
        version=VERSION,
    ),
    body("registered-models/alias", "DELETE", name=REGISTERED, alias=st.sampled_from(("best", "Best"))),
    asked("registered-models/alias", name=REGISTERED, alias=st.sampled_from(("best", "Best", "none"))),
    asked("registered-models/get", name=REGISTERED),
    body(
        "registered-models/get-latest-versions",
        name=REGISTERED,
        _optional={"stages": st.lists(STAGE, max_size=2, unique=True)},
    ),
    mine(MODEL_CLAUSE).map(lambda filter_: get("registered-models/search", filter=filter_)),
    mine(VERSION_CLAUSE).map(lambda filter_: get("model-versions/search", filter=filter_)),
    body(
        "model-versions/create",
        name=REGISTERED,
        source=SOURCE,
        _optional={"run_id": RUN, "tags": st.lists(TAG, max_size=2), "description": VALUES},
    ),
    body("model-versions/update", "PATCH", description=VALUES, **_VERSIONED),
    body("model-versions/delete", "DELETE", **_VERSIONED),
    body("model-versions/transition-stage", stage=STAGE, archive_existing_versions=st.booleans(), **_VERSIONED),
    body("model-versions/set-tag", key=KEYS, value=VALUES, **_VERSIONED),
    body("model-versions/delete-tag", "DELETE", key=KEYS, **_VERSIONED),
    asked("model-versions/get", **_VERSIONED),
    asked("model-versions/get-download-uri", **_VERSIONED),
)


def of_model(method: str, path: str, document: Any = None) -> Calls:
    """A call whose path names a logged model."""
    return st.tuples(MODEL, document if document is not None else st.none()).map(
        lambda drawn: call(method, f"logged-models/{drawn[0]}{path}", drawn[1] and {"model_id": drawn[0], **drawn[1]})
    )


_TAGS = st.lists(TAG, max_size=2, unique_by=lambda tag: tag["key"])
MODELS = st.one_of(
    of_model("GET", ""),
    of_model("DELETE", ""),
    of_model(
        "PATCH",
        "",
        st.fixed_dictionaries({"status": st.sampled_from(("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"))}),
    ),
    of_model("PATCH", "/tags", st.fixed_dictionaries({"tags": _TAGS})),
    of_model("DELETE", "/tags/a"),
    of_model("POST", "/params", st.fixed_dictionaries({"params": _TAGS})),
    body(
        "runs/outputs",
        run_id=RUN,
        models=st.lists(st.fixed_dictionaries({"model_id": MODEL, "step": STEPS}), max_size=1),
    ),
    body("runs/log-inputs", run_id=RUN, models=st.lists(st.fixed_dictionaries({"model_id": MODEL}), max_size=1)),
    body(
        "runs/log-metric",
        run_id=st.just("$r"),
        key=st.just("a"),
        value=NUMBERS,
        timestamp=TIMES,
        step=STEPS,
        model_id=st.sampled_from(("$m", "$n")),
    ),
    asked("runs/get", run_id=RUN),
    body(
        "logged-models/search",
        experiment_ids=st.sampled_from((["$e"], ["$e", "$f"], [])),
        _optional={
            "filter": st.one_of(
                _spaced(st.just("name"), _SAME, quoted(st.sampled_from(("model", "OTHER", "m%")))),
                _spaced(_of("tags"), _SAME, _TEXT),
                _spaced(_of("params"), _SAME, _TEXT),
                _spaced(st.just("metrics.a"), _MORE, st.sampled_from(("0", "1", "0.5"))),
            ),
            "max_results": st.sampled_from((1, 2, 50)),
            "order_by": st.lists(
                st.fixed_dictionaries(
                    {
                        "field_name": st.sampled_from(("name", "creation_timestamp", "metrics.a", "x")),
                        "ascending": st.booleans(),
                    }
                ),
                max_size=1,
            ),
        },
    ),
)
_PATH = st.sampled_from(("a.txt", "sub/b.txt", "sub/deep/c", "sub", "none", "../a.txt", "ü b"))
_PROXY = "/api/2.0/mlflow-artifacts/artifacts"
_PLACE = st.sampled_from((f"{_PROXY}/$e/$r/artifacts", f"{_PROXY}/$e/$s/artifacts"))
ARTIFACTS = st.one_of(
    st.tuples(
        _PLACE, st.sampled_from(("a.txt", "sub/b.txt", "sub/deep/c")), st.sampled_from((b"", b"text", b"other"))
    ).map(lambda drawn: call("PUT", f"{drawn[0]}/{drawn[1]}", drawn[2])),
    st.tuples(_PLACE, _PATH.filter(lambda path: "ü" not in path)).map(lambda drawn: Call("GET", "/".join(drawn))),
    st.tuples(_PLACE, _PATH.filter(lambda path: "ü" not in path)).map(lambda drawn: Call("DELETE", "/".join(drawn))),
    asked("artifacts/list", run_id=RUN, path=_PATH),
    _PATH.map(lambda path: get(_PROXY, path=f"$e/$r/artifacts/{path}")),
    st.just(get(_PROXY, path="$e/$r/artifacts")),
    asked("/get-artifact", run_id=RUN, path=_PATH),
    body("runs/delete", run_id=RUN),
)

SETTING = (
    post("experiments/create", {"name": "$u-e"}, e="experiment_id"),
    post("experiments/create", {"name": "$u-f", "tags": [{"key": "a", "value": "1"}]}, f="experiment_id"),
    post(
        "runs/create",
        {"experiment_id": "$e", "run_name": "one", "start_time": 5, "user_id": "ann"},
        r="run.info.run_id",
    ),
    post(
        "runs/create",
        {"experiment_id": "$e", "run_name": "two", "start_time": 7, "user_id": "ann"},
        s="run.info.run_id",
    ),
    post(
        "runs/create", {"experiment_id": "$f", "run_name": "three", "start_time": 6, "user_id": ""}, t="run.info.run_id"
    ),
)
"""What every sequence begins with."""
LOGGED = (
    post("logged-models", {"experiment_id": "$e", "name": "model", "source_run_id": "$r"}, m="model.info.model_id"),
    post(
        "logged-models",
        {"experiment_id": "$e", "name": "other", "params": [{"key": "a", "value": "1"}]},
        n="model.info.model_id",
    ),
)
REGISTERED_FIRST = (
    post("registered-models/create", {"name": "$u-m"}),
    post("model-versions/create", {"name": "$u-m", "source": "s3://b/m"}),
)
LAST = (
    get("experiments/get", experiment_id="$e"),
    get("experiments/get", experiment_id="$f"),
    get("runs/get", run_id="$r"),
    get("runs/get", run_id="$s"),
    get("runs/get", run_id="$t"),
    post("runs/search", {"experiment_ids": ["$e", "$f"], "run_view_type": "ALL"}),
)
"""What every sequence ends with: whatever differs inside shows."""
