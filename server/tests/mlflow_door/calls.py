"""Calls of MLflow's protocol, and what two servers' answers to them have in common.

A case is a list of calls that need each other. Strings in it may hold ``$name``: an id that an earlier call of the
case was answered, and ``$u``, letters that no other playing of a case has, so that cases can share a server.
An answer is written down with those names back in the place of what the server chose, and without the hour.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode

from robustness.server import Reply, Wire

API = "/api/2.0/mlflow/"
RECENT_MS = 3_600_000
"""An integer this near to now is an hour that the server read from its clock."""
_NAME = re.compile(r"\$([a-z]\w*)")
_GENERATED = re.compile(r"[a-z]+-[a-z]+-\d{1,4}|(?:run|model)-[0-9a-f]{8}")
_TIMES = (
    ("creation_time", "last_update_time"),
    ("creation_timestamp", "last_updated_timestamp"),
    ("creation_timestamp_ms", "last_updated_timestamp_ms"),
)
_BEFORE_ID = (
    "(?:"
    + "|".join(rf"(?<={text})" for text in ("id=", "[iI][dD] ", "ID '", "eriment ", "value ", '"', ":/", r"\['"))
    + r"|(?<=[ '])(?=\d+/))"
)
"""What stands before the number of an experiment in a message, where other numbers stand too."""
_UNORDERED = {"tags", "params", "aliases", "dataset_inputs", "model_inputs", "model_outputs"}
"""Lists that MLflow's server selects without an order; so are a run's metrics, but not a metric's history."""
_SHOWN = ("content-type", "content-disposition", "content-range", "retry-after", "allow")
_NEW = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])")
_LOCATION = re.compile(r"mlflow-artifacts:/[1-9]\d*(?=/|$)")
NONE = "0123456789abcdef0123456789abcdef"
"""The id of no run and, behind ``m-``, of no model."""
NOWHERE = "987654321"
"""The id of no experiment."""
_ROUTE_IDS = ("experiment_id", "experiment_ids")


class Call(NamedTuple):
    """One request.

    Args:
        method: of HTTP.
        path: below the API's prefix, or with a slash first.
        body: what JSON can hold, or bytes as they are.
        query: in order; a name may come twice.
        headers: further ones, which win.
        save: a name for an answer's id: the place in the answer, with dots.
    """

    method: str
    path: str
    body: Any = None
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    save: tuple[tuple[str, str], ...] = ()


class Case(NamedTuple):
    """Calls that are sent one after the other."""

    name: str
    calls: tuple[Call, ...]


class Answer(NamedTuple):
    """What came back, without what two servers may choose for themselves.

    Args:
        status: of HTTP; 0 where the server hung up instead.
        body: decoded.
        headers: those of `_SHOWN` that say more than "this is JSON".
    """

    status: int
    body: Any
    headers: dict[str, str]


def call(method: str, path: str, body: Any = None, /, *, headers: Mapping[str, str] | None = None, **save: str) -> Call:
    """A request with a body."""
    return Call(method, path, body, headers=tuple((headers or {}).items()), save=tuple(save.items()))


def post(path: str, body: Any = None, /, **save: str) -> Call:
    """A POST of JSON."""
    return call("POST", path, {} if body is None else body, **save)


def get(path: str, /, *query: tuple[str, str], **named: str) -> Call:
    """A GET with a query."""
    return Call("GET", path, query=(*query, *named.items()))


def case(name: str, *calls: Call) -> Case:
    """A case."""
    return Case(name, calls)


class Player:
    """Plays cases on one server.

    Args:
        port: of the server, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._wire = Wire(port)
        self._known: dict[str, str] = {}

    def play(self, played: Case) -> list[Answer]:
        """Send a case's calls; their answers, comparable."""
        self._known = {"u": "u" + secrets.token_hex(5)}
        return [self.send(one) for one in played.calls]

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def begin(self) -> None:
        """Forget every id."""
        self._known = {"u": "u" + secrets.token_hex(5)}

    def send(self, one: Call) -> Answer:
        """Send one call of a case."""
        try:
            reply = self.raw(one)
        except (ConnectionResetError, BrokenPipeError, http.client.HTTPException):
            self._wire.close()
            self._wire = Wire(self._port)
            return Answer(0, "", {})
        body = _decoded(reply)
        for name, place in one.save:
            found: Any = body
            for step in place.split("."):
                found = found[int(step)] if isinstance(found, list) else (found or {}).get(step)
            self._known[name] = str(found)
        headers = {name: reply.headers[name] for name in _SHOWN if name in reply.headers}
        if "allow" in headers:
            headers["allow"] = ", ".join(sorted(headers["allow"].split(", ")))
        if headers.get("content-type") == "application/json":
            del headers["content-type"]
        return Answer(reply.status, self._plain(body), headers)

    def raw(self, one: Call) -> Reply:
        """Send one call; the answer as it is."""
        time.sleep(0.002)  # so that an hour that is read again differs
        path = one.path if one.path.startswith("/") else API + one.path
        path = self._filled(path)
        if one.query:
            path += "?" + urlencode([(name, self._filled(value)) for name, value in one.query], quote_via=quote)
        body = self._filled(one.body)
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return self._wire.call(one.method, path, raw, headers=dict(one.headers))

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return _NAME.sub(lambda match: self._known.get(match[1], match[0]), value)
        if isinstance(value, bytes):
            return value.replace(b"$u", self._known["u"].encode())
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if isinstance(value, dict):
            return {self._filled(key): self._filled(item) for key, item in value.items()}
        return value

    def _plain(self, value: Any, key: str = "") -> Any:
        """A value with names for ids, and no hour."""
        if isinstance(value, dict):
            said = {self._plain(name): self._plain(item, name) for name, item in value.items()}
            if key == "data" and "metrics" in said:
                said["metrics"].sort(key=json.dumps)
            for made, touched in _TIMES:
                if value.get(made) is not None and value.get(made) == value.get(touched):
                    said[touched] = "<created>"
            return said
        if isinstance(value, list):
            said_all = [self._plain(item, key) for item in value]
            return sorted(said_all, key=json.dumps) if key in _UNORDERED and len(said_all) > 1 else said_all
        if isinstance(value, int) and abs(value - time.time() * 1000) < RECENT_MS:
            return "<now>"
        if not isinstance(value, str):
            return value
        if key in {"run_name", "name", "value"} and _GENERATED.fullmatch(value):
            return "<generated>"
        if key == "next_page_token":
            return "<token>"
        return self._named(value, key)

    def _named(self, value: str, key: str) -> str:
        for name, known in sorted(self._known.items(), key=lambda item: -len(item[1])):
            if not known.isdigit() or len(known) > 8:
                value = value.replace(known, f"${name}")
            elif key in _ROUTE_IDS:
                value = f"${name}" if value == known else value
            elif key in {"message", "detail"}:
                value = re.sub(rf"{_BEFORE_ID}{known}(?![\w.])", f"${name}", value)
            else:
                value = re.sub(rf":/{known}(?=/|$)", f":/${name}", value)
        if key in _ROUTE_IDS and value.isdigit() and value not in {"0", NOWHERE}:
            return "<new>"
        value = _LOCATION.sub("mlflow-artifacts:/<new>", value)
        return _NEW.sub(lambda match: match[0] if match[0] == NONE else "<new>", value)


def _decoded(reply: Reply) -> Any:
    """JSON where it is, otherwise text."""
    try:
        return json.loads(reply.body)
    except ValueError:
        return reply.body.decode(errors="replace")
