"""Good bodies, mutated at random, against every route: never a 5xx, and what was accepted can be read again."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.server import DEFAULT, JSON, MSGPACK
from robustness.stage import Stage, check_problem, paths_of, value_at, with_value
from robustness.test_bad_body import ROUTES

EXAMPLES = 40
"""For each route and engine."""
READERS = {
    "attachment": ("records/{run}/artifacts",), "facet": ("records/{run}/facets",), "name": ("records/{run}/names",),
    "facet type": ("facet-types/{name}/versions/{version}", "records/{id}/history"),
    "facet type change": ("facet-types/stage/versions/1",), "note": ("notes/{id}", "records/{id}/history"),
    "note change": ("notes/{id}",), "view": ("views/{id}", "records/{id}/history"), "view change": ("views/{id}",),
}  # fmt: skip
"""Where else to read what was accepted; the answer says which."""

_TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", " ", "\x00", "a\nb", "$int:1", "$float:NaN", "..", "%00", "\ud7ff", "x" * 300]),
)
_NUMBER = st.one_of(
    st.integers(-(2**65), 2**65), st.sampled_from([2**63, 2**63 - 1, -(2**63), 2**31, 2**53 + 1, 10**30, -0.0, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
_TIMES = st.sampled_from(
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "2026-02-30T00:00:00Z", "1969-12-31T00:00:00Z"]
)
_LEAF = st.one_of(st.none(), st.booleans(), _NUMBER, _TEXT, _TIMES)
_VALUE = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3), max_leaves=6
)


@st.composite
def mutated(draw: st.DrawFn, good: dict[str, Any]) -> dict[str, Any]:
    """A body with something else in one place or two, mostly of the kind that belongs there; rarely another field."""
    body: Any = good
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        places = sorted(paths_of(body, (str, int, float, type(None))), key=str) or [()]
        if draw(st.integers(0, 4)) == 0:
            places = sorted(paths_of(body, object), key=str)
        at = draw(st.sampled_from(places))
        if at:
            body = with_value(body, at, draw(_likely(value_at(body, at))))
    if draw(st.integers(0, 9)) == 0:
        body = {**body, draw(_TEXT): draw(_VALUE)}
    return dict(body)


def _likely(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, str):
        return st.one_of(_TEXT, _TEXT, _TIMES, _VALUE)
    return st.one_of(_NUMBER, _NUMBER, _VALUE) if isinstance(value, int | float) else _VALUE


@pytest.mark.parametrize("route", ROUTES)
def test_no_body_breaks_the_server(stage: Stage, route: str) -> None:
    """Whatever is accepted, in JSON or MessagePack, comes out of the readers of both again."""
    method, path, good = stage.bodies()[route]
    if route == "erasure":
        path = f"{DEFAULT}/runs/{'0' * 32}/erase"  # erased once, there would be nothing left to try
    if route == "record erasure":
        path = f"{DEFAULT}/records/{'0' * 32}/erase"

    @settings(max_examples=EXAMPLES, derandomize=True, database=None)
    @given(body=mutated(good), keyed=st.booleans(), as_packed=st.booleans())
    def attempt(body: dict[str, Any], keyed: bool, as_packed: bool) -> None:
        raw, media = _encoded(body, as_packed=as_packed)
        headers = {"content-type": media, **({"idempotency-key": str(hash(raw))} if keyed else {})}
        before = stage.heads()
        reply = stage.request(method, path, raw, headers)
        assert reply.status < 500, (body, reply)
        if reply.status >= 400:
            check_problem(reply)
            assert stage.heads() == before, "a refused request was written"
        else:
            _readable(stage, route, reply.json(), body)

    attempt()
    stage.still_works()


def _encoded(body: dict[str, Any], *, as_packed: bool) -> tuple[bytes, str]:
    """MessagePack has no integers beyond 64 bits; JSON has."""
    try:
        return (msgspec.msgpack.encode(body), MSGPACK) if as_packed else (msgspec.json.encode(body), JSON)
    except OverflowError:
        import json

        return json.dumps(body).encode(), JSON


def _readable(stage: Stage, route: str, answer: dict[str, Any], body: dict[str, Any]) -> None:
    parts = {"run": stage.run, **{key: quote(str(value), safe="") for key, value in answer.items()}}
    also = [("GET", f"{DEFAULT}/{reader.format_map(parts)}", None) for reader in READERS.get(route, ())]
    run = answer["id"] if "attempt" in answer else stage.run
    for accept in (JSON, MSGPACK):
        for method, path, asked in (
            ("GET", f"{DEFAULT}/runs/{run}", None), ("GET", f"{DEFAULT}/records/{run}/history", None),
            ("POST", f"{DEFAULT}/search", {"limit": 2}), ("GET", f"{DEFAULT}/changes?limit=1", None), *also,
        ):  # fmt: skip
            reply = stage.request(method, path, asked, {"accept": accept})
            assert reply.status == 200, (path, accept, body, reply)


@pytest.mark.parametrize(
    "tail", ["ledger", "seals", "changes", "consistency", "runs/{run}", "runs/{run}/series", "runs/{run}/series/chart"]
)
def test_no_query_breaks_the_server(stage: Stage, tail: str) -> None:
    names = st.sampled_from(
        ["after", "limit", "as_of", "key", "from_step", "to_step", "page", "buckets", "first", "second"]
    )
    values = st.one_of(_TEXT, _NUMBER.map(str), _TIMES, st.sampled_from(["loss", "nan", "1", "0", "-1", str(math.inf)]))

    @settings(max_examples=EXAMPLES, derandomize=True, database=None)
    @given(query=st.dictionaries(names, values, min_size=1, max_size=3))
    def attempt(query: dict[str, str]) -> None:
        given_query = {"key": "loss", **query} if "series" in tail else query
        reply = stage.request("GET", f"{DEFAULT}/{tail.format(run=stage.run)}?{urlencode(given_query)}")
        assert reply.status < 500, (query, reply)
        if reply.status >= 400:
            check_problem(reply)

    attempt()
