"""Facets through the API: kept exactly, told apart over time, checked against the types that people declare."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from api.conftest import BASE, Door

from muniment.client import Client
from muniment.model.facet import NewFacetType

OWNER = {
    "type": "object",
    "properties": {"owner": {"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]}},
}
GOOD: dict[str, Any] = {"owner": {"team": "risk"}}
BAD: dict[str, Any] = {"owner": {"team": 7}}


@pytest.fixture
def run(door: Door) -> str:
    return str(door.made("runs", {"experiment": "churn"})["id"])


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked for."""
    asked: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "object"}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def put(door: Door, record: str, name: str, value: Any) -> Any:
    status, answer = door("PUT", f"{BASE}/records/{record}/facets/{name}", {"value": value})
    assert status == 200, answer
    return answer


def taken(door: Door, record: str, name: str) -> Any:
    status, answer = door("DELETE", f"{BASE}/records/{record}/facets/{name}")
    assert status == 200, answer
    return answer


def facets(door: Door, record: str, as_of: int | None = None) -> dict[str, Any]:
    status, answer = door("GET", f"{BASE}/records/{record}/facets" + ("" if as_of is None else f"?as_of={as_of}"))
    assert status == 200, answer
    return dict(answer["facets"])


def exactly(value: Any) -> str:
    """A spelling that tells 1 from true and 0.0 from -0.0."""
    return json.dumps(value, sort_keys=True)


def verified(door: Door) -> None:
    outcome = door.made("verify", None)
    assert outcome["ok"], outcome["findings"]


DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"$ref": "#/x", "$": "$", "$$": "$int:5", "$float:NaN": "$float:NaN", "a": {"$x": ["$y", "$$z"]}},
    {"big": 2**60, "small": -(2**63), "edge": [2**53 - 1, 2**53, -(2**53)]},
    {"zero": -0.0, "other": [0, -0.0, 0.5]},
    {"double": 1e17, "more": [1e300, 5e-324, -1.5, 0.1]},
    {"größe": "naïve 😀", "\u20ac": "\ufb00", "e\u0301": "é", "line\nbreak": 'tab\t"quote"\\'},
    {"nested": [[[], [1, [2, [None, True, False]]]], {"a": [{"b": {}}]}]},
]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_a_document_comes_back_exactly(door: Door, run: str, document: dict[str, Any]) -> None:
    made = put(door, run, "owner", document)
    assert (made["name"], made["changed"], made["warnings"], made["position"]) == ("owner", True, [], door.head())
    assert exactly(made["facet"]) == exactly({"value": document, "type_version": None, "valid": None})
    assert exactly(facets(door, run)["owner"]["value"]) == exactly(document)
    head = door.head()
    assert put(door, run, "owner", document)["changed"] is False
    assert door.head() == head, "the same again is no change"
    assert exactly(facets(door, run, head)["owner"]["value"]) == exactly(document)
    verified(door)


@pytest.mark.parametrize(
    ("first", "second"), [(1, True), (0, False), ([1], [True]), ({"a": 0}, {"a": False}), (0.0, -0.0), (1, "1")]
)
def test_what_python_takes_for_equal_is_a_change(door: Door, run: str, first: Any, second: Any) -> None:
    put(door, run, "a", {"value": first})
    at = door.head()
    assert put(door, run, "a", {"value": second})["changed"] is True
    assert exactly(facets(door, run)["a"]["value"]) == exactly({"value": second})
    assert exactly(facets(door, run, at)["a"]["value"]) == exactly({"value": first or 0})
    verified(door)


def test_every_moment_is_kept(door: Door, run: str) -> None:
    before = door.head()
    moments: list[tuple[int, dict[str, Any]]] = [(before, {})]
    for value in ({"n": 1}, {"n": 2}, None, {"n": 1}):
        answer = taken(door, run, "a") if value is None else put(door, run, "a", value)
        assert (answer["changed"], answer["position"]) == (True, door.head())
        moments.append((door.head(), {} if value is None else {"a": value}))
    put(door, run, "b", {"other": True})
    for at, expected in moments:
        assert {name: facet["value"] for name, facet in facets(door, run, at).items()} == expected
    assert {name: facet["value"] for name, facet in facets(door, run).items()} == {"a": {"n": 1}, "b": {"other": True}}
    steps = door("GET", f"{BASE}/records/{run}/changes")[1]["steps"][1:]
    assert [step["action"] for step in steps] == ["facet.set", "facet.set", "facet.remove", "facet.set", "facet.set"]
    assert [step["changes"][0]["field"].startswith("facets.a") for step in steps] == [True] * 4 + [False]
    removed = steps[2]["changes"][0]
    assert (removed["before"]["value"], removed["after"]) == ({"n": 2}, None)
    head = door.head()
    assert taken(door, run, "never")["changed"] is False
    assert put(door, run, "b", {"other": True})["changed"] is False
    assert door.head() == head
    verified(door)


