"""The application: finds the route, reads and checks the request, calls the handler, writes the answer. ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
from starlette.routing import compile_path

from muniment.model.errors import InvalidInput, MunimentError, NotFound, misshapen
from muniment.model.names import check_text
from muniment_server.api import telemetry
from muniment_server.api.incoming import body_of, chunks_of
from muniment_server.api.problems import RETRY_SECONDS, problem
from muniment_server.api.routing import (
    Call,
    Incoming,
    Outgoing,
    Plain,
    Protocol,
    Route,
    Sent,
    Stream,
    receipt_for,
)
from muniment_server.services.workspace import Workspace

PATH_LIMIT = 8_192
"""Characters in a part of the path or of the query string."""
FOREIGN_FIELDS = 1_000
"""Query parameters of a request of a foreign protocol; some repeat one for each run."""
MSGPACK = "application/msgpack"

ASGI = dict[str, Any]
Receive = Callable[[], Awaitable[ASGI]]
Send = Callable[[ASGI], Awaitable[None]]

_log = structlog.get_logger()
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Application:
    """All doors of one workspace.

    Args:
        workspace: the opened store.
        routes: of all doors.
        hosts: names by which the server may be addressed; None is any. A server that only listens to its own machine
            refuses other names, so that no web page can reach it by rebinding a name of its own.
    """

    def __init__(self, workspace: Workspace, routes: Sequence[Route], hosts: frozenset[str] | None = None) -> None:
        self.workspace = workspace
        self.routes = routes
        self.hosts = hosts
        self._table: dict[tuple[str, int], list[tuple[Any, Route]]] = {}
        self._rest: dict[str, list[tuple[Any, Route]]] = {}
        self._exact: dict[tuple[str, str], Route] = {}
        self._protocols = {route.protocol.prefixes: route.protocol for route in routes if route.protocol}.values()
        self._decoders: dict[tuple[int, bool], Any] = {}
        for route in routes:
            if "{" not in route.path:
                self._exact[route.method, route.path] = route
                continue
            pattern, _, _ = compile_path(route.path)
            if ":path}" in route.path:  # which may hold slashes of its own
                self._rest.setdefault(route.method, []).append((pattern, route))
            else:
                self._table.setdefault((route.method, route.path.count("/")), []).append((pattern, route))

    async def __call__(self, scope: ASGI, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        packed = MSGPACK in headers.get("accept", "")
        route, status = None, 500
        raw_path = scope["raw_path"].decode("latin-1")
        protocol = self._protocol(raw_path)
        method, bare = scope["method"], scope["method"] == "HEAD"
        if bare:  # is answered as GET is, without the body
            method, send = "GET", _bare(send)
        try:
            self._check_host(headers.get("host", ""))
            route, path = self._find(method, raw_path)
            call = await self._call(route, path, scope, headers, receive)
            answer = await route.handler(call)
            if bare and isinstance(answer, Stream | Outgoing):
                status = 200 if isinstance(answer, Stream) else answer.status
                await send({"type": "http.response.start", "status": status, "headers": _headers(answer)})
                await send({"type": "http.response.body", "body": b""})
            elif isinstance(answer, Stream):
                status = 200
                await _stream(answer, receive, send)
            elif isinstance(answer, Sent):
                status = answer.status
                await _sent(send, answer)
            elif isinstance(answer, Outgoing):
                status = answer.status
                await _pour(answer, receive, send)
            else:
                status = route.status
                await _answer(send, route, answer, packed=packed)
        except MunimentError as error:
            status = await _refuse(send, error, protocol, raw_path)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - a bug is logged and answered, never a dropped connection
            _log.exception("request failed", method=scope["method"], path=scope["path"])
            unknown = MunimentError("something went wrong inside Muniment; its log says what")
            status = await _refuse(send, unknown, protocol, raw_path)
        finally:
            telemetry.observe(route.name if route else "none", status, time.perf_counter() - started)

    def _check_host(self, host: str) -> None:
        if self.hosts is None:
            return
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in self.hosts:
            raise InvalidInput(
                f"this server does not answer to the name {name[:80]!r}; start it with --allow-host to permit it",
                field="Host",
            )

    def _protocol(self, path: str) -> Protocol | None:
        """The foreign protocol that a path is of."""
        inner = _within(path)[1]
        return next((known for known in self._protocols if inner.startswith(known.prefixes)), None)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, {}
        project, inner = _within(path)
        for known in self._candidates(method, inner):
            found = known[0].match(inner)
            if found and (project is None or known[1].protocol is not None):
                values = found.groupdict() if project is None else {**found.groupdict(), "project": project}
                return known[1], {name: _unquoted(name, value) for name, value in values.items()}
        exact = self._exact.get((method, inner))
        if exact is not None and exact.protocol is not None and project is not None:
            return exact, {"project": _unquoted("project", project)}
        others = [other for other in _METHODS if self._knows(other, path)]
        if others:
            raise NotFound(f"{path[:200]} does not know {method}; it knows {', '.join(others)}", field="method")
        raise NotFound(f"there is nothing at {path[:200]}; GET /v1/openapi.json lists what there is", field="path")

    def _knows(self, method: str, path: str) -> bool:
        inner = _within(path)[1]
        return (method, inner) in self._exact or any(
            pattern.match(inner) for pattern, _ in self._candidates(method, inner)
        )

    def _candidates(self, method: str, path: str) -> list[tuple[Any, Route]]:
        return self._table.get((method, path.count("/")), []) + self._rest.get(method, [])

    async def _call(
        self, route: Route, path: dict[str, str], scope: ASGI, headers: dict[str, str], receive: Receive
    ) -> Call:
        caller = self.workspace.owner_scope
        caller.require(route.permission)
        query = _query(route, scope["query_string"])
        if route.body is Incoming:  # repeating it is safe without a key: the same bytes at the same place are no news
            body: Any = Incoming(chunks_of(receive, headers), headers.get("content-type"))
            receipt = None
        else:
            raw = await body_of(receive, headers) if route.method != "GET" or route.protocol else b""
            body = self._decode(route, raw, headers)
            receipt = receipt_for(headers.get("idempotency-key"), caller, route, scope["path"], raw)
        return Call(
            workspace=self.workspace,
            scope=caller,
            path=path,
            query=query,
            body=body,
            receipt=receipt,
            packed=MSGPACK in headers.get("accept", ""),
            headers=headers,
        )

    def _decode(self, route: Route, raw: bytes, headers: dict[str, str]) -> Any:
        if route.body is bytes:
            return raw
        if route.body is None:
            if raw.strip():
                raise InvalidInput(f"{route.method} {route.path} takes no body", field="body")
            return None
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in {"application/json", MSGPACK}:
            raise InvalidInput(
                f"Content-Type must be application/json or {MSGPACK}, not {media[:80]!r}", field="Content-Type"
            )
        packed = media == MSGPACK
        decoder = self._decoders.get((id(route), packed))
        if decoder is None:
            made = msgspec.msgpack.Decoder(route.body) if packed else msgspec.json.Decoder(route.body)
            decoder = self._decoders[id(route), packed] = made
        return decode(decoder, raw)


def _within(path: str) -> tuple[str | None, str]:
    """(project, path within it) of a path behind ``/p/{project}``; (None, path) of any other."""
    if not path.startswith("/p/"):
        return None, path
    project, _, rest = path[3:].partition("/")
    return project, f"/{rest}"


def _unquoted(name: str, value: str) -> str:
    if "%" in value:
        try:
            value = unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise InvalidInput(f"the {name} in the path is not UTF-8", field=name) from None
    return _plain(value, f"the {name} in the path")


def _plain(text: str, field: str) -> str:
    if len(text) > PATH_LIMIT:
        raise InvalidInput(f"{field} has {len(text):,} characters; the limit is {PATH_LIMIT:,}", field=field)
    return check_text(text, field, PATH_LIMIT)


def decode(decoder: Any, raw: bytes) -> Any:
    """A request's body, decoded and checked.

    Raises:
        InvalidInput: it is malformed or of another shape; the message says where.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise misshapen(error, "body") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the body cannot be read: {error}", field="body") from None
    except RecursionError:
        raise InvalidInput("the body is nested too deeply", field="body") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8 at byte {error.start}", field="body") from None


