"""Versions of registered models."""

from __future__ import annotations

from typing import Any

from mlflow_door.calls import Call, Case, call, case, get, post
from mlflow_door.probes.registry import NEW, alias, version
from mlflow_door.probes.runs import EXPERIMENT, NONE, RUN, tag

LOOK = get("model-versions/get", name="$u-m", version="1")
MODEL = get("registered-models/get", name="$u-m")
LOGGED = post("logged-models", {"experiment_id": "$e", "name": "model", "source_run_id": "$r"}, m="model.info.model_id")


def change(verb: str, how: str = "POST", **body: Any) -> Call:
    return call(how, f"model-versions/{verb}", {"name": "$u-m", "version": "1", **body})


def stage(number: str, name: Any, archive: Any = False) -> Call:
    return post("model-versions/transition-stage", {"name": "$u-m", "version": number, "stage": name, "archive_existing_versions": archive})


MAKING = [
    case("create, get", NEW, version(), LOOK, MODEL, version(), get("model-versions/get", name="$u-m", version="2"), MODEL),
    case("create with everything", EXPERIMENT, RUN, LOGGED, NEW,
        version(source="models:/$m", run_id="$r", run_link="http://x", description="what", tags=[tag("b", "2"), tag("a", "1")], model_id="$m"), LOOK,
        get("model-versions/get-download-uri", name="$u-m", version="1")),
    case("create from a run", EXPERIMENT, RUN, NEW, version(source="runs:/$r/model", run_id="$r"), version(source="mlflow-artifacts:/$e/$r/artifacts/model", run_id="$r"), LOOK,
        get("model-versions/get-download-uri", name="$u-m", version="1")),
    *(
        case(f"create: {why}", EXPERIMENT, RUN, LOGGED, NEW, post("model-versions/create", {"name": "$u-m", **body}))
        for why, body in {
            "no source": {},
            "empty source": {"source": ""},
            "null source": {"source": None},
            "number as source": {"source": 5},
            "bare bucket": {"source": "s3://b"},
            "bucket with slash": {"source": "s3://b/"},
            "bucket and ..": {"source": "s3://b/a/../c"},
            "bucket and %2e%2e": {"source": "s3://b/%2e%2e/c"},
            "s3 with query": {"source": "s3://b/a?x=..%2f"},
            "s3 with fragment": {"source": "s3://b/a#b"},
            "local path": {"source": "/tmp/model"},
            "relative path": {"source": "model"},
            "file uri": {"source": "file:///tmp/model"},
            "file uri with ..": {"source": "file:///tmp/../model"},
            "http": {"source": "http://x/model"},
            "runs without run_id": {"source": "runs:/$r/model"},
            "runs of another": {"source": "runs:/" + NONE + "/model", "run_id": "$r"},
            "runs unknown": {"source": "runs:/" + NONE + "/model", "run_id": NONE},
            "runs with ..": {"source": "runs:/$r/../x", "run_id": "$r"},
            "runs without path": {"source": "runs:/$r", "run_id": "$r"},
            "s3 of an unknown run": {"source": "s3://b/m", "run_id": NONE},
            "s3 of a run": {"source": "s3://b/m", "run_id": "$r"},
            "file of a run": {"source": "file:///tmp/m", "run_id": "$r"},
            "models without model_id": {"source": "models:/$m"},
            "models with model_id": {"source": "models:/$m", "model_id": "$m"},
            "models with path": {"source": "models:/$m/sub", "model_id": "$m"},
            "models of another": {"source": "models:/m-" + NONE, "model_id": "$m"},
            "models unknown": {"source": "models:/m-" + NONE, "model_id": "m-" + NONE},
            "models of a name": {"source": "models:/$u-m/1"},
            "models of an alias": {"source": "models:/$u-m@best"},
            "s3 with unknown model_id": {"source": "s3://b/m", "model_id": "m-" + NONE},
            "s3 with model_id": {"source": "s3://b/m", "model_id": "$m"},
            "artifacts of the run": {"source": "mlflow-artifacts:/$e/$r/artifacts/x", "run_id": "$r"},
            "artifacts without run_id": {"source": "mlflow-artifacts:/$e/$r/artifacts/x"},
            "artifacts elsewhere": {"source": "mlflow-artifacts:/0/" + NONE + "/artifacts/x", "run_id": "$r"},
            "artifacts with ..": {"source": "mlflow-artifacts:/$e/$r/artifacts/../../x", "run_id": "$r"},
            "artifacts of the model": {"source": "mlflow-artifacts:/$e/models/$m/artifacts", "model_id": "$m"},
            "artifacts of the model, with run": {"source": "mlflow-artifacts:/$e/models/$m/artifacts", "model_id": "$m", "run_id": "$r"},
            "artifacts of the model, without id": {"source": "mlflow-artifacts:/$e/models/$m/artifacts"},
            "mlflow-artifacts with host": {"source": "mlflow-artifacts://host/$e/$r/artifacts/x", "run_id": "$r"},
            "dbfs": {"source": "dbfs:/x"},
            "a word with a scheme": {"source": "nonsense:model"},
            "odd letters": {"source": "s3://b/ä b"},
            "tags twice": {"source": "s3://b/m", "tags": [tag("k", "1"), tag("k", "2")]},
            "tag without key": {"source": "s3://b/m", "tags": [{"value": "v"}]},
            "tag without value": {"source": "s3://b/m", "tags": [{"key": "k"}]},
            "tag of odd letters": {"source": "s3://b/m", "tags": [tag("a?b")]},
            "tags no list": {"source": "s3://b/m", "tags": "x"},
            "description number": {"source": "s3://b/m", "description": 5},
            "run_id number": {"source": "s3://b/m", "run_id": 5},
            "camelCase": {"source": "runs:/$r/model", "runId": "$r"},
        }.items()
    ),
    case("create of no model", version("$u-none"), post("model-versions/create", {"source": "s3://b/m"}), version("a/b")),
    case("create of a deleted run", EXPERIMENT, RUN, NEW, post("runs/delete", {"run_id": "$r"}), version(source="runs:/$r/model", run_id="$r")),
    case("create from a version", NEW, version(), post("registered-models/create", {"name": "$u-n"}), version("$u-n", source="models:/$u-m/1"), get("model-versions/get-download-uri", name="$u-n", version="1"),
        alias("POST", alias="best", version="1"), version("$u-n", source="models:/$u-m@best"), version("$u-n", source="models:/$u-m/9"), version("$u-n", source="models:/$u-m/latest"),
        change("delete", "DELETE"), get("model-versions/get-download-uri", name="$u-n", version="1")),
    case("a prompt's version", post("registered-models/create", {"name": "$u-m", "tags": [tag("mlflow.prompt.is_prompt", "true")]}),
        version(source="prompt-template", tags=[tag("mlflow.prompt.is_prompt", "true"), tag("mlflow.prompt.text", "Hello {{x}}")]), LOOK, MODEL),
]

