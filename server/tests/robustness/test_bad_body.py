"""Bodies that cannot be understood: every route refuses them with one line that names the place, and writes nothing."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import Any

import msgspec
import pytest

from muniment.model.ids import new_id
from muniment_server.api.incoming import BODY_LIMIT
from muniment_server.api.routing import Incoming
from robustness.server import DEFAULT, MSGPACK
from robustness.stage import Stage, packed, paths_of, value_at, with_value

MARK = "here-it-is"
"""Stands where raw bytes come that no encoder would write."""
ROUTES = (
    "project", "project change", "experiment", "experiment change", "run", "run change", "params", "tags", "erasure",
    "points", "search", "search everywhere", "batch", "job", "job change", "dataset", "dataset change",
    "dataset version", "model",
    "model change", "model version", "model version change", "alias", "evaluation", "links", "links end", "comparison",
    "attachment", "collection", "facet type", "facet type change", "facet", "note", "note change", "view",
    "view change", "name", "name end", "record tags", "record erasure",
)  # fmt: skip
FREE = frozenset(("hardware", "profile", "metadata"))
"""Fields that hold any document."""
OBJECTS = {"facet type": "schema", "facet": "value", "view": "state", "view change": "state"}
"""Fields that hold any object: what is in it is free, that it is one is not."""
RAW = frozenset(
    (
        ("POST", "/v1/projects/{project}/artifacts"),
        ("POST", "/v1/projects/{project}/import"),
        ("PUT", "/v1/projects/{project}/records/{record}/artifacts/{path:path}"),
    )
)
"""Routes that take any bytes: no artifact is a bad one, and bad lines of an import are reported."""
UNRECEIPTED = frozenset(("search", "search everywhere", "comparison", "collection"))
"""Routes that keep no receipts: they write nothing, or what is true anyway however often they are repeated."""


@pytest.fixture(params=ROUTES)
def route(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_route_with_a_body_is_tried(stage: Stage) -> None:
    ours = [made for made in stage.application.routes if made.protocol is None and made.body is not None]
    declared = {(made.method, made.path): made.body for made in ours}
    assert {place for place, body in declared.items() if body is Incoming} == RAW
    assert len(declared) - len(RAW) == len(ROUTES)
    assert set(stage.bodies()) == set(ROUTES)


def test_no_document_at_all(stage: Stage, route: str) -> None:
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        whole = msgspec.json.encode(good)
        bad = {
            "nothing": b"", "blank": b"  ", "a list": b"[]", "a text": b'"x"', "a number": b"7", "null": b"null",
            "cut short": whole[:-1], "two documents": whole + whole, "a comma too many": whole[:-1] + b",}",
            "no UTF-8": b'{"\xff": 1}', "a byte order mark": b"\xef\xbb\xbf" + whole, "single quotes": b"{'a': 1}",
            "brackets": b"[" * 100_000, "braces": b'{"a":' * 100_000, "MessagePack": msgspec.msgpack.encode(good),
        }  # fmt: skip
        for name, body in bad.items():
            with cases.case(name):
                stage.refuses(method, path, body, headers={"content-type": "application/json"}, status=400)
        bad_packed = {
            "nothing": b"", "cut short": msgspec.msgpack.encode(good)[:-1], "JSON": whole, "lists": b"\x91" * 100_000,
            "a length that is a lie": b"\xdf\xff\xff\xff\xff", "an unknown type": b"\xc1", "nil": b"\xc0",
        }  # fmt: skip
        for name, body in bad_packed.items():
            with cases.case(name, "packed"):
                stage.refuses(method, path, body, headers={"content-type": MSGPACK}, status=400)


def test_a_field_that_nobody_knows(stage: Stage, route: str) -> None:
    """At every level; a name that is long or has line breaks must not make the answer so."""
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        for at in _structs(good):
            for name in ("unexpected", "line\nbreak", "x" * 100_000):
                with cases.case(at, name[:20]):
                    body = with_value(good, at, {**value_at(good, at), name: 1})
                    stage.refuses(method, path, body, status=400, names=str(at[0]) if at else name[:4])


def test_another_type(stage: Stage, route: str) -> None:
    """Every single value, replaced by one of another type."""
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        for at in paths_of(good, (str, int, float, bool, list, dict)):
            if not at or FREE & set(at) or at[0] == OBJECTS.get(route) != at[-1]:
                continue
            wrong: Any = 7 if isinstance(value_at(good, at), list | dict) else {"wrong": []}
            with cases.case(at):
                stage.refuses(method, path, with_value(good, at, wrong), names=str(at[0]))


def test_null_where_it_cannot_be(stage: Stage) -> None:
    with stage.cases() as cases:
        places = {
            "project": ["slug"], "experiment": ["name"], "experiment change": ["lifecycle"],
            "run": ["experiment", "kind", "state", "params", "tags"], "run change": ["name", "state"],
            "params": ["params"], "tags": ["tags"], "erasure": ["reason"], "points": ["series", "value"],
            "search": ["where", "order_by", "limit", "kind", "count"],
            "search everywhere": ["where", "order_by", "limit", "kind", "count"], "batch": ["commands"],
            "attachment": ["path", "digest"], "collection": ["older_than", "dry_run"],
            "facet type": ["name", "schema", "mode"], "facet type change": ["mode", "lifecycle"], "facet": ["value"],
            "note": ["text"], "note change": ["text", "lifecycle"], "view": ["name", "page", "state"],
            "view change": ["name", "state", "lifecycle"], "name": ["system", "namespace", "name", "record"],
            "name end": ["system", "namespace", "name"],
        }  # fmt: skip
        for route, names in places.items():
            method, path, good = stage.bodies()[route]
            for name in names:
                with cases.case(route, name):
                    stage.refuses(method, path, {**good, name: None}, status=400, names=name)
        for body in ({"params": {"a": None}}, {"params": {"a": [1]}}):
            stage.refuses("POST", f"{DEFAULT}/runs/{stage.run}/params", body, status=400, names="params")


def test_text_that_no_store_can_keep(stage: Stage, route: str) -> None:
    """NUL and half of a surrogate pair, in every text, escaped and raw, in JSON and in MessagePack."""
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        for at in paths_of(good, str):
            marked = with_value(good, at, MARK)
            as_json, as_packed = msgspec.json.encode(marked), msgspec.msgpack.encode(marked)
            raw = MARK.encode()
            for name, body, media in (
                ("NUL", as_json.replace(raw, b"a\\u0000b"), "application/json"),
                ("packed NUL", as_packed.replace(raw, b"0123\x00" + b"56789"), MSGPACK),
                ("surrogate", as_json.replace(raw, b"a\\ud800b"), "application/json"),
                ("raw surrogate", as_json.replace(raw, b"a\xed\xa0\x80b"), "application/json"),
                ("packed surrogate", as_packed.replace(raw, b"01234\xed\xa0\x8089"), MSGPACK),
            ):
                with cases.case(name, at):
                    stage.refuses(method, path, body, headers={"content-type": media})


def test_ten_megabytes_of_text(stage: Stage, route: str) -> None:
    """In a text of every field; the answer must not give it back."""
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        for at in {at[0]: at for at in paths_of(good, str)}.values():
            with cases.case(at):
                stage.refuses(method, path, with_value(good, at, "x" * 10_000_000), names=str(at[0]))


def test_numbers_that_are_none(stage: Stage, route: str) -> None:
    """NaN as JSON cannot have it, integers beyond 64 bits. A param keeps an integer as its text, whatever its size."""
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        spelled = (
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"1e400",
            b"0x10",
            b"01",
            str(2**70).encode(),
            str(-(2**70)).encode(),
        )
        for at in paths_of(good, (int, float)):
            if value_at(good, at) is True and at[0] != "count":
                continue
            body = msgspec.json.encode(with_value(good, at, MARK))
            for number in (*(spelled[:6] if "params" in at else spelled), b"9" * 5_000):
                if (
                    {"value", "metrics", "thresholds"} & set(at)
                    and number.lstrip(b"-").isdigit()
                    and len(number) < 50
                    and number != b"01"
                ):
                    continue  # a double takes it
                with cases.case(number[:30].decode(), at):
                    raw = body.replace(b'"' + MARK.encode() + b'"', number)
                    stage.refuses(method, path, raw, headers={"content-type": "application/json"}, status=400)


def test_nan_through_messagepack(stage: Stage) -> None:
    """It can be a metric's value or a param's text (XGBoost's `missing` is NaN); seeds and documents are finite."""
    with stage.cases() as cases:
        run = f"{DEFAULT}/runs/{stage.run}"
        for value in (math.nan, math.inf):
            for name, method, path, body in (
                ("seed", "POST", f"{DEFAULT}/runs", {"experiment": "churn", "seeds": {"rate": value}}),
                (
                    "hardware",
                    "POST",
                    f"{DEFAULT}/runs",
                    {"experiment": "churn", "environment": {"hardware": {"a": value}}},
                ),
                ("step", "POST", f"{run}/points", {"series": ["a"], "value": [1.0], "step": [value]}),
            ):
                with cases.case(name, value):
                    raw, headers = packed(body)
                    stage.refuses(method, path, raw, headers=headers, status=400)


def test_documents_are_plain_and_not_too_deep(stage: Stage) -> None:
    """What is in a document must come out of every reader again, so it holds JSON of a sane depth."""
    with stage.cases() as cases:
        for depth in (500, 1_000, 5_000, 100_000):
            for opening, closing in ((b'{"a":', b"}"), (b"[", b"]")):
                deep = b'{"a":' + opening * depth + b"1" + closing * depth + b"}"
                body = b'{"experiment":"churn","environment":{"hardware":' + deep + b"}}"
                with cases.case("JSON", depth, opening):
                    headers = {"content-type": "application/json"}
                    stage.refuses("POST", f"{DEFAULT}/runs", body, headers=headers, status=400)
            deep = b"\x82\xaaexperiment\xa5churn\xabenvironment\x81\xa8hardware" + b"\x81\xa1a" * depth + b"\x01"
            with cases.case("MessagePack", depth):
                stage.refuses("POST", f"{DEFAULT}/runs", deep, headers={"content-type": MSGPACK}, status=400)
        odd: list[Any] = [msgspec.msgpack.Ext(5, b"x"), {1: 2}, {True: 1}, {None: 1}, {(1, 2): 3}, 2**64, -(2**63) - 1]
        for document in odd:
            with cases.case("odd", document):
                if isinstance(document, int):
                    text = b'{"experiment":"churn","environment":{"hardware":{"a":%d}}}' % (document * 64)
                    raw, headers = text, {"content-type": "application/json"}
                else:
                    raw, headers = packed({"experiment": "churn", "environment": {"hardware": {"a": document}}})
                stage.refuses("POST", f"{DEFAULT}/runs", raw, headers=headers, status=400)


def test_a_document_may_speak_of_nul(stage: Stage) -> None:
    """A backslash before u0000 is text like any other; only the character itself is refused."""
    new = {"experiment": "churn", "environment": {"variables": {"PATTERN": "\\u0000"}}}
    made = stage.good("POST", f"{DEFAULT}/runs", new)
    assert made["environment"]["variables"] == {"PATTERN": "\\u0000"}


def test_compressed_bodies(stage: Stage, route: str) -> None:
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        zipped = gzip.compress(msgspec.json.encode(good))
        bad = {
            "cut short": zipped[:-9], "without its end": zipped[:-1], "with something behind": zipped + b"x",
            "two members": zipped + zipped, "not compressed": msgspec.json.encode(good), "nothing": b"",
            "a wrong checksum": zipped[:-8] + bytes(4) + zipped[-4:], "zlib": zlib.compress(b"{}"),
        }  # fmt: skip
        for name, body in bad.items():
            with cases.case(name):
                headers = {"content-encoding": "gzip", "content-type": "application/json"}
                stage.refuses(method, path, body, headers=headers, status=400, names="body")
        for coding in ("br", "deflate", "gzip, gzip", "zstd", "x"):
            with cases.case(coding):
                headers = {"content-encoding": coding, "content-type": "application/json"}
                stage.refuses(method, path, zipped, headers=headers, status=400, names="Content-Encoding")


def bomb(size: int) -> bytes:
    """A gzip stream that becomes `size` zeros (whole MiB), without compressing that many."""
    mebibyte = bytes(2**20)
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    piece = squeeze.compress(mebibyte) + squeeze.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(min(size >> 20, 4)):  # nobody reads the checksum of a bomb that is refused before its end
        crc = zlib.crc32(mebibyte, crc)
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return header + piece * (size >> 20) + b"\x03\x00" + struct.pack("<II", crc, size & 0xFFFFFFFF)


def test_bodies_beyond_the_limit(stage: Stage, route: str) -> None:
    """Said beforehand, found out while it comes in parts, or only when decompressed."""
    with stage.cases() as cases:
        method, path, _ = stage.bodies()[route]
        json = {"content-type": "application/json"}
        assert gzip.decompress(bomb(2**22)) == bytes(2**22)
        with cases.case("a bomb"):
            headers = {**json, "content-encoding": "gzip"}
            stage.refuses(method, path, bomb(2**30), headers=headers, status=413, names="body")
        with cases.case("said"):
            stage.refuses(
                method, path, b"{}", headers={**json, "content-length": str(BODY_LIMIT + 1)}, status=413, names="body"
            )
        with cases.case("in parts"):
            parts = (bytes(2**20) for _ in range(BODY_LIMIT // 2**20 + 1))
            stage.refuses(method, path, chunks=parts, headers=json, status=413, names="body")


def test_wrong_headers_of_a_body(stage: Stage, route: str) -> None:
    with stage.cases() as cases:
        method, path, good = stage.bodies()[route]
        whole = msgspec.json.encode(good)
        for media in ("text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json",
                      "application/json5", "application/jsonx; a=\u00ff", "*/*", "x" * 10_000):  # fmt: skip
            with cases.case(media[:40]):
                stage.refuses(method, path, whole, headers={"content-type": media}, names="Content-Type")
        for length in ("-1", "1.5", "abc", "+5", "\u00b2", "1_0", "9" * 5_000):
            with cases.case(length[:10]):
                stage.refuses(
                    method, path, whole, headers={"content-type": "application/json", "content-length": length}
                )


def test_a_body_where_none_is_taken(stage: Stage) -> None:
    run = f"{DEFAULT}/runs/{stage.run}"
    stage.refuses("POST", f"{run}/attempts", {"run": stage.run}, status=400, names="body")
    stage.refuses("POST", f"{DEFAULT}/verify", b"x", status=400, names="body")


def test_an_idempotency_key_comes_back_with_another_body(stage: Stage, route: str) -> None:
    """The first answer stays the answer to the first request, and to nothing else."""
    if route in UNRECEIPTED:
        return
    method, path, good = stage.bodies()[route]
    headers = {"idempotency-key": new_id()}
    first = stage.request(method, path, good, headers)
    assert first.status in {200, 201}, first
    again = stage.request(method, path, good, headers)
    assert again.json() == first.json()
    spaced = b" " + msgspec.json.encode(good)
    stage.refuses(method, path, spaced, headers=headers, status=422, names="Idempotency-Key")


def _structs(good: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Where the fields are fixed: the body itself, its code and environment, each command."""
    found: list[tuple[Any, ...]] = [()]
    found += [(name,) for name in ("code", "environment") if name in good]
    found += [("commands", at) for at in range(len(good.get("commands", ())))]
    return found
