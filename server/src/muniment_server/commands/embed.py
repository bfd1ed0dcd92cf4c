"""A store inside the calling program: the same application and routes, without a socket."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from muniment.transport import Answer, Opened
from muniment_server.annexes.keeper import Keeper
from muniment_server.api.app import Application
from muniment_server.api.doors import ROUTES
from muniment_server.services.workspace import Workspace

_PIECES = 8
"""Pieces of an answer that may wait to be read."""


async def _messages(body: Iterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """A body as the application receives it; reading it never holds up the loop."""
    while (chunk := await asyncio.to_thread(next, body, None)) is not None:
        yield {"type": "http.request", "body": chunk, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


class EmbeddedTransport:
    """Requests to a store opened in this process.

    Args:
        url: the store's URL.
    """

    def __init__(self, url: str) -> None:
        self._workspace = Workspace(url, artifacts=os.environ.get("MUNIMENT_ARTIFACTS"))
        self._keeper = Keeper(self._workspace)
        self._keeper.start()
        self._application = Application(self._workspace, ROUTES)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="muniment-embedded", daemon=True)
        self._thread.start()

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send one request and wait for its answer."""
        opened = self.open(method, target, headers, (body,) if body else ())
        return Answer(opened.status, opened.headers, b"".join(opened.chunks))

    def open(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes]) -> Opened:
        """Send one request piece by piece; its answer comes piece by piece too."""
        messages: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue()
        room = threading.Semaphore(_PIECES)
        task = asyncio.run_coroutine_threadsafe(
            self._run(method, target, headers, iter(body), messages, room), self._loop
        )
        first = messages.get()
        if isinstance(first, BaseException):
            raise first
        assert first is not None, "the application answers every request"
        received = {name.decode(): value.decode() for name, value in first["headers"]}

        def chunks() -> Iterator[bytes]:
            try:
                while (message := messages.get()) is not None:
                    if isinstance(message, BaseException):
                        raise message
                    room.release()
                    yield message.get("body", b"")
            finally:  # whoever stops reading is not waited for
                task.cancel()
                room.release()

        return Opened(first["status"], received, chunks())

    async def _run(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: Iterator[bytes],
        messages: queue.Queue[dict[str, Any] | BaseException | None],
        room: threading.Semaphore,
    ) -> None:
        parts = urlsplit(target)
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        incoming = _messages(body)

        async def receive() -> dict[str, Any]:
            async for message in incoming:
                return message
            await asyncio.Event().wait()  # who asks again waits for the client to leave
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body" and not room.acquire(blocking=False):
                await asyncio.to_thread(room.acquire)
            messages.put(message)

        try:
            await self._application(scope, receive, send)
        except BaseException as error:
            messages.put(error)
            raise
        messages.put(None)

    def close(self) -> None:
        """Seal, and give everything back."""
        self._keeper.stop()
        self._workspace.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def open_transport(url: str) -> EmbeddedTransport:
    """The transport for a store's URL. Called by the client through an entry point."""
    return EmbeddedTransport(url)
