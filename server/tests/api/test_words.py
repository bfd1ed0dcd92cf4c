"""Full-text search through the API: `text MATCH` finds the same records on every engine."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest
from api.conftest import BASE, Door

from muniment_server.store.engine import parse_url


def page(door: Door, kind: str, where: str, project: str = "default", **more: Any) -> Any:
    status, answer = door("POST", f"/v1/projects/{project}/search", {"kind": kind, "where": where, **more})
    assert status == 200, answer
    return answer[f"{kind}s"]


def notes(door: Door, words: str, **more: Any) -> list[str]:
    """The titles of the notes that are found by these words."""
    quoted = words.replace("'", "''")
    return sorted(note["title"] for note in page(door, "note", f"text MATCH '{quoted}'", **more))


def note(door: Door, title: str, text: str) -> Any:
    return door.made("notes", {"title": title, "text": text})


def verified(door: Door) -> None:
    outcome = door.made("verify", None)
    assert outcome["ok"], outcome["findings"]


def test_every_kind_is_found_by_its_texts(door: Door) -> None:
    door.made("experiments", {"name": "leavers", "description": "zebra of experiments"})
    run = door.made("runs", {"experiment": "churn", "name": "base", "user": "Zoë", "description": "zebra of runs"})
    door.made("jobs", {"name": "train", "namespace": "airflow://zebra", "type": "dbt model"})
    door.made("datasets", {"name": "zebra", "namespace": "postgres://shop"})
    columns = [{"name": "stripe_width", "description": "of the zebra, in mm"}]
    door.made("datasets", {"name": "plain"})
    door.made("datasets/plain/versions", {"license": "CC-BY", "schema": columns, "slices": [{"name": "foals"}]})
    door.made("models", {"name": "risk", "description": "zebra!"})
    door.made("models/risk/versions", {"uri": "s3://zebra/1", "description": "ready"})
    evaluation = {"model_version": "risk@1", "dataset_version": "plain@1", "slice": "foals", "run": run["id"]}
    door.made("evaluations", {**evaluation, "metrics": {"auc": 0.5}})
    note(door, "Zebra", "crossing")
    door.made("views", {"name": "the zebra", "page": "runs", "state": {"hidden": "giraffe"}})
    door.made("facet-types", {"name": "stripes", "schema": {"title": "giraffe"}, "description": "of a zebra"})
    for kind in ("experiment", "run", "job", "dataset", "dataset_version", "model", "model_version", "note",
                 "saved_view", "facet_type"):  # fmt: skip
        assert len(page(door, kind, "text MATCH 'zebra'")) == 1, kind
        assert len(page(door, kind, "NOT text MATCH 'zebra'")) == {"experiment": 1, "dataset": 1}.get(kind, 0), kind
        assert page(door, kind, "text MATCH 'giraffe'") == [], kind
    assert len(page(door, "evaluation", "text MATCH 'foals'")) == 1
    assert len(page(door, "dataset_version", "text MATCH 'stripe_width mm by foals'")) == 1
    assert len(page(door, "run", "text MATCH 'zoe'")) == 1
    assert len(page(door, "job", "text MATCH 'dbt airflow'")) == 1


def test_case_and_accents_do_not_matter(door: Door) -> None:
    note(door, "a", "Die Größe ist NAÏVE, cafe\u0301 \ufb01ne, Ångström")
    note(door, "b", "grosse naive cafés, angstrom")
    note(door, "c", "ΣΊΣΥΦΟΣ İstanbul Привет 東京タワー ﾃﾞｰﾀ x²")
    both = ["a", "b"]
    for words in ("größe", "GRÖSSE", "GROSSE", "grosse", "naïve", "NAIVE", "nai\u0308ve", "ångström", "ANGSTROM"):
        assert notes(door, words) == both, words
    for words, expected in (("café", ["a"]), ("cafe", ["a"]), ("cafes", ["b"]), ("fine", ["a"]), ("ﬁne", ["a"])):
        assert notes(door, words) == expected, words
    for words in ("σίσυφος", "ΣΙΣΥΦΟΣ", "istanbul", "ISTANBUL", "привет", "東京タワー", "東京*", "データ", "x2", "X²"):
        assert notes(door, words) == ["c"], words


def test_several_words_must_all_be_there_and_prefixes_go_on(door: Door) -> None:
    note(door, "a", "gradient boosting with early stopping")
    note(door, "b", "gradient descent, boosted_trees-2026 (v1.5)")
    assert notes(door, "gradient") == ["a", "b"]
    assert notes(door, "boosting gradient") == ["a"]
    assert notes(door, "gradient gradient GRADIENT") == ["a", "b"]
    assert notes(door, "gradient missing") == []
    assert notes(door, "grad") == []
    assert notes(door, "grad*") == ["a", "b"]
    assert notes(door, "boost* desc*") == ["b"]
    assert notes(door, "gradient* stopping") == ["a"]
    assert notes(door, "boosted-trees") == []
    assert notes(door, "boosted_trees-2026 v1.5") == ["b"]
    assert notes(door, "trees") == []
    assert notes(door, "20*") == ["b"]
    assert notes(door, "*gradient") == ["a", "b"]
    assert notes(door, "b gradient") == ["b"]


def test_words_and_other_conditions_together(door: Door) -> None:
    for number in range(6):
        name, text = f"r{number}", "tall ship" if number % 2 else "tall house"
        run = door.made("runs", {"experiment": "churn", "name": name, "description": text, "params": {"n": number}})
        if number > 3:
            assert door("PATCH", f"{BASE}/runs/{run['id']}", {"lifecycle": "deleted"})[0] == 200

    def found(where: str, **more: Any) -> list[str]:
        return [item["run"]["name"] for item in page(door, "run", where, **{"order_by": ["name"], **more})]

    assert found("text MATCH 'tall' AND params.n > 1") == ["r2", "r3"]
    assert found("text MATCH 'ship' OR params.n = 0") == ["r0", "r1", "r3"]
    assert found("NOT text MATCH 'ship'") == ["r0", "r2"]
    assert found("text MATCH 'tall' AND NOT text MATCH 'ship'") == ["r0", "r2"]
    assert found("NOT (text MATCH 'house' OR text MATCH 'nothing')") == ["r1", "r3"]
    assert found("TEXT match 'ship' AND name LIKE 'r%'", order_by=["params.n DESC"]) == ["r3", "r1"]
    assert found("text MATCH 'ship'", lifecycle="any") == ["r1", "r3", "r5"]
    assert found('text MATCH "tall house"', order_by=["started_at DESC"]) == ["r2", "r0"]
    body: dict[str, Any] = {"where": "text MATCH 'tall*'", "order_by": ["name DESC"], "limit": 1, "count": True}
    seen = []
    while True:
        answer = door.made("search", body)
        assert answer["total"] == 4
        seen += [item["run"]["name"] for item in answer["runs"]]
        if answer["next"] is None:
            break
        body["page"] = answer["next"]
    assert seen == ["r3", "r2", "r1", "r0"]


def test_a_change_replaces_the_words(door: Door) -> None:
    made = note(door, "a", "first thoughts")
    target = f"{BASE}/notes/{made['id']}"
    assert door("PATCH", target, {"text": "second thoughts"})[0] == 200
    assert (notes(door, "first"), notes(door, "second"), notes(door, "thoughts")) == ([], ["a"], ["a"])
    assert door("PATCH", target, {"title": None, "text": "!?"})[0] == 200
    assert (notes(door, "second"), notes(door, "thoughts")) == ([], [])
    assert door("PATCH", target, {"title": "b", "text": "third"})[0] == 200
    assert notes(door, "third") == ["b"]
    commands = [
        {"do": "note.create", "id": "0192f0c1d2e37abc8000000000000001", "title": "c", "text": "fourth"},
        {"do": "model.create", "name": "m", "description": "fourth"},
    ]
    door.made("batch", {"commands": commands})
    assert notes(door, "fourth") == ["c"]
    assert len(page(door, "model", "text MATCH 'fourth'")) == 1
    verified(door)


def test_nothing_is_left_of_the_words_of_an_erased_run(door: Door, store_url: str) -> None:
    words = {"description": "xylophonist", "name": "quixotry", "user": "mxyzptlk"}
    run = door.made("runs", {"experiment": "churn", **words})["id"]
    assert door("PATCH", f"{BASE}/runs/{run}", {"description": "zugzwanged"})[0] == 200
    kept = door.made("runs", {"experiment": "churn", "description": "whippersnapper"})["id"]
    for number in range(50):
        note(door, f"n{number}", f"filler {number}")
    assert len(page(door, "run", "text MATCH 'quixotry zugzwanged'")) == 1
    assert door("POST", f"{BASE}/runs/{run}/erase", {"reason": "asked for"})[0] == 200
    secret = (*words.values(), "zugzwanged")
    for word in secret:
        assert page(door, "run", f"text MATCH '{word[:5]}*'", lifecycle="any") == []
    assert [item["run"]["id"] for item in page(door, "run", "text MATCH 'whippersnapper'")] == [kept]
    if parse_url(store_url).get_backend_name() == "sqlite":
        file = str(parse_url(store_url).database)
        connection = sqlite3.connect(file)
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        connection.close()
        with open(file, "rb") as opened:  # noqa: PTH123
            left = opened.read()
        assert b"whippersnapper" in left
        for word in secret:
            assert word.encode() not in left
            assert word[1:].encode() not in left, "FTS5 leaves out what a word shares with the one before it"
    verified(door)


def test_the_past_has_no_words(door: Door) -> None:
    note(door, "a", "text")
    for where in ("text MATCH 'text'", "title = 'a' AND NOT (text MATCH 'x')"):
        refused = door.refused("POST", "search", {"kind": "note", "where": where, "as_of": door.head()})
        assert (refused["code"], refused["field"]) == ("invalid_input", "as_of")


@pytest.mark.parametrize(
    "where",
    [
        "text MATCH ''", "text MATCH ' '", "text MATCH '*'", "text MATCH '!?&|()'", "text MATCH '\"'",
        "text MATCH '\u0301'", "text MATCH 5", "text MATCH", "text MATCH ('a')", "title MATCH 'a'",
        "text NOT MATCH 'a'", "text LIKE 5", "text MATCH 'a' 'b'", "text MATCH 'a\u0000'",
    ],
)  # fmt: skip
def test_a_search_for_no_word_is_refused(door: Door, where: str) -> None:
    assert door.refused("POST", "search", {"kind": "note", "where": where})["field"] == "where"


HOSTILE = [
    'a"b', "foo AND bar", "foo OR bar", "foo NOT bar", "x:*", "NEAR(a b)", "NEAR(a b, 5)", "'a' & 'b'", "!x", "a | b",
    "a <-> b", "a:B*", "body:foo", "words:foo", "-foo", "+foo", "^foo", "{a b}:c", "foo*bar", "foo**", '"foo', "foo'",
    "''foo''", "\\foo", "foo\\", "%", "_", "foo%", "a_b", ":x", "$1", "?1 foo", "%(x)s foo", "%s foo", "foo;--", "(foo",
    "foo)", "a\nb", "rank", "rowid", "AND", "OR", "NOT", "NEAR", "😀", "a😀b", "\u200b", "a\u200bb", "हिन्दी", "ไทย",
    "x" * 5_000, "é" * 5_000, "\u0130" * 300, "\U0001e900\U0001e901", "a\U0001df00b", "\U00030000", "\U00010570x",
    "\u1c90\u1c91", "\U00016e40", "a\u0345b", "ß" * 150, "\ufdfa" * 50, "٣", "x²³", "_", "__", "a__b",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[1:30] for text in HOSTILE])
def test_whatever_is_looked_for_is_words_and_nothing_else(door: Door, text: str) -> None:
    """A note is found by its own text, however that would read to an engine."""
    note(door, "own", f"{text} and more")
    note(door, "foo", "foo")
    quoted = text.replace("'", "''")
    status, answer = door("POST", f"{BASE}/search", {"kind": "note", "where": f"text MATCH '{quoted}'"})
    if status == 400:
        assert "no word to look for" in answer["detail"]
        assert not any(letter.isalnum() or letter == "_" for letter in text)
        return
    assert status == 200, answer
    alone = set(re.findall(r"\w+", text.casefold())) == {"foo"}
    assert sorted(found["title"] for found in answer["notes"]) == (["foo", "own"] if alone else ["own"])
    status, answer = door("POST", f"{BASE}/search", {"kind": "note", "where": f"text MATCH '{quoted}*'"})
    assert status == 200, answer
    assert "own" in [found["title"] for found in answer["notes"]]


def test_a_search_may_have_many_words(door: Door) -> None:
    several = [f"w{number}" for number in range(2_500)]
    note(door, "a", " ".join(several))
    note(door, "b", " ".join(several[1:]))
    assert notes(door, " ".join(several)) == ["a"]
    assert notes(door, " ".join(f"{word}*" for word in several[1:2_000])) == ["a", "b"]
    assert door.refused("POST", "search", {"where": f"text MATCH '{'w ' * 10_000}'"})["status"] == 413


def test_two_projects_never_see_each_others_records(door: Door) -> None:
    for project in ("left", "right"):
        assert door("POST", "/v1/projects", {"slug": project})[0] == 201
    for project in ("left", "right"):
        for number in range(3):
            body = {"title": f"{project} {number}", "text": f"common words of {project}"}
            assert door("POST", f"/v1/projects/{project}/notes", body)[0] == 201
    for project, other in (("left", "right"), ("right", "left")):
        own = [f"{project} {number}" for number in range(3)]
        assert notes(door, "common", project=project) == own
        assert notes(door, "comm* wor*", project=project) == own
        assert notes(door, other, project=project) == []
        assert page(door, "note", "NOT text MATCH 'common'", project) == []
    assert notes(door, "common") == []
    note(door, "default", "common")
    assert notes(door, "common") == ["default"]


def test_a_note_of_a_megabyte_of_words_is_taken(door: Door) -> None:
    text = " ".join(f"w{number:06x}" for number in range(131_072))[:1_048_576]
    made = note(door, "big", text)
    assert door("GET", f"{BASE}/notes/{made['id']}")[1]["text"] == text
    assert notes(door, "w000000 w000fff") == ["big"]
    wide = " ".join(f"{chr(0x10000 + number % 90)}{number:x}" for number in range(120_000))[:1_048_576]
    note(door, "wide", "東京 " + wide)
    assert notes(door, "東京") == ["wide"]
    assert door("PATCH", f"{BASE}/notes/{made['id']}", {"text": "small"})[0] == 200
    assert (notes(door, "w000000"), notes(door, "small")) == ([], ["big"])
    verified(door)