def test_a_change_of_the_record_says_nothing_of_its_facets(door: Door) -> None:
    door.made("models", {"name": "risk"})
    put(door, "model:risk", "owner", GOOD)
    assert door("PATCH", f"{BASE}/models/risk", {"description": "x"})[0] == 200
    assert facets(door, "model:risk")["owner"]["value"] == GOOD
    step = door("GET", f"{BASE}/records/model:risk/changes")[1]["steps"][-1]
    assert [change["field"] for change in step["changes"]] == ["description"]


def test_facets_belong_to_records_of_every_kind(door: Door, run: str) -> None:
    door.made("models", {"name": "risk"})
    door.made("models/risk/versions", {})
    door.made("datasets", {"name": "customers"})
    note = door.made("notes", {"text": "known"})["id"]
    for record in (run, "model:risk", "model:risk@1", "dataset:customers", "experiment:churn", note):
        put(door, record, "owner", {"of": record})
    for record in (run, "model:risk", "model:risk@1", "dataset:customers", "experiment:churn", note):
        assert facets(door, record)["owner"]["value"] == {"of": record}
    assert door.refused("PUT", "records/model:none/facets/a", {"value": {}})["code"] == "not_found"
    for body in ({"value": [1]}, {"value": None}, {}, {"value": {}, "more": 1}, {"value": {"a": 2**70}}):
        door.refused("PUT", f"records/{run}/facets/a", body)
    assert door.refused("PUT", f"records/{run}/facets/a%00b", {"value": {}})["code"] == "invalid_input"
    assert door.refused("PUT", f"records/{run}/facets/{'a' * 251}", {"value": {}})["field"] == "name"
    odd = "a%2Fb%20%C3%BC%25%3A"
    put(door, run, odd, {"x": 1})
    assert facets(door, run)["a/b ü%:"]["value"] == {"x": 1}
    verified(door)


def test_an_enforced_type_refuses_and_names_the_place(door: Door, run: str) -> None:
    made = door.made("facet-types", {"name": "owner", "schema": OWNER})
    assert (made["version"], made["mode"]) == (1, "enforce")
    refused = door.refused("PUT", f"records/{run}/facets/owner", {"value": BAD})
    assert (refused["code"], refused["field"]) == ("invalid_input", "value")
    assert "value.owner.team" in refused["detail"]
    assert facets(door, run) == {}
    put(door, run, "owner", GOOD)
    at = door.head()
    assert "team" in door.refused("PUT", f"records/{run}/facets/owner", {"value": {"owner": {}}})["detail"]
    assert facets(door, run)["owner"] == {"value": GOOD, "type_version": 1, "valid": True}
    put(door, run, "unheard", BAD)
    door.made("facet-types", {"name": "list", "schema": {"properties": {"a": {"items": {"type": "integer"}}}}})
    assert "value.a[1]" in door.refused("PUT", f"records/{run}/facets/list", {"value": {"a": [1, "x"]}})["detail"]
    assert facets(door, run, at)["owner"]["value"] == GOOD
    verified(door)


def test_a_message_stays_one_line_whatever_is_in_the_document(door: Door, run: str) -> None:
    schema = {"additionalProperties": {"enum": ["a\nb"]}, "propertyNames": {"pattern": "^[^\n]*$"}}
    door.made("facet-types", {"name": "odd", "schema": schema})
    door.made("facet-types", {"name": "soft", "schema": schema, "mode": "warn"})
    for value in ({"a\nb": "x\ny"}, {"a": "\u2028\r\n" * 50_000}, {"b" * 100_000: 1}):
        assert len(door.refused("PUT", f"records/{run}/facets/odd", {"value": value})["detail"]) < 1_000
        for warning in put(door, run, "soft", value)["warnings"]:
            assert "\n" not in warning
            assert len(warning) < 1_000