LIFE = [
    case("get: errors", NEW, version(), *(get("model-versions/get", *asked) for asked in (
        (("name", "$u-m"), ("version", "2")), (("name", "$u-none"), ("version", "1")), (("name", "$u-m"),), (("version", "1"),), (("name", "$u-m"), ("version", "abc")), (("name", "$u-m"), ("version", "")), (("name", "$u-m"), ("version", "01")),
        (("name", "$u-m"), ("version", "-1")), (("name", "$u-m"), ("version", "0")), (("name", "$u-m"), ("version", "1.0"))))),
    case("update", NEW, version(), change("update", "PATCH", description="new"), LOOK, MODEL, change("update", "PATCH", description=""), change("update", "PATCH"), change("update", "PATCH", description=5), change("update", "PATCH", version="9", description="x"),
        call("PATCH", "model-versions/update", {"name": "$u-m", "description": "x"}), change("update", "PATCH", version=1, description="number"), change("update", description="by post")),
    case("delete", NEW, version(), version(), version(), change("delete", "DELETE", version="2"), get("model-versions/get", name="$u-m", version="2"), change("delete", "DELETE", version="2"), MODEL, version(),
        change("delete", "DELETE", version="4"), version(), change("delete", "DELETE", version="9"), call("DELETE", "model-versions/delete", {"name": "$u-m"}), change("delete", "DELETE", version="x"), call("DELETE", "model-versions/delete", {"name": "$u-none", "version": "1"}), MODEL),
    case("delete all, make again", NEW, version(), change("delete", "DELETE"), MODEL, version()),
    case("everything of a deleted version", NEW, version(), change("delete", "DELETE"), change("update", "PATCH", description="x"), stage("1", "Production"), change("set-tag", key="k", value="v"),
        change("delete-tag", "DELETE", key="k"), get("model-versions/get-download-uri", name="$u-m", version="1"), alias("POST", alias="x", version="1")),
    case("tags", NEW, version(), change("set-tag", key="k", value="1"), change("set-tag", key="k", value="2"), change("set-tag", key="a", value="3"), LOOK, MODEL, change("delete-tag", "DELETE", key="k"), change("delete-tag", "DELETE", key="k"), LOOK,
        *(change("set-tag", **body) for body in ({"key": "n"}, {"key": "n", "value": ""}, {"value": "v"}, {"key": "", "value": "v"}, {"key": "a?b", "value": "v"}, {"key": "k" * 251, "value": "v"}, {"key": "k", "value": "v" * 100001}, {"key": "k", "value": 5},
            {"key": "k", "value": "v", "version": "9"}, {"key": "k", "value": "v", "version": "x"}, {"key": "k", "value": "v", "version": ""})),
        post("model-versions/set-tag", {"name": "$u-none", "version": "1", "key": "k", "value": "v"}), change("delete-tag", "DELETE"), change("delete-tag", "DELETE", version="9", key="k"),
        post("model-versions/set-tag", {"name": "$u-m", "key": "k", "value": "v"})),
    case("download uri", NEW, version(), get("model-versions/get-download-uri", name="$u-m", version="1"), get("model-versions/get-download-uri", name="$u-m", version="9"), get("model-versions/get-download-uri", name="$u-m")),
    case("stages", NEW, version(), version(), version(), stage("1", "Production"), LOOK, MODEL, stage("2", "production"), stage("3", "PRODUCTION", archive=True), *(get("model-versions/get", name="$u-m", version=number) for number in "123"),
        stage("1", "Staging"), stage("1", "Staging", archive=True), stage("2", "Staging", archive=True), LOOK, stage("2", "None"), stage("2", "Archived"), stage("2", "archived"), MODEL,
        stage("2", "None", archive=True), stage("2", "Archived", archive=True), stage("2", "nonsense"), stage("2", ""), stage("2", 5), stage("9", "Staging"), stage("x", "Staging"),
        stage("2", "Staging", archive="true"), stage("2", "Staging", archive=None), stage("2", "Staging", archive=1), post("model-versions/transition-stage", {"name": "$u-m", "version": "2", "stage": "Staging"}),
        post("model-versions/transition-stage", {"name": "$u-m", "version": "2", "archive_existing_versions": False}), post("model-versions/transition-stage", {"name": "$u-none", "version": "2", "stage": "Staging", "archive_existing_versions": False})),
]

