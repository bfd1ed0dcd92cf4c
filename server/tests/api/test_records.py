"""Jobs, datasets, models and evaluations through the API: made once, found again, never changed behind one's back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from api.conftest import BASE, Door

SCHEMA = [{"name": "age", "type": "int64"}, {"name": "spend", "type": "float64", "unit": "EUR"}]


def run_of(door: Door) -> str:
    return str(door.made("runs", {"experiment": "churn"})["id"])


def verified(door: Door) -> None:
    outcome = door.made("verify", None)
    assert outcome["ok"], outcome["findings"]


@pytest.mark.parametrize(("kind", "more"), [("jobs", {"type": "dbt model"}), ("datasets", {}), ("models", {})])
def test_a_named_record_is_made_once(door: Door, kind: str, more: dict[str, Any]) -> None:
    new = {"name": "customers", "description": "who buys", **more}
    first = door.made(kind, new)
    head = door.head()
    assert door.made(kind, new) == first
    assert door.made(kind, {"name": "customers"}) == first
    assert door.head() == head, "what exists is not written again"
    refused = door.refused("POST", kind, {"name": "customers", "description": "other"})
    assert refused["code"] == "conflict"
    for reference in (first["id"], "customers"):
        status, found = door("GET", f"{BASE}/{kind}/{reference}")
        assert status == 200
        assert (found["model"] if kind == "models" else found) == first
    status, changed = door("PATCH", f"{BASE}/{kind}/customers", {"description": None})
    assert (status, changed["description"]) == (200, None)
    status, past = door("GET", f"{BASE}/{kind}/customers?as_of={head}")
    assert (past["model"] if kind == "models" else past) == first
    assert door("GET", f"{BASE}/{kind}/customers?as_of={head - 1}")[0] == 404
    verified(door)


def test_a_namespace_keeps_names_apart(door: Door) -> None:
    ours = door.made("datasets", {"name": "orders"})
    theirs = door.made("datasets", {"namespace": "postgres://shop:5432", "name": "public/orders"})
    assert ours["id"] != theirs["id"]
    assert door("GET", f"{BASE}/datasets/orders")[1] == ours
    # in a reference the parts are percent-encoded, and in a path the whole is encoded once more
    spelled = "postgres%253A%252F%252Fshop%253A5432%2Fpublic%252Forders"
    assert door("GET", f"{BASE}/datasets/{spelled}")[1] == theirs
    assert door("GET", f"{BASE}/datasets/{theirs['id']}")[1] == theirs


def test_versions_of_a_dataset_go_by_version_then_digest(door: Door) -> None:
    door.made("datasets", {"name": "customers"})
    content = {"digest": "sha256:1", "schema": SCHEMA, "rows": 10, "slices": [{"name": "test", "filter": "age > 30"}]}
    first = door.made("datasets/customers/versions", content)
    assert first["version"] == "1"
    head = door.head()
    assert door.made("datasets/customers/versions", content) == first, "the same digest is the same version"
    assert door.made("datasets/customers/versions", {"version": "1"}) == first
    assert door.head() == head
    refused = door.refused("POST", "datasets/customers/versions", {"version": "1", "digest": "sha256:2"})
    assert (refused["code"], refused["field"]) == ("conflict", "digest")
    assert door.refused("POST", "datasets/customers/versions", {**content, "rows": 11})["field"] == "rows"
    named = door.made("datasets/customers/versions", {"version": "2026-11", "digest": "sha256:1"})
    assert named["id"] != first["id"], "a version given by the producer wins over the digest"
    unknown = [door.made("datasets/customers/versions", {})["version"] for _ in range(2)]
    assert len({"1", "2026-11", *unknown}) == 4, "with neither, each call is a version of its own"
    assert door("GET", f"{BASE}/datasets/customers/versions/latest")[1]["version"] == unknown[-1]
    listed = door("GET", f"{BASE}/datasets/customers/versions")[1]["versions"]
    assert [version["version"] for version in listed] == ["1", "2026-11", *unknown]
    assert len(door("GET", f"{BASE}/datasets/customers/versions?as_of={head}")[1]["versions"]) == 1
    verified(door)


def test_a_digest_means_the_oldest_version_within_one_request_too(door: Door) -> None:
    door.made("datasets", {"name": "customers"})
    oldest = door.made("datasets/customers/versions", {"digest": "sha256:1"})
    commands = [
        {"do": "dataset.version", "dataset": "customers", "version": "named", "digest": "sha256:1"},
        {"do": "dataset.version", "dataset": "customers", "digest": "sha256:1"},
        {"do": "dataset.version", "dataset": "customers", "version": "a", "digest": "sha256:2"},
        {"do": "dataset.version", "dataset": "customers", "version": "b", "digest": "sha256:2"},
        {"do": "dataset.version", "dataset": "customers", "digest": "sha256:2"},
    ]
    results = door.made("batch", {"commands": commands})["results"]
    assert [result["version"] for result in results] == ["named", oldest["version"], "a", "b", "a"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"schema": [{"name": "a"}, {"name": "a"}]}, "schema"),
        ({"schema": [{"name": ""}]}, None),
        ({"slices": [{"name": "s"}, {"name": "s"}]}, "slices"),
        ({"rows": -1}, "rows"),
        ({"profile": {"a": 2**70}}, None),
        ({"profile": {"a": "x" * 300_000}}, "profile"),
        ({"version": ""}, "version"),
        ({"version": "a\u0000b"}, "version"),
        ({"run": "01a205ca50f87aee91880ce46b73743f"}, "run"),
        ({"unknown": 1}, None),
    ],
)
def test_a_bad_version_is_refused_in_one_line(door: Door, body: dict[str, Any], field: str | None) -> None:
    door.made("datasets", {"name": "customers"})
    refused = door.refused("POST", "datasets/customers/versions", body)
    assert field is None or refused["field"] == field


def test_model_versions_count_on_and_aliases_move(door: Door) -> None:
    run = run_of(door)
    door.made("models", {"name": "risk"})
    first = door.made("models/risk/versions", {"run": run, "framework": {"name": "sklearn"}, "aliases": ["champion"]})
    second = door.made("models/risk/versions", {"signature": {"inputs": SCHEMA}})
    assert (first["version"], second["version"]) == (1, 2)
    assert door("GET", f"{BASE}/models/risk/versions/champion")[1] == first
    assert door("GET", f"{BASE}/models/risk/versions/latest")[1] == second
    before = door.head()
    status, moved = door("PUT", f"{BASE}/models/risk/aliases/champion", {"version": 2})
    assert (status, moved["version"], moved["changed"]) == (200, 2, True)
    assert door("PUT", f"{BASE}/models/risk/aliases/champion", {"version": 2})[1]["changed"] is False
    assert door.head() == before + 1, "the same meaning again writes nothing"
    assert door("GET", f"{BASE}/models/risk/versions/champion")[1] == second
    assert door("GET", f"{BASE}/models/risk/versions/champion?as_of={before}")[1] == first
    assert door("GET", f"{BASE}/models/risk")[1]["aliases"] == {"champion": 2}
    assert door("DELETE", f"{BASE}/models/risk/aliases/champion")[1]["changed"] is True
    assert door("GET", f"{BASE}/models/risk/versions/champion")[0] == 404
    tenth = door.made("models/risk/versions", {"version": 10})
    assert door.made("models/risk/versions", {})["version"] == tenth["version"] + 1
    verified(door)


def test_a_version_never_changes_and_its_stage_does(door: Door) -> None:
    door.made("models", {"name": "risk"})
    first = door.made("models/risk/versions", {"digest": "sha256:1", "uri": "s3://models/risk/1"})
    assert door.made("models/risk/versions", {"version": 1, "digest": "sha256:1"}) == first
    assert door.refused("POST", "models/risk/versions", {"version": 1, "digest": "sha256:2"})["field"] == "digest"
    status, staged = door("PATCH", f"{BASE}/models/risk/versions/1", {"stage": "production"})
    assert (status, staged["stage"], staged["digest"]) == (200, "production", "sha256:1")
    door("PATCH", f"{BASE}/models/risk", {"name": "risk scores"})
    assert door("GET", f"{BASE}/models/risk%20scores/versions/1")[1] == staged
    assert door("GET", f"{BASE}/models/risk")[0] == 404
    for alias in ("7", "latest", ""):
        assert door.refused("POST", "models/risk%20scores/versions", {"aliases": [alias]})["field"] == "aliases"
    verified(door)


def test_versions_registered_at_once_get_numbers_of_their_own(door: Door) -> None:
    door.made("models", {"name": "risk"})
    door.made("datasets", {"name": "customers"})
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: door.made("models/risk/versions", {})["version"], range(40)))
        data = list(pool.map(lambda _: door.made("datasets/customers/versions", {})["version"], range(40)))
        same = list(pool.map(lambda _: door.made("datasets/customers/versions", {"digest": "d"})["id"], range(16)))
    assert sorted(models) == list(range(1, 41))
    assert len(set(data)) == 40
    assert len(set(same)) == 1
    verified(door)


def test_an_evaluation_says_how_good_and_whether_good_enough(door: Door) -> None:
    run = run_of(door)
    door.made("models", {"name": "risk"})
    model = door.made("models/risk/versions", {"aliases": ["champion"]})
    door.made("datasets", {"name": "customers"})
    data = door.made("datasets/customers/versions", {"slices": [{"name": "test"}, {"name": "young"}]})
    new = {
        "model_version": "risk@champion", "dataset_version": "customers@1", "slice": "test", "run": run,
        "metrics": {"auc": 0.91, "ece": 0.02}, "thresholds": {"auc": {"min": 0.9}, "ece": {"max": 0.05}},
    }  # fmt: skip
    made = door.made("evaluations", new)
    assert (made["verdict"], made["model_version"], made["dataset_version"]) == ("passed", model["id"], data["id"])
    assert door("GET", f"{BASE}/evaluations/{made['id']}")[1] == made
    failed = door.made("evaluations", {**new, "thresholds": {"auc": {"min": 0.95}}})
    assert (failed["verdict"], failed["id"] == made["id"]) == ("failed", False)
    assert door.made("evaluations", {**new, "thresholds": {"f1": {"min": 0}}})["verdict"] == "failed", "not measured"
    own = {**new, "id": "0192f0c1d2e37abc8000000000000001", "thresholds": {}}
    assert door.made("evaluations", own)["verdict"] == "none"
    head = door.head()
    door.made("evaluations", own)
    assert door.head() == head
    assert door.refused("POST", "evaluations", {**own, "metrics": {"auc": 0.5}})["code"] == "conflict"
    for wrong, field in (
        ({"slice": "old"}, "slice"),
        ({"dataset_version": "customers"}, "dataset_version"),
        ({"dataset_version": "customers@9"}, "dataset_version"),
        ({"model_version": "risk@none"}, "model_version"),
        ({"metrics": {}}, "metrics"),
        ({"thresholds": {"auc": {}}}, "thresholds"),
        ({"thresholds": {"auc": {"min": 2, "max": 1}}}, "thresholds"),
        ({"id": run}, "id"),
    ):
        assert door.refused("POST", "evaluations", {**new, **wrong})["field"] == field, wrong
    verified(door)


def test_a_batch_records_a_whole_training_in_one_entry(door: Door) -> None:
    run = "0192f0c1d2e37abc8000000000000007"
    commands: list[dict[str, Any]] = [
        {"do": "job.create", "name": "nightly"},
        {"do": "dataset.create", "name": "customers"},
        {"do": "dataset.version", "dataset": "customers", "digest": "sha256:1", "slices": [{"name": "test"}]},
        {"do": "run.create", "id": run, "experiment": "churn"},
        {"do": "link.add", "upstream": "dataset:customers@1", "downstream": run, "type": "used", "role": "training"},
        {"do": "model.create", "name": "risk"},
        {"do": "model.version", "model": "risk", "run": run, "aliases": ["champion"]},
        {"do": "evaluation.create", "model_version": "risk@champion", "dataset_version": "customers@latest",
         "slice": "test", "metrics": {"auc": 0.9}},
    ]  # fmt: skip
    before = door.head()
    done = door.made("batch", {"commands": commands})
    assert (door.head(), done["position"]) == (before + 1, before + 1)
    assert [result.get("version") for result in done["results"]][6] == 1
    status, graph = door("GET", f"{BASE}/lineage/{done['results'][7]['id']}")
    assert status == 200
    assert {node["kind"] for node in graph["nodes"]} == {"evaluation", "model_version", "dataset_version", "run"}
    bad = [*commands, {"do": "link.add", "upstream": "model:risk@1", "downstream": "dataset:customers@1",
                       "type": "derived_from"}]  # fmt: skip
    refused = door.refused("POST", "batch", {"commands": bad})
    assert refused["field"].startswith("commands[8]")
    verified(door)
