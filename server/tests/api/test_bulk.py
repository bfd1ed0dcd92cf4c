"""Bulk onboarding: every noun in a stream, what is new, equal and refused, going on after a break, and nothing lost."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest
from api.conftest import BASE, Door

from muniment.model.ids import new_id
from muniment_server.services import bulk


def stream(*commands: dict[str, Any] | bytes) -> bytes:
    """NDJSON of commands."""

    def line(command: dict[str, Any] | bytes) -> bytes:
        if isinstance(command, bytes):
            return command
        return msgspec.json.encode(command if "command" in command else {"command": command})

    lines = [line(command) for command in commands]
    return b"\n".join(lines) + b"\n"


def take_in(door: Door, body: bytes, query: str = "") -> dict[str, Any]:
    answer = door.raw("POST", f"import{query}", body, Content_Type="application/x-ndjson")
    assert answer.status == 200, answer
    return dict(msgspec.json.decode(answer.body))


def everything(run: str, note: str) -> list[dict[str, Any]]:
    """A line of every noun."""
    points = {"series": ["auc"], "step": [1, 2], "timestamp": [5, 6], "value": [0.5, 0.75]}
    return [
        {"do": "experiment.create", "name": "imported"},
        {"do": "job.create", "name": "train", "namespace": "airflow"},
        {"do": "dataset.create", "name": "customers"},
        {"do": "dataset.version", "dataset": "customers", "version": "2026-01", "slices": [{"name": "test"}]},
        {"do": "run.create", "experiment": "imported", "id": run, "job": "airflow/train", "params": {"depth": 3}},
        {"do": "run.log", "run": run, **points},
        {"do": "run.tags", "run": run, "tags": {"team": "risk"}},
        {"do": "link.add", "upstream": "dataset:customers@2026-01", "downstream": run, "type": "used"},
        {"do": "model.create", "name": "risk"},
        {"do": "model.version", "model": "risk", "version": 1, "run": run},
        {"do": "model.alias", "model": "risk", "alias": "champion", "version": "1"},
        {"do": "evaluation.create", "id": f"{int(run, 16) ^ 1:032x}", "model_version": "risk@1",
         "dataset_version": "customers@2026-01", "slice": "test", "metrics": {"auc": 0.9}},
        {"do": "note.create", "id": note, "subject": "model:risk", "text": "came from elsewhere"},
        {"do": "facet_type.create", "name": "owner", "version": 1, "schema": {"type": "object"}},
        {"do": "facet.set", "record": "model:risk", "name": "owner", "value": {"team": "risk"}},
        {"do": "saved_view.create", "name": "mine", "page": "runs", "state": {}},
        {"do": "name.give", "system": "mlflow", "name": run, "record": run},
    ]  # fmt: skip


def test_every_noun_is_taken_in_and_the_same_again_changes_nothing(door: Door) -> None:
    body = stream(*everything(new_id(), new_id()))
    first = take_in(door, body)
    assert (first["lines"], first["new"], first["equal"], first["refused"]) == (17, 17, 0, 0), first
    head = door.head()
    assert first["position"] == head
    again = take_in(door, body)
    assert (again["new"], again["equal"], again["refused"], again["position"]) == (0, 17, 0, head), again
    assert door.head() == head
    found = door("POST", f"{BASE}/search", {"where": "job.name = 'train' AND evaluation.auc > 0.8"})[1]["runs"]
    assert len(found) == 1
    assert door("POST", f"{BASE}/verify")[1]["ok"]


def test_what_is_refused_is_told_and_the_others_go_on(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LINES", 4)
    body = stream(
        {"do": "dataset.create", "name": "a"},
        b"{no json",
        {"do": "dataset.create", "name": ""},
        {"do": "dataset.version", "dataset": "none", "version": "1"},
        {"do": "dataset.create", "name": "b"},
        b"",
        {"do": "dataset.create", "name": "a", "description": "another"},
        {"do": "unheard.of"},
        {"do": "dataset.create", "name": "a"},
        {"do": "link.add", "upstream": "dataset:a", "downstream": "dataset:a", "type": "used"},
    )
    report = take_in(door, body)
    assert (report["lines"], report["new"], report["equal"], report["refused"]) == (10, 2, 1, 6)
    told = {item["line"]: (item["code"], item["field"]) for item in report["refusals"]}
    assert told == {
        2: ("invalid_input", "line"), 3: ("invalid_input", "name"), 4: ("not_found", "dataset"),
        7: ("conflict", "name"), 8: ("invalid_input", "command.do"),
        10: ("invalid_input", "links[0].downstream"),
    }, report  # fmt: skip
    assert all(item["detail"] and "\n" not in item["detail"] for item in report["refusals"])
    names = [item["name"] for item in door("POST", f"{BASE}/search", {"kind": "dataset"})[1]["datasets"]]
    assert sorted(names) == ["a", "b"]


def test_a_name_of_another_system_makes_a_line_repeatable(door: Door) -> None:
    lines = [
        {"called": {"system": "legacy", "namespace": "db", "name": str(number % 3)},
         "command": {"do": "note.create", "text": f"note {number}"}}
        for number in range(6)
    ]  # fmt: skip
    report = take_in(door, stream(*lines))
    assert (report["new"], report["equal"]) == (3, 3), report
    assert take_in(door, stream(*lines))["equal"] == 6
    notes = door("POST", f"{BASE}/search", {"kind": "note"})[1]["notes"]
    assert [item["text"] for item in notes] == ["note 2", "note 1", "note 0"]
    named = door("GET", f"{BASE}/names?system=legacy&namespace=db&name=1")[1]
    assert named["record"] == notes[1]["id"]
    other = {
        "called": {"system": "legacy", "name": "x"},
        "command": {"do": "model.alias", "model": "m", "alias": "a", "version": None},
    }
    assert take_in(door, stream({"do": "model.create", "name": "m"}, other))["refused"] == 1


def test_a_stream_goes_on_where_it_broke_off(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands without a name of their own are carried out once, however often the stream is sent."""
    monkeypatch.setattr(bulk, "LINES", 3)
    writer = new_id()
    lines = [{"do": "note.create", "text": f"note {number}"} for number in range(10)]
    first = take_in(door, stream(*lines[:7]), f"?writer={writer}")
    assert (first["lines"], first["skipped"], first["new"]) == (7, 0, 7)
    whole = take_in(door, stream(*lines), f"?writer={writer}")
    assert (whole["lines"], whole["skipped"], whole["new"]) == (10, 7, 3)
    again = take_in(door, stream(*lines), f"?writer={writer}")
    assert (again["skipped"], again["new"], again["equal"]) == (10, 0, 0)
    notes = door("POST", f"{BASE}/search", {"kind": "note"})[1]["notes"]
    assert [item["text"] for item in notes] == [f"note {number}" for number in reversed(range(10))]