MANY = (
    EXPERIMENT, RUN,
    post("registered-models/create", {"name": "$u-b"}), post("registered-models/create", {"name": "$u-a"}),
    version("$u-b", source="s3://bucket/one", tags=[tag("k", "v")]), version("$u-b", source="runs:/$r/model", run_id="$r", tags=[tag("k", "w"), tag("odd key", "Abc")]),
    version("$u-a", source="s3://bucket/two"), version("$u-b", source="s3://bucket/three"), version("$u-b", source="s3://bucket/gone"),
    call("DELETE", "model-versions/delete", {"name": "$u-b", "version": "4"}), post("registered-models/alias", {"name": "$u-b", "alias": "best", "version": "2"}), post("model-versions/transition-stage", {"name": "$u-b", "version": "1", "stage": "Staging", "archive_existing_versions": False}),
)
MINE = "name LIKE '$u%'"
FILTERS = (
    "name = '$u-b'", "name != '$u-b'", "name ILIKE '%-B'", "name IN ('$u-a', '$u-b')", "name NOT IN ('$u-a')", "name IN ()", "name > 'a'", "name = 5", "run_id = '$r'", "run_id != '$r'", "run_id IN ('$r')", "run_id IN ('$r', 'x')", "run_id NOT IN ('$r')", "run_id LIKE '%'", "run_id = ''",
    "run_id IN ()", "source_path = 's3://bucket/one'", "source_path LIKE 's3%'", "source_path != 's3://bucket/one'", "source = 's3://bucket/one'", "source_path IN ('s3://bucket/one')", "version_number = 1", "version_number = '1'", "version_number > 1", "version_number != 1", "version_number <= 2", "version_number IN (1)", "version_number LIKE '1'", "version = 1",
    "tags.k = 'v'", "tag.k = 'v'", "tags.k != 'v'", "tags.k LIKE 'V'", "tags.k ILIKE 'V'", "tags.`odd key` = 'Abc'", "tags.none != 'v'", "tags.k IS NULL", "tags.k IS NOT NULL", "tags.k IN ('v')", "tags.k = 1", "tags.k = 'w' AND tags.`odd key` LIKE 'A%'", "tags.k = 'v' AND tags.k = 'w'",
    "current_stage = 'Staging'", "stage = 'Staging'", "aliases = 'best'", "creation_timestamp > 1", "last_updated_timestamp > 1", "user_id = 'x'", "nonsense = 'x'", "metrics.x = 1", "name = '$u-b' OR name = '$u-a'", "(name = '$u-b')", "name =", "attribute.name = '$u-b'", "name = '$u-b' AND version_number = 2", "name == '$u-b'", "tags.`mlflow.prompt.is_prompt` != 'true'",
)
ORDERS: tuple[list[str], ...] = (
    ["name"], ["name ASC"], ["name DESC"], ["version_number"], ["version_number DESC"], ["creation_timestamp"], ["creation_timestamp DESC"], ["last_updated_timestamp"], ["last_updated_timestamp DESC"], ["name DESC", "version_number DESC"], ["version_number ASC", "name DESC"], ["source_path"], ["run_id"], ["user_id"], ["current_stage"],
    ["nonsense"], ["tags.k"], ["name UP"], [""], ["name", "name DESC"], ["version"], ["attribute.name"], ["creation_time"],
)


