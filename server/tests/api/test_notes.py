"""Notes, saved views and the names that other systems have for records, through the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from api.conftest import BASE, Door

from muniment.client import Client
from muniment.model.ids import new_id

ODD = "a/b%c@d:e ü\u20ac?&=+#'\"\\"


@pytest.fixture
def world(door: Door) -> dict[str, str]:
    """The ids of some records, by a reference to each."""
    made = {"run": str(door.made("runs", {"experiment": "churn"})["id"])}
    made["experiment:churn"] = str(door("GET", f"{BASE}/experiments/churn")[1]["id"])
    made["model:risk"] = str(door.made("models", {"name": "risk"})["id"])
    made["model:risk@1"] = str(door.made("models/risk/versions", {"aliases": ["champion"]})["id"])
    made["model:risk@champion"] = made["model:risk@latest"] = made["model:risk@1"]
    made["dataset:customers"] = str(door.made("datasets", {"name": "customers"})["id"])
    made["dataset:customers@v/1"] = str(door.made("datasets/customers/versions", {"version": "v/1"})["id"])
    made["job:airflow/train"] = str(door.made("jobs", {"name": "train", "namespace": "airflow"})["id"])
    return made


def verified(door: Door) -> None:
    outcome = door.made("verify", None)
    assert outcome["ok"], outcome["findings"]


def notes(door: Door, where: str = "", **more: Any) -> list[str]:
    page = door.made("search", {"kind": "note", "where": where, "order_by": ["position"], **more})
    return [note["text"] for note in page["notes"]]


def named(door: Door, system: str, name: str, namespace: str = "", as_of: int | None = None) -> tuple[int, Any]:
    asked: dict[str, Any] = {"system": system, "namespace": namespace, "name": name}
    status, answer = door("GET", f"{BASE}/names?{urlencode(asked if as_of is None else {**asked, 'as_of': as_of})}")
    return status, answer


def test_a_note_with_an_id_is_made_once(door: Door, world: dict[str, str]) -> None:
    new = {"id": new_id(), "subject": "model:risk", "title": "Beware", "text": "# Größe\nnaïve\ttext"}
    first = door.made("notes", new)
    assert (first["subject"], first["text"], first["lifecycle"]) == (world["model:risk"], new["text"], "active")
    head = door.head()
    assert door.made("notes", new) == first
    assert door.made("notes", {**new, "subject": world["model:risk"]}) == first
    assert door.head() == head, "what exists is not written again"
    for other in (
        {"text": "other"},
        {"title": None},
        {"title": "other"},
        {"subject": None},
        {"subject": "job:airflow/train"},
    ):
        refused = door.refused("POST", "notes", {**new, **other})
        assert (refused["code"], refused["status"], refused["field"]) == ("conflict", 409, "id")
    refused = door.refused("POST", "notes", {**new, "id": world["model:risk"]})
    assert (refused["code"], refused["field"]) == ("conflict", "id")
    without = [door.made("notes", {"text": "same"})["id"] for _ in range(2)]
    assert len(set(without)) == 2, "without an id each is a note of its own"
    assert door("GET", f"{BASE}/notes/{first['id']}")[1] == first
    assert door("GET", f"{BASE}/notes/{first['id']}?as_of={head - 1}")[0] == 404
    verified(door)


def test_a_note_is_about_whatever_a_reference_means(door: Door, world: dict[str, str]) -> None:
    for reference, record in world.items():
        spelled = record if reference == "run" else reference.replace("v/1", "v%2F1")
        assert door.made("notes", {"subject": spelled, "text": reference})["subject"] == record
        assert notes(door, f"subject = '{record}'")[-1] == reference
        urn = f"urn:muniment:default:run:{record}"
        if reference == "run":
            assert door.made("notes", {"subject": urn, "text": "by urn"})["subject"] == record
    about = door.made("notes", {"text": "about the project"})
    assert about["subject"] is None
    assert notes(door, "subject IS NULL") == ["about the project"]
    assert door.made("notes", {"subject": about["id"], "text": "on a note"})["subject"] == about["id"]
    assert notes(door, f"subject = '{world['model:risk@1']}'") == [
        "model:risk@1", "model:risk@champion", "model:risk@latest",
    ]  # fmt: skip
    assert notes(door, f"subject IN ('{world['run']}', '{about['id']}')") == ["run", "by urn", "on a note"]
    for unknown in ("model:none", "model:risk@9", new_id(), "dataset:customers@x"):
        refused = door.refused("POST", "notes", {"subject": unknown, "text": "x"})
        assert (refused["code"], refused["status"], refused["field"]) == ("not_found", 404, "subject")
    for wrong in (
        "",
        "risk",
        "run:x",
        "urn:muniment:elsewhere:model:risk",
        "model:risk:x/y/z",
        "a\u0000b",
        "x" * 5_000,
    ):
        assert door.refused("POST", "notes", {"subject": wrong, "text": "x"})["field"] == "subject"
    verified(door)


def test_a_note_keeps_its_earlier_texts(door: Door, world: dict[str, str]) -> None:
    made = door.made("notes", {"subject": "model:risk", "title": "a", "text": "first"})
    at, target = door.head(), f"{BASE}/notes/{made['id']}"
    status, changed = door("PATCH", target, {"text": "second", "title": None})
    assert (status, changed["text"], changed["title"], changed["author"]) == (200, "second", None, made["author"])
    head = door.head()
    assert door("PATCH", target, {"text": "second"})[0] == 200
    assert door.head() == head, "the same again is no change"
    assert door("GET", f"{target}?as_of={at}")[1] == made
    steps = door("GET", f"{BASE}/records/{made['id']}/changes")[1]["steps"]
    assert [step["action"] for step in steps] == ["note.create", "note.update"]
    fields = {change["field"]: (change["before"], change["after"]) for change in steps[1]["changes"]}
    assert fields == {"text": ("first", "second"), "title": ("a", None)}
    assert notes(door, f"subject = '{world['model:risk']}'", as_of=at) == ["first"]
    verified(door)


def test_a_deleted_note_is_hidden_and_comes_back(door: Door, world: dict[str, str]) -> None:
    made = door.made("notes", {"subject": "model:risk", "text": "wrong"})
    target, at = f"{BASE}/notes/{made['id']}", door.head()
    assert door("PATCH", target, {"lifecycle": "deleted"})[1]["lifecycle"] == "deleted"
    of = f"subject = '{world['model:risk']}'"
    assert notes(door, of) == []
    assert notes(door, "text MATCH 'wrong'") == []
    assert notes(door, of, lifecycle="deleted") == notes(door, of, lifecycle="any") == ["wrong"]
    assert notes(door, of, as_of=at) == ["wrong"]
    assert door("GET", target)[1]["lifecycle"] == "deleted"
    assert door("PATCH", target, {"lifecycle": "active"})[0] == 200
    assert notes(door, of) == ["wrong"]
    for wrong in (
        {"lifecycle": "erased"},
        {"text": ""},
        {"text": " \n"},
        {"text": None},
        {"title": ""},
        {"author": "x"},
    ):
        door.refused("PATCH", f"notes/{made['id']}", wrong)
    for wrong in ({}, {"text": " "}, {"text": "a\u0000"}, {"text": "x", "title": "y" * 251}, {"text": "x", "id": "1"}):
        door.refused("POST", "notes", wrong)
    assert door.refused("POST", "notes", {"text": "x" * 1_048_577})["status"] == 413
    assert door.refused("PATCH", f"notes/{new_id()}", {"text": "x"})["code"] == "not_found"
    assert door.refused("PATCH", f"notes/{world['model:risk']}", {"text": "x"})["code"] == "not_found"
    verified(door)


def test_a_view_is_saved_once_and_changes(door: Door) -> None:
    state = {"where": "metrics.auc > 0.9", "columns": ["$a", {"b": -0.0}], "big": 2**60, "größe": 1e17}
    new = {"name": "mine/best ü", "page": "runs", "state": state, "description": "the best"}
    first = door.made("views", new)
    head = door.head()
    assert door.made("views", new) == first
    assert door.head() == head
    others: list[dict[str, Any]] = [{"state": {}}, {"page": "models"}, {"description": "x"}]
    for other in others:
        assert door.refused("POST", "views", {**new, **other})["code"] == "conflict"
    second = door.made("views", {"name": "other", "page": "runs", "state": {}})
    for reference in (first["id"], "mine%252Fbest%20%C3%BC"):
        status, found = door("GET", f"{BASE}/views/{reference}")
        assert (status, found) == (200, first)
    assert repr(first["state"]["columns"][1]["b"]) == "-0.0"
    refused = door.refused("PATCH", "views/other", {"name": new["name"]})
    assert (refused["code"], refused["field"]) == ("conflict", "name")
    assert door("PATCH", f"{BASE}/views/other", {"name": "other"})[1] == second
    at = door.head()
    status, renamed = door("PATCH", f"{BASE}/views/other", {"name": "third", "state": {"limit": 5}})
    assert (status, renamed["id"], renamed["state"]) == (200, second["id"], {"limit": 5})
    assert door("GET", f"{BASE}/views/other")[0] == 404
    assert door("GET", f"{BASE}/views/other?as_of={at}")[1] == second
    assert door.made("views", {"name": "other", "page": "runs", "state": {}})["id"] != second["id"]
    assert door("PATCH", f"{BASE}/views/third", {"lifecycle": "deleted"})[0] == 200
    found = door.made("search", {"kind": "saved_view", "where": "page = 'runs'"})["saved_views"]
    assert sorted(view["name"] for view in found) == ["mine/best ü", "other"]
    for wrong in (
        {"name": ""},
        {"state": None},
        {"state": [1]},
        {"name": None},
        {"page": "x"},
        {"state": {"a": 2**70}},
    ):
        door.refused("PATCH", "views/third", wrong)
    assert door.refused("PATCH", "views/third", {"state": {"a": "x" * 262_144}})["status"] == 413
    verified(door)


@pytest.mark.parametrize(("first", "second"), [(1, True), (0, False)])
def test_a_view_with_another_state_is_another(door: Door, first: Any, second: Any) -> None:
    new = {"name": "a", "page": "runs", "state": {"only_mine": first}}
    door.made("views", new)
    assert door.refused("POST", "views", {**new, "state": {"only_mine": second}})["code"] == "conflict"
    status, changed = door("PATCH", f"{BASE}/views/a", {"state": {"only_mine": second}})
    assert (status, changed["state"]["only_mine"] is second) == (200, True)
    assert door("GET", f"{BASE}/views/a")[1]["state"]["only_mine"] is second


def test_another_systems_name_means_one_record_at_a_time(door: Door, world: dict[str, str]) -> None:
    name = {"system": "mlflow", "namespace": "prod", "name": "run/1"}
    give = {**name, "record": "model:risk", "url": "http://mlflow/1"}
    before = door.head()
    given = door.made("names", give)
    assert (given["changed"], given["position"]) == (True, before + 1)
    assert door.made("names", give)["changed"] is False
    assert door.head() == before + 1
    status, found = named(door, "mlflow", "run/1", "prod")
    expected = {**name, "url": "http://mlflow/1", "record": world["model:risk"], "kind": "model"}
    assert (status, found) == (200, expected)
    refused = door.refused("POST", "names", {**give, "record": world["run"]})
    assert (refused["code"], refused["field"]) == ("conflict", "name")
    assert world["model:risk"] in refused["detail"]
    assert door.made("names", {**give, "url": None})["changed"] is True, "its address may change"
    first = door.head()
    assert door.made("names/remove", name)["changed"] is True
    assert door.made("names/remove", name)["changed"] is False
    taken = door.head()
    assert named(door, "mlflow", "run/1", "prod")[0] == 404
    assert door.made("names", {**give, "record": world["run"]})["changed"] is True
    assert named(door, "mlflow", "run/1", "prod")[1]["record"] == world["run"]
    assert named(door, "mlflow", "run/1", "prod", before)[0] == 404
    assert named(door, "mlflow", "run/1", "prod", before + 1)[1] == expected
    assert named(door, "mlflow", "run/1", "prod", first)[1] == {**expected, "url": None}
    assert named(door, "mlflow", "run/1", "prod", taken)[0] == 404
    for other in (
        ("mlflow", "run/1", ""),
        ("feast", "run/1", "prod"),
        ("mlflow", "run", "prod"),
        ("mlflow", "1", "prod/run"),
    ):
        assert named(door, *other)[0] == 404
    assert door("GET", f"{BASE}/records/model:risk/names")[1] == {"names": []}
    assert len(door("GET", f"{BASE}/records/model:risk/names?as_of={first}")[1]["names"]) == 1
    verified(door)


def test_names_may_hold_anything_that_text_can(door: Door, world: dict[str, str]) -> None:
    given = [
        ("s", "", "n"), ("s", "n", "n"), (ODD, ODD, ODD), ("s", "a/b", "c"), ("s", "a", "b/c"), ("s", "a%2Fb", "c"),
        ("urn:li", "", "urn:li:dataset:(x,y)"), (" ", "", "x"), ("s", " ", " x "), ("s", "\uff4e", "\u0301n"),
    ]  # fmt: skip
    accepted: list[tuple[str, str, str]] = []
    for system, namespace, name in given:
        body = {"system": system, "namespace": namespace, "name": name, "record": world["run"]}
        if system == " ":
            assert door.refused("POST", "names", body)["field"] == "system"
            continue
        assert door.made("names", body)["changed"] is True, (system, namespace, name)
        accepted.append((system, namespace, name))
        found = named(door, system, name, namespace)[1]
        assert (found["system"], found["namespace"], found["name"]) == (system, namespace, name)
    listed = door("GET", f"{BASE}/records/{world['run']}/names")[1]["names"]
    assert sorted((item["system"], item["namespace"], item["name"]) for item in listed) == sorted(accepted)
    assert {(item["record"], item["kind"], item["url"]) for item in listed} == {(world["run"], "run", None)}
    for system, namespace, name in accepted:
        assert door.made("names/remove", {"system": system, "namespace": namespace, "name": name})["changed"] is True
    assert door("GET", f"{BASE}/records/{world['run']}/names")[1]["names"] == []
    verified(door)


@pytest.mark.parametrize(
    ("more", "field", "status"),
    [
        ({"system": ""}, "system", 400),
        ({"name": ""}, "name", 400),
        ({"system": "s" * 251}, "system", 413),
        ({"name": "n" * 1_600}, "name", 413),
        ({"namespace": "n" * 1_600}, "namespace", 413),
        ({"name": "ü" * 400}, "name", 413),
        ({"namespace": "n" * 1_000, "name": "n" * 1_000}, "name", 413),
        ({"name": "a\u0000b"}, "name", 400),
        ({"url": "a\u0000b"}, "url", 400),
        ({"record": "model:none"}, "record", 404),
        ({"record": ""}, "record", 400),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    door: Door, world: dict[str, str], more: dict[str, str], field: str, status: int
) -> None:
    new = {"system": "s", "name": "n", "record": world["run"], **more}
    refused = door.refused("POST", "names", new)
    assert (refused["field"], refused["status"]) == (field, status)
    door.refused("POST", "names", {**new, "namespace": None})


def test_the_longest_name_is_kept(door: Door, world: dict[str, str]) -> None:
    name = "n" * (1_500 - len("s//"))
    assert door.made("names", {"system": "s", "name": name, "record": world["run"]})["changed"] is True
    assert named(door, "s", name)[1]["record"] == world["run"]
    spread = "".join(chr(0x4E00 + number * 7) for number in range(166))
    assert door.made("names", {"system": "s", "name": spread, "record": world["run"]})["changed"] is True
    assert named(door, "s", spread)[1]["name"] == spread


def test_the_names_of_an_erased_run_are_free_again(door: Door, world: dict[str, str]) -> None:
    door.made("names", {"system": "mlflow", "name": "secret", "record": world["run"]})
    at = door.head()
    assert door("POST", f"{BASE}/runs/{world['run']}/erase", {"reason": "asked for"})[0] == 200
    assert named(door, "mlflow", "secret")[0] == 404
    assert named(door, "mlflow", "secret", as_of=at)[0] == 404
    assert door("GET", f"{BASE}/records/{world['run']}/names")[0] == 410
    assert door.made("names", {"system": "mlflow", "name": "secret", "record": "model:risk"})["changed"] is True
    assert named(door, "mlflow", "secret")[1]["kind"] == "model"
    verified(door)


def test_the_client_writes_notes_and_gives_names(door: Door, world: dict[str, str]) -> None:
    client = Client.__new__(Client)
    client.url, client.project, client._base, client._transport = "", "default", BASE, door.transport
    note = client.create_note("mind the gap", subject="model:risk@champion", title="Gap")
    assert (note.subject, note.title) == (world["model:risk@1"], "Gap")
    assert client.give_name("model:risk", ODD, ODD, ODD, url="http://x/").changed
    assert not client.give_name("model:risk", ODD, ODD, ODD, url="http://x/").changed
    found = client.find_by_name(ODD, ODD, ODD)
    assert (found.record, found.kind, found.system, found.name) == (world["model:risk"], "model", ODD, ODD)


def test_runs_are_executions_of_a_job(door: Door, world: dict[str, str]) -> None:
    elsewhere = door.made("jobs", {"name": "train", "namespace": "dagster"})["id"]
    plain = door.made("jobs", {"name": "nightly"})["id"]
    jobs = {"airflow/train": world["job:airflow/train"], "dagster/train": elsewhere, "nightly": plain, plain: plain,
            "job:dagster/train": elsewhere}  # fmt: skip
    for number, (reference, job) in enumerate(jobs.items()):
        made = door.made("runs", {"experiment": "churn", "name": f"r{number}", "job": reference})
        assert made["job"] == job
        assert door("GET", f"{BASE}/runs/{made['id']}")[1]["run"]["job"] == job
    at = door.head()

    def runs(where: str, **more: Any) -> list[str]:
        page = door.made("search", {"where": where, "order_by": ["name"], **more})
        return [item["run"]["name"] for item in page["runs"]]

    assert runs("job.name = 'train'") == ["r0", "r1", "r4"]
    assert runs("job.namespace = 'dagster'") == ["r1", "r4"]
    assert runs("job.name = 'train' AND NOT job.namespace = 'dagster'") == ["r0"]
    assert runs("job.name LIKE 'n%'") == ["r2", "r3"]
    assert runs(f"job = '{plain}'") == ["r2", "r3"]
    assert runs(f"job IN ('{plain}', '{elsewhere}') AND name != 'r2'") == ["r1", "r3", "r4"]
    assert len(runs("job IS NULL")) == len(runs("job.name IS NULL")) == 1
    assert runs("job.name = 'train'", as_of=at - 1) == ["r0", "r1"]
    refused = door.refused("POST", "runs", {"experiment": "churn", "job": "airflow/none"})
    assert (refused["code"], refused["status"], refused["field"]) == ("not_found", 404, "job")
    for wrong in ("", "a/b/c", "model:risk", "train@1"):
        assert door.refused("POST", "runs", {"experiment": "churn", "job": wrong})["field"] == "job"
    verified(door)
