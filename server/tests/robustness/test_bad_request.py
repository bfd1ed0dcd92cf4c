"""Requests that are well formed and wrong: limits, contradictions, tokens, paths, queries."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest

from muniment.model.ids import new_id
from muniment_server.api.app import Application
from muniment_server.api.doors import ROUTES
from robustness.server import DEFAULT
from robustness.stage import Stage, check_problem, packed

TRICKS = (
    "%2e%2e", "..", ".", "%00", "a%00b", "a%2Fb", "%2F..%2F..%2Fetc%2Fpasswd", "%FF", "%ED%A0%80", "%0A",
        "%0d%0aX:%201",
    "%", "%zz", "%20", "%E2%80%AE", "x" * 60_000, "'%20OR%201=1--", "null", "-1", "0", "{run}", "%25%30%30", "\u00e9",
)  # fmt: skip


def test_points(stage: Stage) -> None:
    path, id_ = f"{DEFAULT}/runs/{stage.run}/points", new_id()
    one = {"series": ["a"], "value": [1.0]}
    bad: list[tuple[str, dict[str, Any]]] = [
        ("timestamp", {**one, "timestamp": [-1]}),
        ("key", {**one, "key": [1]}), ("key", {**one, "key": [-1]}), ("key", {**one, "key": [2**63 - 1]}),
        ("key", {"series": ["a", "b"], "value": [1.0, 2.0]}), ("key", {**one, "key": [0, 0]}), ("key", {**one,
            "key": []}),
        ("step", {**one, "step": [1, 2]}), ("step", {**one, "step": []}), ("timestamp", {**one, "timestamp": [1, 2]}),
        ("step", {**one, "step": [2**63]}), ("timestamp", {**one, "timestamp": [2**63]}),
        ("value", {"series": ["a"], "value": []}), ("value", {"series": ["a"], "value": ["nan"]}),
        ("value", {"series": ["a"], "value": [0.5] * 200_001}),
        ("series", {"series": [], "value": [1.0]}), ("series", {"series": ["a", "a"], "value": [1.0], "key": [0]}),
        ("series", {"series": ["a", "b"], "value": [1.0], "key": [0]}), ("series", {"series": [""], "value": [1.0]}),
        ("series", {"series": ["x" * 251], "value": [1.0]}), ("series", {"series": [" "], "value": [1.0]}),
        ("series", {"series": [f"s{n}" for n in range(20_001)], "value": [1.0] * 20_001, "key": list(range(20_001))}),
        ("sequence", {**one, "writer": id_}), ("sequence", {**one, "sequence": 1}),
        ("writer", {**one, "writer": "x", "sequence": 1}), ("sequence", {**one, "writer": id_, "sequence": -1}),
        ("sequence", {**one, "writer": id_, "sequence": 2**63}), ("sequence", {**one, "writer": id_, "sequence": 1.5}),
    ]  # fmt: skip
    packed_bad: list[tuple[str, dict[str, Any]]] = [
        ("value", {"series": ["a"], "value": b"1234567"}), ("value", {"series": ["a"], "value": b""}),
        ("value", {"series": ["a"], "value": bytes(8 * 200_001)}), ("step", {**one, "step": b"123"}),
        ("step", {**one, "step": bytes(16)}), ("timestamp", {**one, "timestamp": struct.pack("<q", -1)}),
        ("timestamp", {**one, "timestamp": bytes(7)}),
    ]  # fmt: skip
    with stage.cases() as cases:
        for place, body in bad:
            with cases.case(place, str(body)[:100]):
                stage.refuses("POST", path, body, names=place)
        for place, body in packed_bad:
            with cases.case("packed", place, str(body)[:100]):
                raw, headers = packed(body)
                stage.refuses("POST", path, raw, headers=headers, names=place)
        writer = {"writer": new_id(), "sequence": 1}
        stage.good("POST", path, {**one, **writer, "step": [77]})
        with cases.case("a gap in the sequence"):
            stage.refuses("POST", path, {**one, **writer, "sequence": 3}, status=409, names="sequence")


def test_limits_and_names(stage: Stage) -> None:
    run, many = f"{DEFAULT}/runs/{stage.run}", {f"p{n}": "1" for n in range(10_001)}
    new = {"experiment": "churn"}
    bad: list[tuple[str, str, str, dict[str, Any]]] = [
        *(("slug", "POST", "/v1/projects", {"slug": slug}) for slug in (
            "", "A", "a b", "-a", "a-", "a/b", "..", "%2e", "_", "a\n", "\u00e9", "x" * 64, "a_b")),
        *(("name", "POST", f"{DEFAULT}/experiments", {"name": name}) for name in ("", " ", "\u00a0\t", "x" * 501)),
        ("description", "POST", f"{DEFAULT}/experiments", {"name": "n", "description": "x" * 1_048_577}),
        ("description", "PATCH", DEFAULT, {"description": "x" * 1_048_577}),
        ("experiment", "POST", f"{DEFAULT}/runs", {"experiment": "nobody"}),
        ("experiment", "POST", f"{DEFAULT}/runs", {"experiment": ""}),
        ("parent", "POST", f"{DEFAULT}/runs", {**new, "parent": new_id()}),
        ("parent", "PATCH", run, {"parent": stage.run}), ("name", "PATCH", run, {"name": ""}),
        ("id", "POST", f"{DEFAULT}/runs", {**new, "id": "x"}), ("id", "POST", f"{DEFAULT}/runs", {**new,
            "id": "0" * 31}),
        ("user", "POST", f"{DEFAULT}/runs", {**new, "user": "x" * 251}),
        ("environment", "POST", f"{DEFAULT}/runs", {**new, "environment": {"variables": {"A": "x" * 262_144}}}),
        ("ended_at", "POST", f"{DEFAULT}/runs", {**new, "started_at": "2026-01-02T00:00:00Z",
            "ended_at": "2026-01-01T00:00:00Z"}),
        *(("started_at", "POST", f"{DEFAULT}/runs", {**new, "started_at": text}) for text in (
            "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "yesterday", "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00")),
        *(("params", "POST", f"{run}/params", {"params": params}) for params in (
            many, {"": "x"}, {"x" * 251: "x"}, {"a": "x" * 65_537}, {"a\x00": "x"}, {"lr": "changed"}, {"lr": 0.2})),
        *(("tags", "POST", f"{run}/tags", {"tags": tags}) for tags in (
            many, {"": "x"}, {"x" * 251: None}, {"a": "x" * 65_537}, {"a\x00": None})),
        ("reason", "POST", f"{DEFAULT}/runs/{stage.other}/erase", {"reason": ""}),
        ("reason", "POST", f"{DEFAULT}/runs/{stage.other}/erase", {"reason": "x" * 251}),
    ]  # fmt: skip
    with stage.cases() as cases:
        for place, method, path, body in bad:
            with cases.case(method, path[-40:], str(body)[:100]):
                stage.refuses(method, path, body, names=place)


def test_a_batch_with_one_bad_item_at_each_place(stage: Stage) -> None:
    """All of them or none; the refusal says which."""
    bad: list[dict[str, Any]] = [
        {"do": "run.params", "run": stage.run, "params": {"lr": "changed"}},
        {"do": "run.tags", "run": new_id(), "tags": {"a": "b"}},
        {"do": "run.log", "run": stage.run, "series": ["a"], "value": [1.0], "key": [7]},
        {"do": "run.attempt", "run": stage.run, "unexpected": 1},
        {"do": "run.vanish", "run": stage.run},
        {"do": "experiment.update", "experiment": "\x00", "description": "x"},
        {"do": "experiment.create", "name": "x" * 501},
        {"run": stage.run},
    ]  # fmt: skip
    with stage.cases() as cases:
        for place in range(len(stage.commands()) + 1):
            for item in bad:
                good = stage.commands()
                commands = [*good[:place], item, *good[place:]]
                with cases.case(place, item.get("do")):
                    stage.refuses("POST", f"{DEFAULT}/batch", {"commands": commands}, names=f"commands[{place}]")
        for commands in ([], [stage.commands()[0]] * 10_001):
            with cases.case(len(commands)):
                stage.refuses("POST", f"{DEFAULT}/batch", {"commands": commands}, names="commands")


def test_searches(stage: Stage) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        *(("where", {"where": where}) for where in (
            "metrics.auc >", "'", "name = 1", "x" * 16_385, "(" * 5_000, "NOT " * 4_000 + "name = 'x'", "nobody = 1",
            "a\nb = 1", "metrics.`a\nb` = 'x'", "metrics." + "x" * 16_000 + " LIKE 'x'", "id = 'x'", "name = '\x00'",
            "started_at > '0001-01-01T00:00:00+14:00'", "started_at < '9999-12-31T23:59:59-14:00'",
            "started_at > 1e300", "attempt = 9223372036854775808", "params.x IN (1, 'x')")),
        *(("order_by", {"order_by": order}) for order in (["nobody"], [""], ["name"] * 9, ["metrics.a SIDEWAYS"])),
        *(("columns", {"columns": columns}) for columns in (["nobody"], ["name"], ["params"] * 1_001,
            ["metrics.\x00"])),
        *(("limit", {"limit": limit}) for limit in (-1, 10_001, 2**70, 1.5, "5")),
        *(("as_of", {"as_of": moment}) for moment in (
            -1, 2**63, "x", "", "2026-13-01", "9" * 30, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 1.5)),
        *(("page", {"page": page}) for page in ("x", "\x00", "=", "AAAA", "x" * 100_000, "\u00e9")),
        ("kind", {"kind": "nobody"}), ("lifecycle", {"lifecycle": "erased"}), ("count", {"count": 1}),
    ]  # fmt: skip
    with stage.cases() as cases:
        for place, body in bad:
            with cases.case(str(body)[:100]):
                stage.refuses("POST", f"{DEFAULT}/search", body, names=place)


def test_page_tokens_of_other_questions(stage: Stage) -> None:
    search = f"{DEFAULT}/search"
    for number in range(3):
        stage.good("POST", f"{DEFAULT}/runs", {"experiment": "churn", "params": {"n": number}, "name": f"n{number}"})
    query = {"limit": 1, "order_by": ["name"]}
    token = stage.good("POST", search, query)["next"]
    others = (
        {**query, "where": "params.n = '1'"}, {**query, "order_by": ["name DESC"]}, {**query, "lifecycle": "any"},
        {**query, "kind": "experiment"}, {**query, "as_of": 3}, {"limit": 1},
    )  # fmt: skip
    with stage.cases() as cases:
        for other in others:
            with cases.case(other):
                stage.refuses("POST", search, {**other, "page": token}, status=400, names="page")
        with cases.case("another project"):
            stage.refuses("POST", "/v1/projects/another/search", {**query, "page": token}, status=400, names="page")
        place = msgspec.msgpack.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        tried = _forged(place[2])
        for values in tried:
            for stretch in (place[1], -1, 7, 2**63):
                forged = (
                    base64.urlsafe_b64encode(msgspec.msgpack.encode([place[0], stretch, values])).decode().rstrip("=")
                )
                reply = stage.request("POST", search, {**query, "page": forged})
                with cases.case("forged", stretch, values):
                    assert reply.status < 500, reply


def _forged(last: list[Any]) -> list[list[Any]]:
    """Values of a token that no store has written: of other types, too many, too few, too large."""
    count = len(last)
    return [
        [], [None] * count, [1] * count, [[]] * count, ["x"] * count, [*last, 1], [last[0], 2**63], [last[0], "x"],
        [last[0], None], [last[0], 1.5], [last[0], True], [{}, 1], ["\x00", 1], [float("nan"), 1],
    ]  # fmt: skip


def test_cursors(stage: Stage) -> None:
    """Of another project, of the future, and none at all."""
    cursor = stage.good("GET", f"{DEFAULT}/changes")["next"]
    of_another = stage.good("GET", "/v1/projects/another/changes")["next"]
    bad = (
        of_another,
        "x",
        "",
        "-",
        "-1",
        "1e3",
        f"{cursor}0000",
        f"{cursor}x",
        "9" * 30,
        "%00",
        "%C2%B2",
        "1" * 50_000,
    )
    with stage.cases() as cases:
        for after in bad:
            for tail in ("changes", "changes/stream"):
                with cases.case(tail, after[:40]):
                    stage.refuses("GET", f"{DEFAULT}/{tail}?after={after}", status=400, names="after")


def test_queries(stage: Stage) -> None:
    run = f"{DEFAULT}/runs/{stage.run}"
    record = f"{DEFAULT}/records/{stage.run}/history"
    big = (2**63, 10**30, -1)
    bad: list[tuple[str, str]] = [
        *(("after", f"{path}?after={value}") for path in (f"{DEFAULT}/ledger", f"{DEFAULT}/seals", record)
            for value in (*big, "x", "1.5", "")),
        *(("limit", f"{path}?limit={value}") for path in (f"{DEFAULT}/ledger", record, f"{DEFAULT}/changes")
            for value in (0, 1_001, *big)),
        *(("wait", f"{DEFAULT}/changes?wait={value}") for value in ("nan", "inf", "-1", "61", "x", "1e400")),
        *(("as_of", f"{path}as_of={value}") for path in (f"{run}?", f"{record}?", f"{run}/series?key=loss&",
            f"{run}/series/chart?key=loss&",
          f"{DEFAULT}/experiments/churn?") for value in (*big, "x", "%00", "", "x%0Ay", "0001-01-01T00:00:00%2B14:00",
                                                         "9999-12-31T23:59:59-14:00", "9" * 5_000)),
        *(("key", f"{run}/{tail}?key={value}") for tail in ("series", "series/chart") for value in ("%00", "a%00b",
            "nobody", "", "x" * 60_000)),
        *(("step", f"{run}/{tail}?key=loss&from_step={value}") for tail in ("series", "series/chart")
            for value in (2**63, "x", "1.5")),
        ("step", f"{run}/series?key=loss&from_step=2&to_step=1"), ("page", f"{run}/series?key=loss&page=-1"),
        ("page", f"{run}/series?key=loss&page={'9' * 5_000}"), ("key", f"{run}/series"),
        *(("buckets", f"{run}/series/chart?key=loss&buckets={value}") for value in (0, 10_001, *big, "x")),
        *(("first", f"{DEFAULT}/consistency?first={value}") for value in (0, *big, "x")),
        ("", f"{DEFAULT}/consistency?first=1&second={2**70}"), ("position", f"{DEFAULT}/ledger/{2**70}/proof"),
        ("unexpected", f"{run}?unexpected=1"), ("query", f"{run}?as_of=1&as_of=1"), ("query", f"{run}?as_of=%FF"),
        ("query", f"{run}?as_of=\u00e9"), ("query", f"{run}?" + "&".join(f"p{n}=1" for n in range(10_000))),
        ("query", "/health?x=1"), ("query", f"{DEFAULT}/runs/{stage.run}?" + "x" * 60_000),
    ]  # fmt: skip
    with stage.cases() as cases:
        for place, target in bad:
            with cases.case(target[24:120]):
                stage.refuses("GET", target, names=place)


def test_tricks_in_paths(stage: Stage) -> None:
    run = f"{DEFAULT}/runs"
    with stage.cases() as cases:
        for trick in TRICKS:
            for method, path, body in (
                ("GET", f"/v1/projects/{trick}", None), ("GET", f"/v1/projects/{trick}/changes", None),
                ("PATCH", f"/v1/projects/{trick}", {"description": "x"}), ("GET", f"{DEFAULT}/experiments/{trick}",
                    None),
                ("PATCH", f"{DEFAULT}/experiments/{trick}", {"description": "x"}), ("GET", f"{run}/{trick}", None),
                ("PATCH", f"{run}/{trick}", {"description": "x"}), ("POST", f"{run}/{trick}/tags",
                    {"tags": {"a": "b"}}),
                ("POST", f"{run}/{trick}/points", {"series": ["a"], "value": [1.0]}), ("POST",
                    f"{run}/{trick}/attempts", None),
                ("GET", f"{DEFAULT}/records/{trick}/history", None), ("GET", f"{DEFAULT}/ledger/{trick}/proof", None),
                ("GET", f"/{trick}", None), ("POST", f"/v1/projects/{trick}/runs", {"experiment": "churn"}),
            ):  # fmt: skip
                with cases.case(method, path[:80]):
                    stage.refuses(method, path, body)


def test_methods_that_a_route_does_not_know(stage: Stage) -> None:
    with stage.cases() as cases:
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "BREW", "get", "CONNECT"):
            for path in ("/health", "/v1/projects", DEFAULT, f"{DEFAULT}/runs/{stage.run}", f"{DEFAULT}/search", "/"):
                with cases.case(method, path):
                    stage.refuses(method, path)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\r\nX-Evil: 1", "a\x00", "a\tb", "\x7f", "\u00a0", "\x85"])
def test_idempotency_keys(stage: Stage, key: str) -> None:
    body = {"tags": {"a": "b"}}
    stage.refuses(
        "POST", f"{DEFAULT}/runs/{stage.run}/tags", body, headers={"idempotency-key": key}, names="Idempotency-Key"
    )


def test_names_that_are_not_the_servers_own(stage: Stage) -> None:
    """A page of a foreign site that has its name rebound to this machine reaches nothing."""
    guarded = Stage.__new__(Stage)
    guarded.__dict__ |= stage.__dict__
    guarded.application = Application(stage.workspace, ROUTES, frozenset(("localhost", "127.0.0.1", "[::1]")))
    with stage.cases() as cases:
        for host in ("evil.example", "evil.example:5050", "localhost.evil.example", "127.0.0.1.evil.example:80", "",
                     "localhost@evil.example", "127.0.0.1:5050:5050", "x" * 10_000, "\u00e9", "localhost ", "[::1",
                         ":5050"):  # fmt: skip
            for method, path, body in (("GET", "/health", None), ("POST", "/v1/projects", {"slug": "stolen"})):
                with cases.case(method, host[:40]):
                    before = stage.heads()
                    check_problem(guarded.request(method, path, body, {"host": host}), names="Host")
                    assert stage.heads() == before
        for host in ("localhost", "LOCALHOST:5050", "127.0.0.1:1", "[::1]:5050", "[::1]"):
            with cases.case(host):
                assert guarded.request("GET", "/health", headers={"host": host}).status == 200
