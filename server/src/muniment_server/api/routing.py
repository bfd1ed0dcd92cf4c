"""What a route declares. The same table feeds the application, the OpenAPI document and the test of access."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal, TypeVar

import msgspec

from muniment.model.errors import InvalidInput, MunimentError
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store.receipts import Receipt, receipt

T = TypeVar("T")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Call(msgspec.Struct, frozen=True):
    """One request, decoded: what a handler is given."""

    workspace: Workspace
    scope: Scope
    path: dict[str, str]
    query: Any
    body: Any
    receipt: Receipt | None
    packed: bool
    """Whether the answer will be MessagePack."""
    headers: dict[str, str]
    """Of the request, by lower-case name."""

    @property
    def project(self) -> str:
        """The project in the path."""
        return self.path["project"]

    async def commit(self, change: Change[T]) -> T:
        """Carry out a prepared write, and wait until it is durable."""
        return await self.workspace.writer.write_async(change)


class Sent(msgspec.Struct, frozen=True):
    """An answer that is ready as it is: its status, body and headers."""

    status: int
    body: bytes
    media: str = "application/json"
    headers: dict[str, str] = {}


class Protocol(msgspec.Struct, frozen=True):
    """A foreign protocol: where its paths begin, and how it tells errors.

    Its routes are for the project `default`, and for another one behind ``/p/{project}``.
    """

    prefixes: tuple[str, ...]
    refuse: Callable[[MunimentError, str], Sent]
    """What is answered where an error came up at a path, which begins with one of the prefixes."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation."""

    method: Method
    path: str
    handler: Callable[[Call], Awaitable[Any]]
    permission: Permission
    answer: Any
    """The type of the answer."""
    body: Any = None
    """The type of the request's body, if it has one."""
    takes: tuple[str, ...] = ("*/*",)
    """The media types of a body that is taken as it comes."""
    query: type[msgspec.Struct | list[Any]] | None = None
    status: int = 200
    media: str = "application/json"
    protocol: Protocol | None = None
    """Of a foreign door: its handlers are given the body as bytes (`body` is ``bytes``) and the query as pairs
    (`query` is ``list``), read them in their own way, and answer with `Sent`."""
    twin: bool = False
    """Whether the same handler has another path already."""

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.handler.__name__

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]


class Incoming(msgspec.Struct, frozen=True):
    """A request's body that is taken as it comes, of any length: the bytes of an artifact."""

    chunks: AsyncIterator[bytes]
    media: str | None
    """Its ``Content-Type``."""


class Outgoing(msgspec.Struct, frozen=True):
    """An answer that is bytes as they come.

    Attributes:
        chunks: the bytes.
        status: 200, 206 or 304.
        headers: besides those that every answer has; ``content-length`` is one of them.
    """

    chunks: AsyncIterator[bytes]
    status: int
    headers: dict[str, str]


class Plain(msgspec.Struct, frozen=True):
    """An answer that is text as it is."""

    text: str
    media: str = "text/plain; charset=utf-8"


class Stream(msgspec.Struct, frozen=True):
    """An answer that goes on: server-sent events."""

    events: AsyncIterator[bytes]


KEY_LIMIT = 200
"""Characters in an idempotency key."""


def receipt_for(key: str | None, scope: Scope, route: Route, path: str, body: bytes) -> Receipt | None:
    """The receipt of a request that carries an idempotency key.

    Raises:
        InvalidInput: the key is not acceptable.
    """
    if key is None:
        return None
    if not 0 < len(key) <= KEY_LIMIT or not key.isprintable():
        raise InvalidInput(f"Idempotency-Key must be 1 to {KEY_LIMIT} printable characters", field="Idempotency-Key")
    return receipt(scope.principal, f"{route.method} {path}", key, body, route.answer)