def test_what_an_earlier_try_refused_is_not_forgotten(door: Door) -> None:
    writer = new_id()
    lines = [{"do": "dataset.create", "name": "a"}, b"garbage", {"do": "dataset.create", "name": ""},
             {"do": "dataset.create", "name": "b"}]  # fmt: skip
    first = take_in(door, stream(*lines), f"?writer={writer}")
    assert (first["new"], first["refused"], first["refused_before"]) == (2, 2, 0)
    again = take_in(door, stream(*lines), f"?writer={writer}")
    assert (again["skipped"], again["new"], again["refused"], again["refused_before"]) == (4, 0, 0, 2)


def test_one_stream_at_a_time_has_a_writer(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends a stream again while the first is still carried out does not carry it out twice."""
    monkeypatch.setattr(bulk, "LINES", 20)
    door.made("models", {"name": "m"})
    writer, body = new_id(), stream(*({"do": "model.version", "model": "m"} for _ in range(400)))
    answers: list[tuple[int, Any]] = []

    def send() -> None:
        answer = door.raw("POST", f"import?writer={writer}", body)
        answers.append((answer.status, msgspec.json.decode(answer.body)))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(status in {200, 409} for status, _ in answers), answers
    take_in(door, body, f"?writer={writer}")
    assert len(door("GET", f"{BASE}/models/m")[1]["versions"]) == 400


def test_the_marks_of_imports_are_none_of_points(door: Door) -> None:
    run = door.made("runs", {"experiment": "churn"})["id"]
    writer = new_id()
    take_in(door, stream(*({"do": "dataset.create", "name": f"d{number}"} for number in range(9))), f"?writer={writer}")
    points = {"series": ["auc"], "value": [0.5], "writer": writer, "sequence": 3}
    assert door.made(f"runs/{run}/points", points)["replayed"] is False


def test_many_refusals_take_no_longer_than_their_number(door: Door) -> None:
    good = ({"do": "dataset.create", "name": f"d{number}"} for number in range(300))
    bad = ({"do": "dataset.version", "dataset": f"none {number}"} for number in range(300))
    mixed = [command for pair in zip(good, bad, strict=True) for command in pair]
    report = take_in(door, stream(*mixed))
    assert (report["new"], report["refused"]) == (300, 300)
    assert [item["line"] for item in report["refusals"]] == list(range(2, 601, 2))


def test_lines_that_come_in_pieces_are_put_together(door: Door) -> None:
    body = stream(*({"do": "dataset.create", "name": f"größe {number} " + "x" * 200} for number in range(400)))
    assert len(body) > 1 << 16
    report = take_in(door, body.rstrip(b"\n"))
    assert (report["lines"], report["new"]) == (400, 400)
    assert door("POST", f"{BASE}/search", {"kind": "dataset", "count": True, "limit": 1})[1]["total"] == 400


def test_a_writer_says_itself_how_far_it_has_come(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cuts its stream elsewhere each time asks how far it has come, and nobody can go on twice from there."""
    monkeypatch.setattr(bulk, "LINES", 2)
    writer = new_id()

    def lines(*marks: int) -> bytes:
        return stream(*({"at": at, "command": {"do": "note.create", "text": f"note {at}"}} for at in marks))

    first = take_in(door, lines(10, 25, 40), f"?writer={writer}&after=0")
    assert (first["new"], first["mark"]) == (3, 40)
    late = door.raw("POST", f"import?writer={writer}&after=25", lines(40, 55), Content_Type="application/x-ndjson")
    assert late.status == 409, late
    assert b"has come to 40" in late.body
    assert take_in(door, b"", f"?writer={writer}")["mark"] == 40
    odd = stream(
        {"at": 41, "command": {"do": "note.create", "text": "note 41"}},
        {"at": 41, "command": {"do": "note.create", "text": "again"}},
        {"command": {"do": "note.create", "text": "nowhere"}},
        {"at": 50, "command": {"do": "note.create", "text": ""}},
    )
    second = take_in(door, odd, f"?writer={writer}&after=40")
    assert (second["new"], second["refused"], second["mark"]) == (1, 3, 50), second
    assert [item["line"] for item in second["refusals"]] == [41, 41, 50]
    third = take_in(door, lines(60), f"?writer={writer}&after=50")
    assert (third["new"], third["refused_before"]) == (1, 3)
    notes = door("POST", f"{BASE}/search", {"kind": "note"})[1]["notes"]
    assert [item["text"] for item in notes] == [f"note {at}" for at in (60, 41, 40, 25, 10)]
    assert take_in(door, lines(9), f"?writer={new_id()}")["refused"] == 1, "at belongs to streams with after"
    assert door.raw("POST", "import?after=1", b"", Content_Type="application/x-ndjson").status == 400


def test_a_model_version_with_an_id_of_its_own_is_registered_once(door: Door) -> None:
    door.made("models", {"name": "risk"})
    door.made("models", {"name": "other"})
    mine = new_id()
    first = door.made("models/risk/versions", {"id": mine, "uri": "s3://a", "aliases": ["champion"]})
    assert (first["id"], first["version"]) == (mine, 1)
    door.made("models/risk/versions", {})
    assert door.made("models/risk/versions", {"id": mine, "uri": "s3://a"})["version"] == 1
    assert door.made("models/risk/versions", {"id": mine, "version": 1})["id"] == mine
    for model, wrong in (("risk", {"id": mine, "uri": "s3://b"}), ("risk", {"id": mine, "version": 2}),
                         ("risk", {"id": new_id(), "version": 2}), ("other", {"id": mine})):  # fmt: skip
        assert door.refused("POST", f"models/{model}/versions", wrong)["field"] in {"id", "uri"}