def test_warn_takes_it_and_off_does_not_look(door: Door, run: str) -> None:
    door.made("facet-types", {"name": "owner", "schema": OWNER, "mode": "warn"})
    made = put(door, run, "owner", BAD)
    assert (made["changed"], made["facet"]["valid"], made["facet"]["type_version"]) == (True, False, 1)
    assert len(made["warnings"]) == 1
    assert "value.owner.team" in made["warnings"][0]
    assert facets(door, run)["owner"] == {"value": BAD, "type_version": 1, "valid": False}
    head = door.head()
    again = put(door, run, "owner", BAD)
    assert (again["changed"], again["warnings"], door.head()) == (False, made["warnings"], head)
    assert put(door, run, "owner", GOOD)["warnings"] == []
    assert door("PATCH", f"{BASE}/facet-types/owner/versions/1", {"mode": "off"})[1]["mode"] == "off"
    assert put(door, run, "owner", BAD)["warnings"] == []
    assert facets(door, run)["owner"] == {"value": BAD, "type_version": None, "valid": None}
    head = door.head()
    assert door("PATCH", f"{BASE}/facet-types/owner/versions/latest", {"mode": "enforce"})[1]["mode"] == "enforce"
    assert door.refused("PUT", f"records/{run}/facets/owner", {"value": {"owner": 5}})["field"] == "value"
    assert door("GET", f"{BASE}/facet-types/owner/versions/1?as_of={head}")[1]["mode"] == "off"
    assert door.refused("PATCH", "facet-types/owner/versions/1", {"mode": "loud"})["code"] == "invalid_input"
    assert door.refused("PATCH", "facet-types/owner/versions/2", {"mode": "off"})["code"] == "not_found"
    assert door("PATCH", f"{BASE}/facet-types/owner/versions/1", {"lifecycle": "deleted"})[0] == 200
    assert put(door, run, "owner", {"owner": 5})["warnings"] == []
    verified(door)


def test_a_new_version_applies_to_what_is_set_from_then_on(door: Door, run: str) -> None:
    new = {"name": "owner", "schema": OWNER}
    first = door.made("facet-types", new)
    put(door, run, "owner", GOOD)
    put(door, run, "level", {"n": 1})
    second = door.made("facet-types", {**new, "schema": {"required": ["level"]}})
    assert (first["version"], second["version"], first["id"] == second["id"]) == (1, 2, False)
    assert facets(door, run)["owner"] == {"value": GOOD, "type_version": 1, "valid": True}
    assert "version 2" in door.refused("PUT", f"records/{run}/facets/owner", {"value": GOOD})["detail"]
    assert put(door, run, "owner", {"level": 1, **BAD})["facet"]["type_version"] == 2
    head = door.head()
    assert door.made("facet-types", {**new, "version": 1}) == first, "the number and its schema are that one"
    refused = door.refused("POST", "facet-types", {**new, "version": 2})
    assert (refused["code"], refused["status"], refused["field"]) == ("conflict", 409, "schema")
    assert door.head() == head
    assert door.made("facet-types", {**new, "version": 7})["version"] == 7
    assert door.made("facet-types", {**new, "schema": {}})["version"] == 8
    for version, number in (("1", 1), ("2", 2), ("latest", 8)):
        assert door("GET", f"{BASE}/facet-types/owner/versions/{version}")[1]["version"] == number
    for version in ("3", "-1", "1.0", "x", "99999999999999999999"):
        assert door("GET", f"{BASE}/facet-types/owner/versions/{version}")[0] == 404
    assert door.refused("POST", "facet-types", {**new, "version": 0})["field"] == "version"
    types = door.made("search", {"kind": "facet_type", "where": "name = 'owner' AND version >= 7"})["facet_types"]
    assert sorted(found["version"] for found in types) == [7, 8]
    verified(door)


@pytest.mark.parametrize(("first", "second"), [({"const": 1}, {"const": True}), ({"minimum": 1}, {"minimum": 2})])
def test_a_number_never_gets_another_schema(door: Door, first: dict[str, Any], second: dict[str, Any]) -> None:
    door.made("facet-types", {"name": "a", "version": 1, "schema": first})
    assert door.refused("POST", "facet-types", {"name": "a", "version": 1, "schema": second})["code"] == "conflict"
    assert exactly(door("GET", f"{BASE}/facet-types/a/versions/1")[1]["schema"]) == exactly(first)