def _query(route: Route, raw: bytes) -> Any:
    if not raw and route.query is None:
        return None
    try:
        most = FOREIGN_FIELDS if route.query is list else 50
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=most, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the query string cannot be read: {error}", field="query") from None
    if route.query is list:
        return pairs
    given = dict(pairs)
    for name, value in pairs:
        _plain(value, f"the query parameter {name[:40]!r}")
    if len(given) != len(pairs):
        raise InvalidInput("a query parameter is given twice", field="query")
    if route.query is None:
        if given:
            raise InvalidInput(f"{route.path} takes no query parameters, not {min(given)[:60]!r}", field="query")
        return None
    try:
        return msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise misshapen(error, "query") from None


async def _answer(send: Send, route: Route, answer: Any, *, packed: bool) -> None:
    if isinstance(answer, Plain):
        await _send(send, route.status, answer.text.encode(), answer.media)
    elif packed:
        await _send(send, route.status, msgspec.msgpack.encode(answer), MSGPACK)
    else:
        await _send(send, route.status, msgspec.json.encode(answer), route.media)


async def _sent(send: Send, answer: Sent) -> None:
    extra = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    await _send(send, answer.status, answer.body, answer.media, extra)


async def _refuse(send: Send, error: MunimentError, protocol: Protocol | None, path: str) -> int:
    if protocol is not None:
        refusal = protocol.refuse(error, _within(path)[1])
        await _sent(send, refusal)
        return refusal.status
    made = problem(error)
    extra = [(b"retry-after", str(RETRY_SECONDS).encode())] if made.status == 503 else []
    await _send(send, made.status, msgspec.json.encode(made), "application/problem+json", extra)
    return made.status


async def _send(send: Send, status: int, body: bytes, media: str, extra: Sequence[tuple[bytes, bytes]] = ()) -> None:
    headers = [
        (b"content-type", media.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _bare(send: Send) -> Send:
    """Send an answer without its body; its headers speak of the body that there would be."""

    async def without(message: ASGI) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return without


def _headers(answer: Outgoing | Stream) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that comes piece by piece."""
    if isinstance(answer, Stream):
        return [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    return [*headers, (b"x-content-type-options", b"nosniff")]


async def _pour(answer: Outgoing, receive: Receive, send: Send) -> None:
    """Send bytes as they come. The first are waited for, so that an error can still be told."""
    chunks = answer.chunks
    first = await anext(chunks, b"")
    await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})

    async def pour() -> None:
        try:
            chunk = first
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await anext(chunks, b"")
        except MunimentError as error:  # too late to say so: that it ends early is what the other side will notice
            _log.error("an answer was cut short", error=error.message)
            return
        await send({"type": "http.response.body", "body": b""})

    await _while_there(pour(), receive)


async def _stream(answer: Stream, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _headers(answer)})

    async def pour() -> None:
        async for event in answer.events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    await _while_there(pour(), receive)


async def _while_there(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Do something for as long as the client is there: sending to one who has left does not fail."""
    pouring, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((pouring, leaving), return_when=asyncio.FIRST_COMPLETED)
        if pouring.done():
            pouring.result()
    finally:
        pouring.cancel()
        leaving.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
