"""The application in this process, with one good request of every kind that takes a body, to spoil."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from muniment.model.ids import new_id
from muniment_server.api.app import Application
from muniment_server.api.doors import ROUTES
from muniment_server.services.workspace import Workspace
from muniment_server.store import projects
from robustness.server import DEFAULT, JSON, MSGPACK, Reply

DETAIL_LIMIT = 2_000
"""Characters of one line that a person can read."""


class Cases:
    """Many small cases in one test: the test fails with all that failed, not with the first."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.ran = 0

    @contextmanager
    def case(self, *name: object) -> Iterator[None]:
        """One case."""
        self.ran += 1
        try:
            yield
        except AssertionError as error:
            self.failed.append(f"{' '.join(map(str, name))}: {str(error)[:300]}")

    def settle(self) -> None:
        """Fail if any case did."""
        assert not self.failed, f"{len(self.failed)} of {self.ran} cases failed:\n" + "\n".join(self.failed[:40])


class Stage:
    """One store behind the application, with a project, an experiment and a run in it.

    Args:
        url: of the empty store.
        trust: its trust folder.
    """

    def __init__(self, url: str, trust: Path) -> None:
        self.workspace = Workspace(url, trust=trust)
        self.application = Application(self.workspace, ROUTES)
        self._runner = asyncio.Runner()
        self.run, self.other = new_id(), new_id()
        self._turn = 0
        self.good("POST", "/v1/projects", {"slug": "another"})
        self.good("POST", f"{DEFAULT}/experiments", {"name": "churn"})
        self.good("POST", f"{DEFAULT}/runs", {"experiment": "churn", "id": self.run, "params": {"lr": "0.1"}})
        self.good("POST", f"{DEFAULT}/runs", {"experiment": "churn", "id": self.other})
        self.good(
            "POST", f"{DEFAULT}/runs/{self.run}/points", {"series": ["loss"], "value": [0.5, 0.25], "step": [1, 2]}
        )
        for kind in ("jobs", "datasets", "models"):
            self.good("POST", f"{DEFAULT}/{kind}", {"name": "stage"})
        self.good("POST", f"{DEFAULT}/datasets/stage/versions", {"version": "1", "slices": [{"name": "test"}]})
        self.good("POST", f"{DEFAULT}/models/stage/versions", {"version": 1})
        self._furnish()
        self.still_works()

    def _furnish(self) -> None:
        """What records have: an artifact, a type of facets, a note, a view, a name."""
        record = f"{DEFAULT}/records/{self.run}"
        self.digest: str = self.good("POST", f"{DEFAULT}/artifacts", b"bytes")["digest"]
        self.good("POST", f"{record}/artifacts", {"path": "kept", "digest": self.digest})  # so none can collect it
        self.good("POST", f"{DEFAULT}/facet-types", {"name": "stage", "schema": self.schema(), "mode": "warn"})
        self.note: str = self.good("POST", f"{DEFAULT}/notes", {"text": "text"})["id"]
        self.spare: str = self.good("POST", f"{DEFAULT}/notes", {"text": "text"})["id"]
        self.view: str = self.good("POST", f"{DEFAULT}/views", {"name": "stage", "page": "runs", "state": {}})["id"]
        self.good("POST", f"{DEFAULT}/names", {"system": "mlflow", "name": "stage", "record": self.run})

    def close(self) -> None:
        """Give everything back."""
        self.workspace.close()
        self._runner.close()

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        chunks: Iterable[bytes] | None = None,
    ) -> Reply:
        """Send one request.

        Args:
            method: of HTTP.
            target: path and query string, as on the wire.
            body: bytes as they are, or anything that JSON can hold.
            headers: further ones, which win.
            chunks: the body in parts, instead.
        """
        raw = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        parts = [raw] if chunks is None else chunks
        sent = {"content-type": JSON} if body is not None or chunks is not None else {}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        return self._runner.run(_asgi(self.application, method, target, sent, parts))

    def good(self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The decoded answer of a request that must succeed."""
        reply = self.request(method, target, body, headers)
        assert reply.status in {200, 201}, (method, target, reply)
        return reply.json()

    def heads(self) -> dict[int, int]:
        """Every project's position."""
        with self.workspace.store.read() as connection:
            return projects.positions(connection)

    def still_works(self) -> None:
        """A good request works: one is written and read back."""
        self._turn += 1
        self._set_turn()
        assert self.good("GET", f"{DEFAULT}/runs/{self.run}")["tags"]["turn"] == str(self._turn)

    def _set_turn(self) -> None:
        self.good("POST", f"{DEFAULT}/runs/{self.run}/tags", {"tags": {"turn": str(self._turn)}})

    def refuses(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        chunks: Iterable[bytes] | None = None,
        status: int | None = None,
        names: str = "",
    ) -> dict[str, Any]:
        """The problem with which a request is refused; nothing was written, and the next good request works.

        Args:
            method, target, body, headers, chunks: as `request`.
            status: exactly this one; any 4xx if left out.
            names: what `field` or `detail` must speak of.
        """
        before = self.heads()
        problem = check_problem(self.request(method, target, body, headers, chunks), status=status, names=names)
        self._set_turn()  # through the writer, but it changes nothing
        assert self.heads() == before, f"something was written: {method} {target[:200]}"
        return problem

    @contextmanager
    def cases(self) -> Iterator[Cases]:
        """Cases that all run although some fail; after them the store works."""
        made = Cases()
        yield made
        self.still_works()
        made.settle()

    def bodies(self) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """(method, path, a good body) of every route that takes a body, by a name for it."""
        run = f"{DEFAULT}/runs/{self.run}"
        return {
            "project": ("POST", "/v1/projects", {"slug": "spare", "description": "text"}),
            "project change": ("PATCH", DEFAULT, {"description": "another text"}),
            "experiment": ("POST", f"{DEFAULT}/experiments", {"name": "spare", "description": "text"}),
            "experiment change": ("PATCH", f"{DEFAULT}/experiments/churn", {"description": "x", "lifecycle": "active"}),
            "run": ("POST", f"{DEFAULT}/runs", self.new_run()),
            "run change": ("PATCH", run, {key: value for key, value in self.new_run().items() if key in _CHANGEABLE}),
            "params": ("POST", f"{run}/params", {"params": {"depth": 3, "name": "text", "on": True, "rate": 0.5}}),
            "tags": ("POST", f"{run}/tags", {"tags": {"team": "risk", "gone": None}}),
            "erasure": ("POST", f"{DEFAULT}/runs/{self.other}/erase", {"reason": "text"}),
            "points": ("POST", f"{run}/points", self.new_points()),
            "search": ("POST", f"{DEFAULT}/search", {"where": "params.lr = '0.1'", "order_by": ["metrics.loss DESC"],
                       "columns": ["params", "metrics.loss"], "limit": 5, "kind": "run", "count": True}),
            "search everywhere": ("POST", "/v1/search", {"where": "state = 'running'", "order_by": ["created_at"],
                                  "columns": ["params"], "limit": 5, "kind": "run", "count": True,
                                  "projects": ["default"]}),
            "batch": ("POST", f"{DEFAULT}/batch", {"commands": self.commands()}),
            **self._records(),
            **self._belongings(),
        }  # fmt: skip

    def _records(self) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """Those of datasets, models, evaluations and links."""
        described, schema = {"name": "spare", "description": "text"}, [{"name": "a", "type": "int64", "unit": "m"}]
        version = {
            "digest": f"sha256:{new_id()}", "sources": [{"uri": "s3://x", "format": "parquet", "version": "1"}],
            "schema": schema, "slices": [{"name": "test", "filter": "a > 1", "rows": 2, "digest": "d"}], "rows": 3,
            "bytes": 4, "license": "CC-BY-4.0", "profile": {"a": {"mean": 0.5}}, "run": self.run,
        }  # fmt: skip
        signature = {"inputs": schema, "outputs": [{"name": "b", "shape": [-1, 3], "description": "text"}]}
        registered = {
            "run": self.run, "uri": "s3://y", "digest": "d", "signature": signature,
            "framework": {"name": "sklearn", "version": "1"}, "metadata": {"a": 1}, "stage": "staging",
            "description": "text", "aliases": ["champion"],
        }  # fmt: skip
        evaluation = {
            "model_version": "stage@1", "dataset_version": "stage@1", "slice": "test", "run": self.run,
            "metrics": {"auc": 0.9}, "thresholds": {"auc": {"min": 0.5, "max": 1.5}},
        }  # fmt: skip
        link = {"upstream": "dataset:stage@1", "downstream": self.run, "type": "used", "role": "x", "source": "manual"}
        one = f"{DEFAULT}/models/stage/versions/1"
        return {
            "job": ("POST", f"{DEFAULT}/jobs", {**described, "namespace": "n", "type": "t"}),
            "job change": ("PATCH", f"{DEFAULT}/jobs/stage", {"type": "t", "description": "x", "lifecycle": "active"}),
            "dataset": ("POST", f"{DEFAULT}/datasets", {**described, "namespace": "n"}),
            "dataset change": ("PATCH", f"{DEFAULT}/datasets/stage", {"description": "x", "lifecycle": "active"}),
            "dataset version": ("POST", f"{DEFAULT}/datasets/stage/versions", version),
            "model": ("POST", f"{DEFAULT}/models", described),
            "model change": ("PATCH", f"{DEFAULT}/models/stage", {"description": "x", "lifecycle": "active"}),
            "model version": ("POST", f"{DEFAULT}/models/stage/versions", registered),
            "model version change": ("PATCH", one, {"stage": "production", "description": "x"}),
            "alias": ("PUT", f"{DEFAULT}/models/stage/aliases/best", {"version": 1}),
            "evaluation": ("POST", f"{DEFAULT}/evaluations", evaluation),
            "links": ("POST", f"{DEFAULT}/links", {"links": [{**link, "run": self.run}]}),
            "links end": ("POST", f"{DEFAULT}/links/remove", {"links": [link]}),
            "comparison": ("POST", f"{DEFAULT}/compare", {"records": [self.run, self.run], "as_of": 3}),
        }  # fmt: skip

    def _belongings(self) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """Those of artifacts, facets, notes, views and names."""
        record, state = f"{DEFAULT}/records/{self.run}", {"columns": ["name", "metrics.loss"], "limit": 50}
        name = {"system": "mlflow", "namespace": "http://tracking:5000", "name": "0/abc"}
        return {
            "attachment": ("POST", f"{record}/artifacts", {"path": "model/weights.bin", "digest": self.digest}),
            "collection": ("POST", f"{DEFAULT}/artifacts/collect", {"older_than": 60, "dry_run": False}),
            "facet type": ("POST", f"{DEFAULT}/facet-types",
                           {"name": "spare", "schema": self.schema(), "mode": "enforce", "description": "text"}),
            "facet type change": ("PATCH", f"{DEFAULT}/facet-types/stage/versions/1",
                                  {"mode": "warn", "description": "x", "lifecycle": "active"}),
            "facet": ("PUT", f"{record}/facets/stage",
                      {"value": {"license": "MIT", "size": 3, "tags": ["a", 0.5], "open": True}}),
            "note": ("POST", f"{DEFAULT}/notes", {"subject": "model:stage", "title": "text", "text": "**text**"}),
            "note change": ("PATCH", f"{DEFAULT}/notes/{self.note}",
                            {"title": "x", "text": "x", "lifecycle": "active"}),
            "view": ("POST", f"{DEFAULT}/views", {"name": "spare", "page": "runs", "state": state, "description": "x"}),
            "view change": ("PATCH", f"{DEFAULT}/views/{self.view}",
                            {"name": "stage", "state": state, "description": "x", "lifecycle": "active"}),
            "name": ("POST", f"{DEFAULT}/names", {**name, "record": self.run, "url": "http://tracking:5000/#/runs"}),
            "name end": ("POST", f"{DEFAULT}/names/remove", name),
            "record tags": ("POST", f"{DEFAULT}/records/model:stage@1/tags", {"tags": {"team": "risk", "gone": None}}),
            "record erasure": ("POST", f"{DEFAULT}/records/{self.spare}/erase", {"reason": "text"}),
        }  # fmt: skip

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with something of every type."""
        return {
            "title": "text", "type": "object", "required": ["license"], "additionalProperties": True,
            "properties": {"license": {"type": "string", "minLength": 1}, "size": {"type": "integer", "minimum": 0.5}},
        }  # fmt: skip

    def new_run(self) -> dict[str, Any]:
        """A good body of a run with everything in it."""
        return {
            "experiment": "churn", "name": "spare", "kind": "training", "state": "running", "parent": self.other,
            "description": "text", "user": "someone", "code": {"repository": "r", "commit": "c", "command": ["a", "b"]},
            "environment": {"python": "3.11", "hardware": {"gpu": "x", "n": 2}, "variables": {"A": "b"}},
            "seeds": {"numpy": 42}, "started_at": "2026-01-31T12:00:00Z", "ended_at": "2026-01-31T13:00:00Z",
            "params": {"depth": 3, "rate": 0.5}, "tags": {"team": "risk"},
        }  # fmt: skip

    def new_points(self) -> dict[str, Any]:
        """A good body of points."""
        return {
            "series": ["auc", "loss"], "key": [0, 1, 1], "step": [1, 2, 3], "timestamp": [5, 6, 7],
            "value": [0.5, 1.5, "NaN"], "writer": new_id(), "sequence": 1,
        }  # fmt: skip

    def commands(self) -> list[dict[str, Any]]:
        """Good commands of a batch: one of each kind."""
        points = {key: value for key, value in self.new_points().items() if key not in {"writer", "sequence"}}
        made = new_id()
        return [
            {"do": "experiment.create", "name": f"spare {made}"},
            {"do": "experiment.update", "experiment": "churn", "description": made},
            {"do": "run.create", "id": made, **self.new_run(), "state": "finished"},
            {"do": "run.attempt", "run": made},
            {"do": "run.update", "run": made, "description": "text"},
            {"do": "run.params", "run": made, "params": {"q": "text"}},
            {"do": "run.tags", "run": made, "tags": {"team": None}},
            {"do": "run.log", "run": made, **points},
            {"do": "record.tags", "record": "dataset:stage", "tags": {"team": made}},
            {"do": "record.delete", "record": made},
            {"do": "record.restore", "record": made},
        ]


_CHANGEABLE = frozenset(
    ("name", "state", "parent", "description", "user", "code", "environment", "seeds", "started_at", "ended_at")
)


def check_problem(reply: Reply, *, status: int | None = None, names: str = "") -> dict[str, Any]:
    """The problem of a refusal: a 4xx, one readable line, and the place."""
    assert 400 <= reply.status < 500, reply
    assert status is None or reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json", reply
    problem: dict[str, Any] = reply.json()
    assert problem["status"] == reply.status
    detail = problem["detail"]
    assert detail, problem
    assert len(detail.splitlines()) == 1, f"more than one line: {detail[:500]!r}"
    assert len(detail) <= DETAIL_LIMIT, f"{len(detail):,} characters: {detail[:200]!r}…"
    assert problem.get("field"), problem
    assert len(problem["field"]) <= DETAIL_LIMIT, f"{len(problem['field']):,} characters in field"
    assert names in problem["field"] or names in detail, problem
    return problem


async def _asgi(
    application: Application, method: str, target: str, headers: Mapping[str, str], chunks: Iterable[bytes]
) -> Reply:
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "method": method, "path": urlsplit(path).path, "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }  # fmt: skip
    left, given = iter(chunks), False
    status, received, answer = 0, {}, b""

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            await asyncio.Event().wait()  # the client stays, and has nothing more to say
        part = next(left, None)
        given = part is None
        return {"type": "http.request", "body": part or b"", "more_body": not given}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, received, answer
        if message["type"] == "http.response.start":
            status = message["status"]
            received = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            answer += message.get("body", b"")

    await application(scope, receive, send)
    return Reply(status, received, answer)


def paths_of(body: Any, kind: type | tuple[type, ...], at: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    """Where in a document there are values of a type."""
    if isinstance(body, kind) and not (isinstance(body, bool) and kind is int):
        yield at
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, item in items:
        yield from paths_of(item, kind, (*at, key))


def value_at(body: Any, at: tuple[Any, ...]) -> Any:
    """What is at a place of a document."""
    for key in at:
        body = body[key]
    return body


def with_value(body: Any, at: tuple[Any, ...], value: Any) -> Any:
    """A copy of the document with another value at a place."""
    if not at:
        return value
    made = dict(body) if isinstance(body, dict) else list(body)
    made[at[0]] = with_value(made[at[0]], at[1:], value)
    return made


def packed(body: Any) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a request in MessagePack."""
    return msgspec.msgpack.encode(body), {"content-type": MSGPACK}
