"""Registered models, their versions, aliases and stages."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlflow_door.asking import Asking, asking

UNKNOWN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def ask(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    with asking(store_url, tmp_path / "home", monkeypatch) as made:
        yield made


def names(answer: Any, field: str = "registered_models") -> list[str]:
    return [one["name"] for one in answer.get(field, [])]


def test_model_is_a_model(ask: Asking) -> None:
    made = ask.model("risk", description="what it is", tags=[{"key": "b", "value": "2"}, {"key": "a", "value": "1"}])
    assert made["creation_timestamp"] == made["last_updated_timestamp"]
    assert made["tags"] == [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    assert ask("GET", "registered-models/get", name="risk")["registered_model"] == made
    (record,) = ask.found("model", "tags.a = '1'")
    assert (record["name"], record["description"]) == ("risk", "what it is")
    assert ask.refused("POST", "registered-models/create", {"name": "risk"}) == (
        400, "Registered Model (name=risk) already exists.",
    )  # fmt: skip
    assert ask.refused("GET", "registered-models/get", name="Risk") == (
        404, "Registered Model with name=Risk not found",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        ("a:b", "Invalid model name 'a:b'. Names cannot contain '/' or ':'."),
        (" ", "Missing value for required parameter 'name'."),
        ("..", "This name would resolve to '..'"),
    ],
)
def test_names_that_cannot_be(ask: Asking, name: str, message: str) -> None:
    assert message in ask.refused("POST", "registered-models/create", {"name": name})[1]


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"])
def test_names_that_no_store_can_hold(ask: Asking, name: str) -> None:
    one = {"name": name, "version": "1"}
    for method, path, body in (
        ("POST", "registered-models/create", {"name": name}),
        ("POST", "registered-models/get-latest-versions", {"name": name}),
        ("DELETE", "registered-models/delete", {"name": name}),
        ("POST", "registered-models/set-tag", {"name": name, "key": "k"}),
        ("PATCH", "model-versions/update", one),
        ("POST", "model-versions/create", {"name": name, "source": "s3://b/m"}),
        ("POST", "model-versions/create", {"name": "risk", "source": f"models:/{name}/1"}),
    ):
        assert ask.refused(method, path, body)[0] in {400, 404}


def test_update_rename_and_tags(ask: Asking) -> None:
    ask.model("risk", description="old")
    ask.model("other")
    ask.version("risk")
    ask("POST", "registered-models/alias", {"name": "risk", "alias": "champion", "version": "1"})
    ask("POST", "registered-models/set-tag", {"name": "risk", "key": "k", "value": "1"})
    ask("POST", "registered-models/set-tag", {"name": "risk", "key": "k", "value": "2"})
    changed = ask("PATCH", "registered-models/update", {"name": "risk", "description": "new"})["registered_model"]
    assert (changed["description"], changed["tags"]) == ("new", [{"key": "k", "value": "2"}])
    taken = ask.refused("POST", "registered-models/rename", {"name": "risk", "new_name": "other"})
    assert taken == (400, "Registered Model (name=other) already exists.")
    renamed = ask("POST", "registered-models/rename", {"name": "risk", "new_name": "loss"})["registered_model"]
    assert (renamed["name"], renamed["aliases"]) == ("loss", [{"alias": "champion", "version": "1"}])
    assert renamed["latest_versions"][0]["name"] == "loss"
    assert ask("GET", "registered-models/alias", name="loss", alias="champion")["model_version"]["version"] == "1"
    ask("DELETE", "registered-models/delete-tag", {"name": "loss", "key": "k"})
    ask("DELETE", "registered-models/delete-tag", {"name": "loss", "key": "k"})
    assert "tags" not in ask("GET", "registered-models/get", name="loss")["registered_model"]
    assert ask.refused("GET", "registered-models/get", name="risk")[0] == 404


def test_a_deleted_name_is_free_again_and_nothing_is_forgotten(ask: Asking) -> None:
    for turn in (1, 2):
        ask.model("risk", description=f"turn {turn}")
        assert ask.version("risk")["version"] == "1"
        ask("POST", "registered-models/alias", {"name": "risk", "alias": "a", "version": "1"})
        ask("DELETE", "registered-models/delete", {"name": "risk"})
        assert ask.refused("DELETE", "registered-models/delete", {"name": "risk"})[0] == 404
        assert ask.refused("GET", "registered-models/alias", name="risk", alias="a")[0] == 404
    assert ask("GET", "registered-models/search") == {}
    assert ask("GET", "model-versions/search") == {}
    kept = ask.found("model", lifecycle="deleted")
    assert {model["description"] for model in kept} == {"turn 1", "turn 2"}
    for model in kept:
        assert model["name"].startswith("risk (deleted 20")
        facets = ask.ours("GET", f"records/{model['id']}/facets")["facets"]
        assert facets["retired"]["value"]["name"] == "risk"
        data = ask.ours("GET", f"models/{model['id']}")
        assert [version["version"] for version in data["versions"]] == [1]
        assert data["aliases"] == {"a": 1}


def test_a_name_of_a_model_that_was_deleted_elsewhere_is_free(ask: Asking) -> None:
    ask.model("risk")
    (record,) = ask.found("model", "name = 'risk'")
    ask.ours("PATCH", f"models/{record['id']}", {"lifecycle": "deleted"})
    assert ask.refused("GET", "registered-models/get", name="risk")[0] == 404
    ask.model("risk")
    ask.model("loss")
    ask("DELETE", "registered-models/delete", {"name": "risk"})
    ask("POST", "registered-models/rename", {"name": "loss", "new_name": "risk"})
    assert names(ask("GET", "registered-models/search")) == ["risk"]


def test_aliases(ask: Asking) -> None:
    ask.model("risk")
    ask.version("risk")
    ask.version("risk")
    ask("POST", "registered-models/alias", {"name": "risk", "alias": "champion", "version": "1"})
    ask("POST", "registered-models/alias", {"name": "risk", "alias": "b-_2", "version": "1"})
    found = ask("GET", "model-versions/get", name="risk", version="1")["model_version"]
    assert found["aliases"] == ["b-_2", "champion"]
    ask("POST", "registered-models/alias", {"name": "risk", "alias": "champion", "version": "2"})
    assert ask("GET", "registered-models/alias", name="risk", alias="champion")["model_version"]["version"] == "2"
    assert ask("GET", "registered-models/alias", name="risk", alias="Latest")["model_version"]["version"] == "2"
    ask("DELETE", "registered-models/alias", {"name": "risk", "alias": "champion"})
    ask("DELETE", "registered-models/alias", {"name": "risk", "alias": "v1"})
    assert ask.refused("GET", "registered-models/alias", name="risk", alias="champion") == (
        400, "Registered model alias champion not found.",
    )  # fmt: skip
    for alias, message in (
        ("LATEST", "'latest' alias name (case insensitive) is reserved."),
        ("V12", "Version alias name 'V12' is reserved."),
        ("a b", "Invalid alias name: 'a b'."),
        ("12", "'12' cannot be an alias"),
    ):
        body = {"name": "risk", "alias": alias, "version": "1"}
        assert message in ask.refused("POST", "registered-models/alias", body)[1]
    missing = {"name": "risk", "alias": "x", "version": "9"}
    assert ask.refused("POST", "registered-models/alias", missing) == (
        404, "Model Version (name=risk, version=9) not found",
    )  # fmt: skip


def test_a_deleted_version_takes_its_aliases_and_keeps_its_number(ask: Asking) -> None:
    ask.model("risk")
    for _ in range(2):
        ask.version("risk")
    ask("POST", "registered-models/alias", {"name": "risk", "alias": "a", "version": "2"})
    ask("POST", "registered-models/alias", {"name": "risk", "alias": "b", "version": "1"})
    ask("DELETE", "model-versions/delete", {"name": "risk", "version": "2"})
    for method, path, body in (
        ("DELETE", "model-versions/delete", {}),
        ("PATCH", "model-versions/update", {"description": "x"}),
        ("POST", "model-versions/transition-stage", {"stage": "Staging"}),
        ("POST", "model-versions/set-tag", {"key": "k", "value": "v"}),
        ("POST", "registered-models/alias", {"alias": "x"}),
    ):
        refused = ask.refused(method, path, {"name": "risk", "version": "2", **body})
        assert refused == (404, "Model Version (name=risk, version=2) not found")
    model = ask("GET", "registered-models/get", name="risk")["registered_model"]
    assert model["aliases"] == [{"alias": "b", "version": "1"}]
    assert [version["version"] for version in model["latest_versions"]] == ["1"]
    assert ask.version("risk")["version"] == "3"
    (deleted,) = ask.found("model_version", lifecycle="deleted")
    assert (deleted["version"], deleted["uri"]) == (2, "s3://bucket/model")


def test_stages(ask: Asking) -> None:
    ask.model("risk")
    for _ in range(3):
        ask.version("risk")

    def move(version: str, stage: str, **more: Any) -> Any:
        body = {"name": "risk", "version": version, "stage": stage, **more}
        return ask("POST", "model-versions/transition-stage", body)["model_version"]["current_stage"]

    def stages() -> list[str]:
        every = [ask("GET", "model-versions/get", name="risk", version=str(number)) for number in (1, 2, 3)]
        return [one["model_version"]["current_stage"] for one in every]

    assert move("1", "production") == "Production"
    assert move("2", "PRODUCTION", archive_existing_versions=False) == "Production"
    assert stages() == ["Production", "Production", "None"]
    assert move("3", "Production", archive_existing_versions=True) == "Production"
    assert stages() == ["Archived", "Archived", "Production"]
    latest = ask("POST", "registered-models/get-latest-versions", {"name": "risk"})["model_versions"]
    assert [(one["version"], one["current_stage"]) for one in latest] == [("2", "Archived"), ("3", "Production")]
    some = ask("GET", "registered-models/get-latest-versions", name="risk", stages=["archived", "Staging"])
    assert [one["version"] for one in some["model_versions"]] == ["2"]
    wrong = {"name": "risk", "version": "1", "stage": "nonsense"}
    assert ask.refused("POST", "model-versions/transition-stage", wrong)[1] == (
        "Invalid Model Version stage: nonsense. Value must be one of None, Staging, Production, Archived."
    )
    idle = {"name": "risk", "version": "1", "stage": "None", "archive_existing_versions": True}
    assert "is not an Active stage" in ask.refused("POST", "model-versions/transition-stage", idle)[1]


def test_of_two_that_move_to_a_stage_at_once_one_is_archived(ask: Asking) -> None:
    ask.model("risk")
    for _ in range(4):
        ask.version("risk")

    def move(number: int) -> None:
        body = {"name": "risk", "version": str(number), "stage": "Production", "archive_existing_versions": True}
        ask("POST", "model-versions/transition-stage", body)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(move, (1, 2, 3, 4)))
    found = ask("GET", "model-versions/search", filter="name = 'risk'")["model_versions"]
    assert sorted(one["current_stage"] for one in found) == ["Archived", "Archived", "Archived", "Production"]


def test_version_keeps_what_it_was_given(ask: Asking) -> None:
    run = ask.run(ask.experiment())
    ask.model("risk")
    made = ask.version(
        "risk", f"runs:/{run}/model", run_id=run, run_link="http://x", description="what",
        tags=[{"key": "k", "value": "1"}, {"key": "k", "value": "2"}],
    )  # fmt: skip
    assert made == ask("GET", "model-versions/get", name="risk", version="01")["model_version"]
    assert {key: made[key] for key in ("version", "source", "run_id", "run_link", "description", "status", "tags")} == {
        "version": "1", "source": f"runs:/{run}/model", "run_id": run, "run_link": "http://x", "description": "what",
        "status": "READY", "tags": [{"key": "k", "value": "2"}],
    }  # fmt: skip
    (record,) = ask.found("model_version")
    assert (record["run"], record["uri"], record["stage"]) == (run, f"runs:/{run}/model", "none")
    lineage = ask.ours("GET", f"lineage/{record['id']}?direction=upstream")
    assert (run, record["id"], "generated") in {
        (link["upstream"], link["downstream"], link["type"]) for link in lineage["links"]
    }
    strange = ask.version("risk", run_id=UNKNOWN)
    assert strange["run_id"] == UNKNOWN
    assert ask.found("model_version", "version = 2")[0]["run"] is None


def test_version_changes(ask: Asking) -> None:
    ask.model("risk")
    made = ask.version("risk")
    one = {"name": "risk", "version": "1"}
    changed = ask("PATCH", "model-versions/update", {**one, "description": "new"})["model_version"]
    assert changed["description"] == "new"
    assert changed["last_updated_timestamp"] > made["last_updated_timestamp"]
    ask("POST", "model-versions/set-tag", {**one, "key": "k", "value": "v"})
    tagged = ask("GET", "model-versions/get", **one)["model_version"]
    assert tagged["tags"] == [{"key": "k", "value": "v"}]
    assert tagged["last_updated_timestamp"] == changed["last_updated_timestamp"]
    ask("DELETE", "model-versions/delete-tag", {**one, "key": "k"})
    assert "tags" not in ask("GET", "model-versions/get", **one)["model_version"]
    model = ask("GET", "registered-models/get", name="risk")["registered_model"]
    assert model["last_updated_timestamp"] == changed["last_updated_timestamp"]
    assert ask.refused("GET", "model-versions/get", name="risk", version="x") == (
        400, "Parameter 'version' must be an integer, got 'x'.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://b", "an absolute path must be provided"),
        ("s3://b/a/../c", "an absolute path must be provided"),
        ("s3://b/%252e%252e/c", "an absolute path must be provided"),
        ("nonsense:model", "an absolute path must be provided"),
        ("/tmp/model", "To use a local path as a model version source"),
        ("file:///tmp/model", "To use a local path as a model version source"),
        ("http://host/model", "cannot use the 'http' scheme"),
        ("mlflow-artifacts://host/1/2/artifacts", "cannot use the 'mlflow-artifacts' scheme"),
        (f"runs:/{UNKNOWN}/model", "The run_id request parameter must identify"),
        ("mlflow-artifacts:/0/x/artifacts/model", "The run_id request parameter must identify"),
        (f"models:/m-{UNKNOWN}", "The model_id request parameter must identify"),
        ("models:/none/1", "Registered Model with name=none not found"),
        ("s3://[b/model", "It is no address"),
        ("models:/risk@best", "Registered model alias best not found."),
    ],
)
def test_sources_that_cannot_be(ask: Asking, source: str, message: str) -> None:
    ask.model("risk")
    asked = ask.refused("POST", "model-versions/create", {"name": "risk", "source": source})
    assert message in asked[1]
    assert ask("GET", "model-versions/search") == {}


def test_version_of_a_version_and_of_artifacts_of_its_run(ask: Asking) -> None:
    experiment = ask.experiment()
    run, other = ask.run(experiment), ask.run(experiment)
    ask.model("risk")
    ask.model("copy")
    inside = f"mlflow-artifacts:/{experiment}/{run}/artifacts/model"
    assert ask.version("risk", inside, run_id=run)["source"] == inside
    elsewhere = {"name": "risk", "source": inside, "run_id": other}
    assert "must identify the resource" in ask.refused("POST", "model-versions/create", elsewhere)[1]
    ask("POST", "registered-models/alias", {"name": "risk", "alias": "best", "version": "1"})
    for source in ("models:/risk/1", "models:/risk@best", "models:/risk/latest", "models:/risk/None"):
        made = ask.version("copy", source)
        assert (made["source"], made["run_id"]) == ("models:/risk/1", run)
        uri = ask("GET", "model-versions/get-download-uri", name="copy", version=made["version"])
        assert uri == {"artifact_uri": inside}
    first, second = ask.found("model_version", "model.name = 'risk'")[0], ask.found("model_version", "version = 4")[0]
    lineage = ask.ours("GET", f"lineage/{second['id']}?direction=upstream")
    assert (first["id"], second["id"], "derived_from") in {
        (link["upstream"], link["downstream"], link["type"]) for link in lineage["links"]
    }


def test_search_of_models(ask: Asking) -> None:
    ask.model("b", tags=[{"key": "k", "value": "v"}])
    ask.model("a", tags=[{"key": "k", "value": "w"}, {"key": "odd key", "value": "Abc"}])
    ask.model("C")
    ask.model("p", tags=[{"key": "mlflow.prompt.is_prompt", "value": "true"}])
    ask("POST", "logged-models", {"experiment_id": ask.experiment(), "name": "logged"})
    ask.version("b")
    for text, wanted in (
        ("", ["C", "a", "b"]),
        ("name != 'a'", ["C", "b"]),
        ("name ILIKE 'c'", ["C"]),
        ("name LIKE 'c'", []),
        ("name IN ('a', 'b')", ["a", "b"]),
        ("attribute.name NOT IN ('a')", ["C", "b"]),
        ("tags.k != 'v'", ["a"]),
        ("tag.`odd key` LIKE 'A%' AND tags.k = 'w'", ["a"]),
        ("tags.`mlflow.prompt.is_prompt` != 'true'", ["C", "a", "b"]),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", ["p"]),
        ("tags.none != 'v'", []),
    ):
        assert names(ask("GET", "registered-models/search", filter=text)) == wanted, text
    for order, wanted in (
        ("name DESC", ["b", "a", "C"]),
        ("last_updated_timestamp", ["a", "C", "b"]),
        ("timestamp DESC", ["b", "C", "a"]),
    ):
        assert names(ask("GET", "registered-models/search", order_by=order)) == wanted
        pages: list[str] = []
        token: str | None = ""
        while token is not None:
            page = ask("GET", "registered-models/search", order_by=order, max_results=1, page_token=token)
            pages += names(page)
            token = page.get("next_page_token")
        assert pages == wanted
    for text, message in (
        ("name > 'a'", "Invalid comparator for attribute: >"),
        ("name = 5", "Expected a quoted string value or a list of quoted string values for attributes. Got value 5"),
        ("tags.k IS NULL", "IS NULL / IS NOT NULL is not supported for registered model search."),
        ("description = 'd'", "Invalid attribute key 'description' specified. Valid keys are '{'name'}'"),
        ("version = '1'", "Invalid clause(s) in filter string: version, =, '1'"),
        ("name = 'a' OR name = 'b'", "Invalid clause(s) in filter string: OR"),
        (" ", "Invalid filter ' '. Could not be parsed."),
    ):
        assert ask.refused("GET", "registered-models/search", filter=text)[1] == message
    assert ask.refused("GET", "registered-models/search", order_by="name UP")[1] == (
        "Invalid ordering key in order_by clause 'name UP'."
    )
    assert ask.refused("GET", "registered-models/search", page_token="garbage")[0] == 400
    assert ask.refused("GET", "registered-models/search", page_token="garbage", order_by="timestamp")[0] == 400
    assert ask.refused("GET", "registered-models/search", max_results=1001)[0] == 400


def test_search_of_versions(ask: Asking) -> None:
    experiment = ask.experiment()
    run = ask.run(experiment)
    ask.model("b")
    ask.model("a")
    ask.version("b", "s3://bucket/one", tags=[{"key": "k", "value": "v"}])
    ask.version("b", f"runs:/{run}/model", run_id=run)
    ask.version("a", "s3://bucket/two")
    ask.version("b", "s3://bucket/gone")
    ask("DELETE", "model-versions/delete", {"name": "b", "version": "3"})
    ask("POST", "logged-models", {"experiment_id": experiment, "name": "logged", "source_run_id": run})
    ask("PATCH", "model-versions/update", {"name": "b", "version": "1", "description": "last"})

    def found(text: str = "", **more: Any) -> list[str]:
        answer = ask("GET", "model-versions/search", filter=text, **more)
        return [f"{one['name']}{one['version']}" for one in answer.get("model_versions", [])]

    for text, wanted in (
        ("", ["b1", "a1", "b2"]),
        ("name = 'b'", ["b1", "b2"]),
        ("name != 'b'", ["a1"]),
        ("name ILIKE 'B'", ["b1", "b2"]),
        ("name IN ('a')", ["a1"]),
        (f"run_id = '{run}'", ["b2"]),
        (f"run_id != '{run}'", ["b1", "a1"]),
        (f"run_id IN ('{run}', 'x', '')", ["b1", "a1", "b2"]),
        (f"run_id NOT IN ('{run}')", ["b1", "a1"]),
        ("run_id = ''", ["b1", "a1"]),
        ("source_path LIKE 's3%'", ["b1", "a1"]),
        ("version_number = '1'", ["b1", "a1"]),
        ("version_number > 1", ["b2"]),
        ("tags.k = 'v'", ["b1"]),
        ("tags.`mlflow.prompt.is_prompt` != 'true' AND name = 'a'", ["a1"]),
    ):
        assert found(text) == wanted, text
    for order, wanted in (
        ("name", ["a1", "b2", "b1"]),
        ("version_number", ["a1", "b1", "b2"]),
        ("version_number DESC", ["b2", "a1", "b1"]),
        ("creation_timestamp", ["b1", "b2", "a1"]),
        ("last_updated_timestamp ASC", ["b2", "a1", "b1"]),
    ):
        assert found(order_by=order) == wanted, order
        pages, token = [], ""
        while True:
            page = ask("GET", "model-versions/search", order_by=order, max_results=2, page_token=token)
            pages += [f"{one['name']}{one['version']}" for one in page["model_versions"]]
            if "next_page_token" not in page:
                break
            token = page["next_page_token"]
        assert pages == wanted
    for text, message in (
        ("version_number LIKE '1'", "Invalid comparator for attribute version_number: LIKE"),
        ("source = 'x'", "Invalid clause(s) in filter string: source, =, 'x'"),
        ("version_number IN (1)", "Only ['name', 'run_id'] attributes support comparison with a list"),
        ("current_stage = 'None'", "Invalid attribute key 'current_stage' specified."),
    ):
        assert message in ask.refused("GET", "model-versions/search", filter=text)[1]
    assert ask.refused("GET", "model-versions/search", max_results=0)[0] == 400


def test_prompt(ask: Asking) -> None:
    tag = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    ask.model("greeting", tags=[tag])
    text = {"key": "mlflow.prompt.text", "value": "Hello {{name}}"}
    assert ask.version("greeting", "prompt-template", tags=[tag, text])["tags"] == [tag, text]
    wrong = {"name": "greeting", "source": "s3://b/m", "tags": [tag]}
    assert "Prompt sources must use an MLflow placeholder" in ask.refused("POST", "model-versions/create", wrong)[1]
    assert ask("GET", "model-versions/search", filter="name = 'greeting'") == {}
    asked = "name = 'greeting' AND tags.`mlflow.prompt.is_prompt` = 'true'"
    assert len(ask("GET", "model-versions/search", filter=asked)["model_versions"]) == 1


def test_another_project_has_a_registry_of_its_own(ask: Asking) -> None:
    assert ask.raw("POST", "/v1/projects", {"slug": "churn"})[0] == 201
    ask.model("risk")
    assert ask("GET", "/p/churn/api/2.0/mlflow/registered-models/search") == {}
    made = ask("POST", "/p/churn/ajax-api/2.0/mlflow/registered-models/create", {"name": "risk"})
    assert made["registered_model"]["name"] == "risk"