@pytest.mark.parametrize("reference", ["#/$defs/team", "#/%24defs/team", "#/$defs/either/anyOf/0"])
def test_references_within_a_schema_are_followed(door: Door, run: str, reference: str) -> None:
    team = {"type": "string"}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/owner",
              "$defs": {"team": team, "either": {"anyOf": [team]}},
              "properties": {"team": {"$ref": reference}}}  # fmt: skip
    assert exactly(door.made("facet-types", {"name": "owner", "schema": schema})["schema"]) == exactly(schema)
    put(door, run, "owner", {"team": "risk"})
    assert "value.team" in door.refused("PUT", f"records/{run}/facets/owner", {"value": {"team": 1}})["detail"]


def test_references_whose_cost_cannot_be_known_are_refused(door: Door) -> None:
    odd = (
        {"$defs": {"a": {"$anchor": "t"}}, "$ref": "#t"}, {"$defs": {"a": {"$id": "urn:x:t"}}, "$ref": "urn:x:t"},
        {"$dynamicRef": "#t"}, {"properties": {"a": {"$id": "https://example.com/inner"}}},
    )  # fmt: skip
    for schema in odd:
        door.refused("POST", "facet-types", {"name": "owner", "schema": schema})


def _doubling(levels: int, reference: str) -> dict[str, Any]:
    """A schema that holds one place of a document to twice as many rules with each level."""
    made: dict[str, Any] = {f"d{at}": {"anyOf": [{"$ref": f"{reference}d{at + 1}"}] * 2} for at in range(levels)}
    return {"$defs": {**made, f"d{levels}": {"type": "string"}}, "$ref": f"{reference}d0"}


@pytest.mark.parametrize("reference", ["#/$defs/", "#/%24defs/"])
def test_a_schema_that_would_take_for_ever_is_refused(door: Door, run: str, reference: str) -> None:
    started = time.monotonic()
    many = door.refused("POST", "facet-types", {"name": "a", "schema": _doubling(40, reference)})
    assert many["code"] == "too_large"
    door.made("facet-types", {"name": "a", "schema": _doubling(14, reference)})
    large = {"value": {"x": list(range(20_000))}}
    assert door.refused("PUT", f"records/{run}/facets/a", large)["code"] == "too_large"
    # a circle that comes back twice at one place doubles with every level of the document
    twice = {"$ref": "#/properties/x"}
    circle = {"properties": {"x": {"allOf": [{"properties": {"y": twice}}, {"properties": {"y": twice}}]}}}
    door.made("facet-types", {"name": "b", "schema": circle})
    deep: dict[str, Any] = {}
    for _ in range(28):
        deep = {"y": deep}
    assert door.refused("PUT", f"records/{run}/facets/b", {"value": {"x": deep}})["code"] == "too_large"
    tree = {"$defs": {"node": {"properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}},
            "$ref": "#/$defs/node"}  # fmt: skip
    door.made("facet-types", {"name": "tree", "schema": tree})
    leaves: dict[str, Any] = {}
    for _ in range(12):
        leaves = {"left": leaves, "right": {}}
    put(door, run, "tree", leaves)
    assert time.monotonic() - started < 30, "bounded, not measured"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"properties": 1},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": {"a": {"pattern": "((a{1000}){1000}){1000}"}}},
        {"$ref": "#/$defs/none"},
        {"$ref": "file:///etc/passwd"},
        {"minimum": "x\ny"},
        {"required": "a\nb"},
        {"description": "a\u0000b"},
        {"x": 2**70},
    ],
)
def test_a_schema_that_is_none_is_refused_in_one_line(door: Door, schema: dict[str, Any]) -> None:
    refused = door.refused("POST", "facet-types", {"name": "owner", "schema": schema})
    assert len(refused["detail"]) < 400
    for body in ({"name": "", "schema": {}}, {"name": "a"}, {"name": "a", "schema": [1]}, {"name": "a", "schema": 1}):
        door.refused("POST", "facet-types", body)