def search(*more: tuple[str, str], **asked: str) -> Call:
    return get("model-versions/search", *more, **asked)


SEARCHING = [
    case("search", *MANY, search(filter=MINE), search(filter="name = '$u-b'"), search(filter="run_id = '$r'"), post("model-versions/search", {"filter": MINE})),
    case("search: filters", *MANY, *(search(filter=f"{MINE} AND {filter_}") for filter_ in FILTERS), search(filter="garbage"), search(filter="name = 'x"), search(filter="name = 'none at all'"), search(filter=" ")),
    case("search: orders", *MANY, *(search(("filter", MINE), *(("order_by", one) for one in order)) for order in ORDERS)),
    case("search: pages", *MANY, Call("GET", "model-versions/search", query=(("filter", MINE), ("max_results", "2")), save=(("t", "next_page_token"),)), search(filter=MINE, max_results="2", page_token="$t"), search(filter=MINE, page_token="$t"),
        *(search(filter="name = 'none at all'", max_results=count) for count in ("0", "-1", "200000", "200001", "x", "")), *(search(filter="name = 'none at all'", page_token=token) for token in ("garbage", "", "eyJvZmZzZXQiOiAieCJ9"))),
]

CASES: list[Case] = [*MAKING, *LIFE, *SEARCHING]
