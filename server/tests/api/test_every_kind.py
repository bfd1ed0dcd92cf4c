"""Tags, deletion, restoring and erasure hold for records of every kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from api.conftest import BASE, Door

from muniment_server.services import models, records
from muniment_server.store.tables import metadata

KINDS = (
    "run", "experiment", "job", "dataset", "dataset_version", "model", "model_version", "evaluation", "note",
    "saved_view", "facet_type",
)  # fmt: skip
SECRET = "Ada Lovelace"


def verified(door: Door) -> None:
    outcome = door.made("verify", None)
    assert outcome["ok"], outcome["findings"]


@pytest.fixture
def every(door: Door) -> dict[str, str]:
    """The id of one record of each kind; all that can say `SECRET` do so."""
    described = {"name": SECRET, "description": SECRET}
    made = {
        "experiment": door.made("experiments", described)["id"],
        "run": door.made("runs", {"experiment": SECRET, "name": SECRET, "params": {"p": SECRET}})["id"],
        "job": door.made("jobs", {**described, "namespace": SECRET, "type": SECRET})["id"],
        "dataset": door.made("datasets", {**described, "namespace": SECRET})["id"],
        "model": door.made("models", described)["id"],
        "note": door.made("notes", {"subject": f"model:{SECRET}", "title": SECRET, "text": SECRET})["id"],
        "saved_view": door.made("views", {**described, "page": SECRET, "state": {"a": SECRET}})["id"],
        "facet_type": door.made("facet-types", {"name": "owner", "schema": {"title": SECRET}, "description": SECRET})[
            "id"
        ],
    }
    version = {
        "version": SECRET, "digest": SECRET, "run": made["run"], "profile": {"a": SECRET}, "license": SECRET,
        "schema": [{"name": SECRET}], "slices": [{"name": SECRET}], "sources": [{"uri": SECRET}],
    }  # fmt: skip
    made["dataset_version"] = door.made(f"datasets/{made['dataset']}/versions", version)["id"]
    registered = {
        "run": made["run"], "uri": SECRET, "description": SECRET, "metadata": {"a": SECRET}, "aliases": ["champion"],
        "stage": "staging",
    }  # fmt: skip
    made["model_version"] = door.made(f"models/{made['model']}/versions", registered)["id"]
    judged = {
        "model_version": made["model_version"], "dataset_version": made["dataset_version"], "slice": SECRET,
        "run": made["run"], "metrics": {"auc": 0.9125}, "thresholds": {"auc": {"min": 0.8125}},
    }  # fmt: skip
    made["evaluation"] = door.made("evaluations", judged)["id"]
    assert made.keys() == set(KINDS)
    return made


def found(door: Door, kind: str, where: str = "", **more: Any) -> list[str]:
    """The ids that a search finds."""
    page = door.made("search", {"kind": kind, "where": where, **more})
    rows = page[f"{kind}s"]
    return [(row["run"] if kind == "run" else row)["id"] for row in rows]


def tags(door: Door, record: str, query: str = "") -> Any:
    status, answer = door("GET", f"{BASE}/records/{record}/tags{query}")
    assert status == 200, answer
    return answer["tags"]


@pytest.mark.parametrize("kind", KINDS)
def test_tags_are_set_read_searched_and_kept_by_the_past(door: Door, every: dict[str, str], kind: str) -> None:
    record = every[kind]
    assert tags(door, record) == {}
    answer = door.made(f"records/{record}/tags", {"tags": {"team": "risk", "größe": "x"}})
    first = door.head()
    assert answer == {"record": record, "changed": 2, "position": first}
    assert tags(door, record) == {"team": "risk", "größe": "x"}
    again = door.made(f"records/{record}/tags", {"tags": {"team": "risk", "gone": None}})
    assert again == {"record": record, "changed": 0, "position": first}
    assert door.head() == first, "what is so already is not written again"
    door.made(f"records/{record}/tags", {"tags": {"team": "growth", "größe": None}})
    assert tags(door, record) == {"team": "growth"}
    assert tags(door, record, f"?as_of={first}") == {"team": "risk", "größe": "x"}
    assert found(door, kind, "tags.team = 'growth'") == [record]
    assert found(door, kind, "tags.team = 'risk'") == []
    assert found(door, kind, "tags.team = 'risk'", as_of=first) == [record]
    assert found(door, kind, "tags.größe IS NULL AND tags.team IN ('growth')", order_by=["tags.team"]) == [record]
    steps = door("GET", f"{BASE}/records/{record}/changes")[1]["steps"]
    assert [step["action"] for step in steps[-2:]] == ["record.tags", "record.tags"]
    assert {"field": "tags.team", "before": "risk", "after": "growth"} in steps[-1]["changes"]
    verified(door)


def test_tags_of_runs_are_the_same_by_both_ways(door: Door, every: dict[str, str]) -> None:
    door.made(f"runs/{every['run']}/tags", {"tags": {"a": "1"}})
    door.made(f"records/{every['run']}/tags", {"tags": {"b": "2"}})
    assert door("GET", f"{BASE}/runs/{every['run']}")[1]["tags"] == tags(door, every["run"]) == {"a": "1", "b": "2"}


def test_tags_are_checked_and_records_are_found_by_reference(door: Door, every: dict[str, str]) -> None:
    assert door.refused("POST", f"records/{every['model']}/tags", {"tags": {"": "x"}})["status"] == 400
    assert door.refused("POST", "records/model:nobody/tags", {"tags": {}})["status"] == 404
    reference = "model:Ada%20Lovelace@champion"
    door.made(f"records/{reference}/tags", {"tags": {"a": "b"}})
    assert tags(door, every["model_version"]) == {"a": "b"}


def test_tags_tell_records_of_a_kind_apart(door: Door, every: dict[str, str]) -> None:
    other = door.made("models", {"name": "other", "description": SECRET})["id"]
    door.made(f"records/{other}/tags", {"tags": {"team": "risk"}})
    different = door.made("compare", {"records": [every["model"], other]})["different"]
    assert different == {"name": [SECRET, "other"], "tags.team": [None, "risk"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_deleted_and_restored(door: Door, every: dict[str, str], kind: str) -> None:
    record = every[kind]
    before = door.head()
    status, answer = door("DELETE", f"{BASE}/records/{record}")
    said = {"record": record, "kind": kind}
    assert (status, answer) == (
        200, {**said, "lifecycle": "deleted", "changed": True, "position": before + 1},
    )  # fmt: skip
    again = door("DELETE", f"{BASE}/records/{record}")[1]
    assert again == {**answer, "changed": False}
    assert door.head() == before + 1, "what is deleted is not deleted again"
    assert record not in found(door, kind)
    assert record in found(door, kind, as_of=before)
    assert found(door, kind, lifecycle="deleted") == [record]
    assert record in found(door, kind, lifecycle="any")
    for target, body in ((f"records/{record}/tags", {"tags": {"a": "b"}}), ("names", {"system": "s", "name": "n"})):
        refused = door.refused("POST", target, {"record": record, **body} if target == "names" else body)
        assert refused["code"] == "conflict"
        assert "restore" in refused["detail"]
    assert door.refused("PUT", f"records/{record}/facets/f", {"value": {}})["code"] == "conflict"
    assert tags(door, record) == {}, "it can still be read"
    restored = door.made(f"records/{record}/restore", None)
    assert restored == {**said, "lifecycle": "active", "changed": True, "position": before + 2}
    assert not door.made(f"records/{record}/restore", None)["changed"]
    assert door.head() == before + 2
    assert record in found(door, kind)
    door.made(f"records/{record}/tags", {"tags": {"a": "b"}})
    verified(door)


def test_the_name_of_what_is_deleted_stays_taken(door: Door, every: dict[str, str]) -> None:
    door("DELETE", f"{BASE}/records/{every['model']}")
    assert door.refused("POST", "models", {"name": SECRET, "description": "another"})["code"] == "conflict"
    there = door.made("models", {"name": SECRET})
    assert (there["id"], there["lifecycle"]) == (every["model"], "deleted")


@pytest.mark.parametrize("deleted", ["model", "model_version", "dataset", "dataset_version", "run"])
def test_nothing_new_is_made_of_what_is_deleted(door: Door, every: dict[str, str], deleted: str) -> None:
    """Of a version of a deleted model or dataset neither; it can be read all the same."""
    other = door.made("runs", {"experiment": "churn"})["id"]
    assert door("DELETE", f"{BASE}/records/{every[deleted]}")[0] == 200
    used, made = every["dataset_version"], every["model_version"]
    refusals: dict[str, list[tuple[str, Any]]] = {
        "model": [(f"models/{every['model']}/versions", {"uri": "x"})],
        "dataset": [(f"datasets/{every['dataset']}/versions", {"digest": "x"})],
        "run": [
            (f"runs/{every['run']}/params", {"params": {"x": "y"}}),
            (f"models/{every['model']}/versions", {"run": every["run"]}),
            ("links", {"links": [{"upstream": every["run"], "downstream": other, "type": "parent_of"}]}),
            ("links", {"links": [{"upstream": used, "downstream": made, "type": "used", "run": every["run"]}]}),
        ],
        "model_version": [
            (f"models/{every['model']}/versions", {"version": 1, "aliases": ["best"]}),
            (f"records/{made}/artifacts", {"path": "a", "digest": "0" * 64}),
        ],
        "dataset_version": [(f"datasets/{every['dataset']}/versions", {"version": SECRET, "run": other})],
    }
    judged = {"model_version": made, "dataset_version": used, "metrics": {"auc": 0.5}}
    if deleted.startswith("model"):
        refusals[deleted].append(("links", {"links": [{"upstream": made, "downstream": other, "type": "used"}]}))
    if deleted.startswith("dataset"):
        refusals[deleted].append(("links/remove", {"links": [{"upstream": used, "downstream": other, "type": "used"}]}))
    if deleted != "run":
        refusals[deleted].append(("evaluations", judged))
    for target, body in refusals[deleted]:
        refused = door.refused("POST", target, body)
        if "artifacts" not in target:
            assert (refused["code"], "restore" in refused["detail"]) == ("conflict", True), (target, refused)
    if deleted.startswith("model"):
        door.refused("PUT", f"models/{every['model']}/aliases/best", {"version": 1})
        assert door("GET", f"{BASE}/models/{every['model']}/versions/champion")[1]["id"] == made
    nodes = door("GET", f"{BASE}/lineage/{every['evaluation']}")[1]["nodes"]
    assert {every["run"], made, used} <= {node["id"] for node in nodes}, "lineage keeps what is deleted"
    assert door("GET", f"{BASE}/records/{every[deleted]}/changes")[0] == 200
    door.made(f"records/{every[deleted]}/restore", None)
    door.made("evaluations", judged)
    verified(door)


def test_a_run_is_not_started_under_what_is_deleted(door: Door, every: dict[str, str]) -> None:
    for kind, body in (("job", {"experiment": "churn", "job": every["job"]}), ("experiment", {"experiment": SECRET})):
        door("DELETE", f"{BASE}/records/{every[kind]}")
        refused = door.refused("POST", "runs", body)
        assert (refused["code"], refused["field"]) == ("conflict", kind)


def test_latest_is_the_youngest_that_is_not_deleted_within_one_request_too(door: Door) -> None:
    door.made("models", {"name": "m"})
    first = door.made("models/m/versions", {"uri": "1"})
    second, third = door.made("models/m/versions", {"uri": "2"}), door.made("models/m/versions", {"uri": "3"})

    def latest_after(*commands: Any) -> Any:
        name = {"do": "name.give", "record": "model:m@latest", "system": "s", "name": str(door.head())}
        results = door.made("batch", {"commands": [*commands, name]})["results"]
        verified(door)
        return results[-1]["record"]

    delete, restore = ({"do": f"record.{done}", "record": third["id"]} for done in ("delete", "restore"))
    assert latest_after() == third["id"]
    assert latest_after(delete, {"do": "record.delete", "record": "model:m@2"}) == first["id"]
    assert latest_after(restore) == third["id"]
    assert latest_after({"do": "record.restore", "record": second["id"]}, delete) == second["id"]
    made = [{"do": "model.version", "model": "m", "uri": "4"}, {"do": "record.delete", "record": "model:m@4"}]
    assert latest_after(*made) == second["id"]
    assert door("GET", f"{BASE}/models/m/versions/latest")[1]["id"] == second["id"]


def test_latest_is_right_among_writes_that_are_committed_together(door: Door) -> None:
    door.made("models", {"name": "m"})
    made = [door.made("models/m/versions", {"uri": str(number)})["id"] for number in range(20)]
    workspace = door.transport._workspace
    at = (workspace, workspace.owner_scope, "default")

    async def together() -> list[Any]:
        waiting = []
        for youngest in reversed(made[1:]):  # the first is on its way while the others gather
            waiting.append(workspace.writer.write_async(records.delete(*at, youngest)))
            waiting.append(workspace.writer.write_async(models.set_alias(*at, "m", "champion", "latest")))
        return await asyncio.gather(*waiting)

    answers = asyncio.run(together())
    assert [answer.version for answer in answers[1::2]] == list(range(19, 0, -1))
    verified(door)


def test_commands_of_a_batch_and_an_import(door: Door, every: dict[str, str]) -> None:
    commands = [
        {"do": "record.tags", "record": every["model"], "tags": {"team": "risk"}},
        {"do": "record.delete", "record": every["note"]},
        {"do": "record.restore", "record": every["job"]},
    ]
    done = door.made("batch", {"commands": commands})
    assert [result.get("changed") for result in done["results"]] == [1, True, False]
    assert {result["position"] for result in done["results"]} == {door.head()}
    head = door.head()
    lines = b"\n".join(json.dumps({"command": command}).encode() for command in commands)
    answer = json.loads(door.raw("POST", "import", lines, content_type="application/x-ndjson").body)
    assert (answer["new"], answer["equal"], answer["refused"], door.head()) == (0, 3, 0, head)
    verified(door)


def test_what_cannot_be_deleted_says_what_to_do(door: Door) -> None:
    artifact = json.loads(door.raw("POST", "artifacts", b"bytes").body)["id"]
    for method, target, body in (
        ("DELETE", "", None), ("POST", "/restore", None), ("POST", "/erase", {"reason": "asked for"}),
    ):  # fmt: skip
        refused = door.refused(method, f"records/{artifact}{target}", body)
        assert (refused["status"], "collect" in refused["detail"]) == (400, True)
    door.made(f"records/{artifact}/tags", {"tags": {"team": "risk"}})
    assert found(door, "artifact", "tags.team = 'risk'") == [artifact]
    verified(door)


def dumped(door: Door) -> str:
    """Everything that the database says."""
    parts = []
    with door.transport._workspace.store.read() as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(sa.select(sa.text(f"* FROM {table.name}"))):
                parts += [bytes(item) if isinstance(item, bytes | memoryview) else str(item).encode() for item in row]
    return b"\n".join(parts).decode("utf-8", "replace")


@pytest.mark.parametrize("kind", KINDS)
def test_an_erased_record_says_nothing_and_its_proofs_stay(door: Door, every: dict[str, str], kind: str) -> None:
    record, secret = every[kind], f"secret of the {kind}"
    door.made(f"records/{record}/tags", {"tags": {"who": secret}})
    door("PUT", f"{BASE}/records/{record}/facets/who", {"value": {"name": secret}})
    door.made("names", {"record": record, "system": "crm", "name": secret})
    changes = {"model": "models", "dataset": "datasets", "job": "jobs", "experiment": "experiments", "run": "runs"}
    if kind in changes:
        assert door("PATCH", f"{BASE}/{changes[kind]}/{record}", {"description": secret})[0] == 200
    before = door.head()
    assert secret in dumped(door)
    others = {
        name: door("GET", f"{BASE}/lineage/{key}?direction=downstream")[1]["nodes"] for name, key in every.items()
    }
    answer = door.made(f"records/{record}/erase", {"reason": "asked for"})
    assert answer == {
        "record": record, "kind": kind, "lifecycle": "erased", "changed": True, "position": before + 1,
    }  # fmt: skip
    assert secret not in dumped(door)
    for method, target, body in (
        ("POST", "tags", {"tags": {"a": "b"}}), ("GET", "tags", None), ("GET", f"tags?as_of={before}", None),
        ("POST", "erase", {"reason": "again"}), ("DELETE", "", None), ("POST", "restore", None),
        ("GET", "changes", None),
    ):  # fmt: skip
        refused = door.refused(method, f"records/{record}/{target}".rstrip("/"), body)
        assert refused["code"] == "gone", (method, target, refused)
    assert record not in found(door, kind)
    assert found(door, kind, "lifecycle = 'erased'", lifecycle="any") == [record]
    assert record not in found(door, kind, f"text MATCH '{SECRET}'", lifecycle="any")
    for name, key in every.items():
        if name != kind:  # what depends on it keeps its links
            nodes = door("GET", f"{BASE}/lineage/{key}?direction=downstream")[1]["nodes"]
            kept = {node["id"] for node in others[name]} - {record}
            assert kept <= {node["id"] for node in nodes} | set(_below(every, record)), name
            assert door("GET", f"{BASE}/lineage/{key}?as_of={before}")[0] == 200
    verified(door)


def _below(every: dict[str, str], record: str) -> list[str]:
    """What hangs on the rest by way of a record alone, whose links upstream went with it."""
    return list(every.values()) if record in {every[kind] for kind in ("model_version", "dataset_version")} else []


def test_erased_versions_and_evaluations_keep_their_place(door: Door, every: dict[str, str]) -> None:
    door.made(f"records/{every['evaluation']}/erase", {"reason": "asked for"})
    assert found(door, "model_version", "evaluation.auc > 0.1") == []
    door.made(f"records/{every['model_version']}/erase", {"reason": "asked for"})
    for version in ("1", "champion"):
        assert door("GET", f"{BASE}/models/{every['model']}/versions/{version}")[0] == 410
    listed = door("GET", f"{BASE}/models/{every['model']}")[1]
    assert [(item["version"], item["lifecycle"], item["uri"]) for item in listed["versions"]] == [(1, "erased", None)]
    assert door.made(f"models/{every['model']}/versions", {"uri": "y"})["version"] == 2
    door.made(f"records/{every['model']}/erase", {"reason": "asked for"})
    nodes = door("GET", f"{BASE}/lineage/{every['run']}?direction=downstream")[1]["nodes"]
    assert SECRET not in json.dumps([node for node in nodes if node["kind"].startswith("model")])
    assert door.made("models", {"name": SECRET})["id"] != every["model"], "the name is free again"
    verified(door)


def test_a_name_that_was_taken_before_keeps_nothing_from_being_erased(door: Door, every: dict[str, str]) -> None:
    door.made("models", {"name": f"erased-{every['model']}"})
    door.made(f"records/{every['model']}/erase", {"reason": "asked for"})
    verified(door)


@pytest.mark.parametrize("kind", ["model", "note", "evaluation"])
def test_what_no_erasure_removed_is_found_missing(
    door: Door, every: dict[str, str], kind: str, forge: Callable[[str], None]
) -> None:
    door.made(f"records/{every['job']}/erase", {"reason": "asked for"})
    forge(f"UPDATE revisions SET body = NULL WHERE kind = '{kind}'")
    outcome = door.made("verify", None)
    assert not outcome["ok"]
    assert outcome["findings"][0]["problem"] == "a revision is gone, and no erasure removed it"


@pytest.fixture
def forge(door: Door) -> Callable[[str], None]:
    """Runs SQL that no service would."""

    def run(sql: str) -> None:
        with door.transport._workspace.store.write() as connection:
            connection.exec_driver_sql(sql)

    return run
