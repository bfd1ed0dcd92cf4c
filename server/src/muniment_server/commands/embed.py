"""A store inside the calling program: the same application and routes, without a socket."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from urllib.parse import urlsplit

from muniment.transport import Answer
from muniment_server.annexes.keeper import Keeper
from muniment_server.api.app import Application
from muniment_server.api.doors import ROUTES
from muniment_server.services.workspace import Workspace


class EmbeddedTransport:
    """Requests to a store opened in this process.

    Args:
        url: the store's URL.
    """

    def __init__(self, url: str) -> None:
        self._workspace = Workspace(url)
        self._keeper = Keeper(self._workspace)
        self._keeper.start()
        self._application = Application(self._workspace, ROUTES)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="muniment-embedded", daemon=True)
        self._thread.start()

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send one request and wait for its answer."""
        return asyncio.run_coroutine_threadsafe(self._request(method, target, headers, body), self._loop).result()

    async def _request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        status, received, chunks = 0, {}, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, received
            if message["type"] == "http.response.start":
                status = message["status"]
                received = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                chunks.append(message.get("body", b""))

        await self._application(scope, receive, send)
        return Answer(status, received, b"".join(chunks))

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