def test_nothing_is_ever_fetched(door: Door, run: str, elsewhere: tuple[str, list[str]]) -> None:
    url, asked = elsewhere
    schemas: list[dict[str, Any]] = [
        {"$ref": f"{url}/a"},
        {"properties": {"a": {"$ref": f"{url}/b#/x"}}},
        {"$id": f"{url}/here", "properties": {"a": {"$ref": "there"}}},
        {"$dynamicRef": f"{url}/d"},
        {"$schema": f"{url}/meta", "type": "object"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": {"$ref": f"{url}/old"}},
    ]
    for schema in schemas:
        for mode in ("enforce", "warn", "off"):
            refused = door.refused("POST", "facet-types", {"name": "owner", "schema": schema, "mode": mode})
            assert (refused["code"], refused["field"]) == ("invalid_input", "schema")
    door.made(
        "facet-types", {"name": "here", "schema": {"$id": f"{url}/here", "$defs": {"a": {}}, "$ref": "#/$defs/a"}}
    )
    put(door, run, "here", {"$ref": f"{url}/value", "$schema": f"{url}/value"})
    assert asked == []


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*b"])
def test_a_pattern_cannot_hold_up_the_store(door: Door, run: str, pattern: str) -> None:
    door.made("facet-types", {"name": "p", "schema": {"properties": {"a": {"pattern": pattern}}}})
    began = time.monotonic()
    refused = door.refused("PUT", f"records/{run}/facets/p", {"value": {"a": "a" * 40 + "!"}})
    assert time.monotonic() - began < 2
    assert "value.a" in refused["detail"]


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"properties": {"a": {"$ref": "#"}}}])
def test_a_schema_may_refer_to_itself(door: Door, run: str, schema: dict[str, Any]) -> None:
    status, _ = door("POST", f"{BASE}/facet-types", {"name": "loop", "schema": schema})
    assert status in {201, 400}
    put(door, run, "loop", {"a": {"a": {"a": {}}}})


def test_documents_have_a_limit(door: Door, run: str) -> None:
    most = 1_048_576 - len('{"a":[]}')
    fits = {"a": [1] * (most // 2)}
    put(door, run, "big", fits)
    assert facets(door, run)["big"]["value"] == fits
    over = {"a": [1] * (most // 2 + 2)}
    refused = door.refused("PUT", f"records/{run}/facets/big", {"value": over})
    assert (refused["status"], refused["code"], refused["field"]) == (413, "too_large", "value")
    refused = door.refused("POST", "facet-types", {"name": "big", "schema": {"enum": over["a"]}})
    assert (refused["status"], refused["field"]) == (413, "schema")
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    assert door.refused("PUT", f"records/{run}/facets/deep", {"value": deep})["field"] == "value"
    assert facets(door, run).keys() == {"big"}
    verified(door)


def test_the_facets_of_an_erased_run_are_gone(door: Door, run: str) -> None:
    put(door, run, "owner", {"person": "Ada"})
    put(door, run, "owner", {"person": "Grace"})
    at = door.head()
    door.made("facet-types", {"name": "owner", "schema": OWNER})
    kept = str(door.made("runs", {"experiment": "churn"})["id"])
    put(door, kept, "owner", GOOD)
    assert door("POST", f"{BASE}/runs/{run}/erase", {"reason": "asked for"})[0] == 200
    for target in (f"records/{run}/facets", f"records/{run}/facets?as_of={at}", f"records/{run}/changes"):
        answer = door.raw("GET", target)
        assert b"Ada" not in answer.body
        assert b"Grace" not in answer.body
    assert door("GET", f"{BASE}/records/{run}/facets")[0] == 410
    assert door.refused("PUT", f"records/{run}/facets/owner", {"value": GOOD})["code"] == "gone"
    assert facets(door, kept)["owner"]["value"] == GOOD
    verified(door)


def test_the_client_sets_and_reads_facets(door: Door, run: str) -> None:
    client = Client.__new__(Client)
    client.url, client.project, client._base, client._transport = "", "default", BASE, door.transport
    assert client.create_facet_type(NewFacetType(name="a/b ü", schema=OWNER, mode="warn")).version == 1
    before = door.head()
    made = client.set_facet(run, "a/b ü", {**BAD, "zero": -0.0, "big": 2**60})
    assert (made.changed, made.warnings[0].startswith("value.owner.team: ")) == (True, True)
    value = client.facets(run)["a/b ü"].value
    assert (math.copysign(1, value["zero"]), value["big"], value["owner"]) == (-1, 2**60, {"team": 7})
    assert client.facets(run, as_of=before) == {}
