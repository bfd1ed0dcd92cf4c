"""A store inside the calling program: the same application and routes, without a socket."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from muniment.model.errors import Unavailable
from muniment.transport import Answer, Opened
from muniment_server.annexes.keeper import Keeper
from muniment_server.api.app import Application
from muniment_server.api.doors import ROUTES
from muniment_server.services.workspace import Workspace

_PIECES = 8
"""Pieces of an answer that may wait to be read."""
_SENDERS = 64
"""Bodies that are read at a time."""
_Message = dict[str, Any] | BaseException | None
P = ParamSpec("P")
T = TypeVar("T")


class _Threads(ThreadPoolExecutor):
    """Threads that still take work while the program ends.

    Runs that the program has not ended itself are ended then, and the standard library's threads take no more by then.
    """

    _ended = False

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more."""
        self._ended = True  # `_shutdown` is also set by threads that see the program end
        super().shutdown(wait, cancel_futures=cancel_futures)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do something in a thread."""
        try:
            return super().submit(function, *args, **kwargs)
        except RuntimeError:
            if self._ended:
                raise
        made: Future[T] = Future()

        def work() -> None:
            try:
                made.set_result(function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                made.set_exception(error)

        threading.Thread(target=work, name="muniment-embedded-late", daemon=True).start()
        return made


class _Request:
    """One request under way: what was answered so far, and how much more may wait."""

    def __init__(self, body: Iterator[bytes]) -> None:
        self.body = body
        self.messages: queue.Queue[_Message] = queue.Queue()
        self.room = asyncio.Semaphore(_PIECES)
        self.failure: BaseException | None = None
        """What the caller's own body raised."""

    def next_piece(self) -> bytes | None:
        """The next piece of the body; None at its end."""
        try:
            return next(self.body, None)
        except BaseException as error:
            self.failure = error
            raise


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
        self._senders = _Threads(_SENDERS, "muniment-embedded-body")  # the loop's own serves the store
        self._open: dict[asyncio.Task[None], _Request] = {}
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_Threads(thread_name_prefix="muniment-embedded-store"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="muniment-embedded", daemon=True)
        self._thread.start()

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send one request and wait for its answer."""
        opened = self.open(method, target, headers, (body,) if body else ())
        return Answer(opened.status, opened.headers, b"".join(opened.chunks))

    def open(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes]) -> Opened:
        """Send one request piece by piece; its answer comes piece by piece too."""
        request = _Request(iter(body))
        task = asyncio.run_coroutine_threadsafe(self._run(method, target, headers, request), self._loop)
        first = request.messages.get()
        if request.failure is not None:
            raise request.failure
        if isinstance(first, BaseException):
            raise first
        assert first is not None, "the application answers every request"
        received = {name.decode(): value.decode() for name, value in first["headers"]}

        def chunks() -> Iterator[bytes]:
            try:
                while (message := request.messages.get()) is not None:
                    if isinstance(message, BaseException):
                        raise message
                    self._tell(request.room.release)
                    yield message.get("body", b"")
            finally:  # whoever stops reading is not waited for
                self._tell(task.cancel)

        return Opened(first["status"], received, chunks())

    def _tell(self, what: Callable[[], object]) -> None:
        """Do something on the loop, unless it is closed and nothing needs to be told any more."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    async def _messages(self, request: _Request) -> AsyncIterator[dict[str, Any]]:
        """A body as the application receives it; reading it never holds up the loop."""
        while (piece := await self._loop.run_in_executor(self._senders, request.next_piece)) is not None:
            yield {"type": "http.request", "body": piece, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    async def _run(self, method: str, target: str, headers: dict[str, str], request: _Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = request
        try:
            await self._answered(method, target, headers, request)
        except asyncio.CancelledError:
            request.messages.put(Unavailable("the store was closed before it had answered"))
            raise
        except BaseException as error:
            request.messages.put(error)
            raise
        finally:
            del self._open[task]
        request.messages.put(None)

    async def _answered(self, method: str, target: str, headers: dict[str, str], request: _Request) -> None:
        parts = urlsplit(target)
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        incoming = self._messages(request)

        async def receive() -> dict[str, Any]:
            async for message in incoming:
                return message
            await asyncio.Event().wait()  # who asks again waits for the client to leave
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await request.room.acquire()
            request.messages.put(message)

        await self._application(scope, receive, send)

    def close(self) -> None:
        """Seal, and give everything back; an answer that is still being read ends with an error."""
        if self._loop.is_closed():
            return

        async def give_up() -> None:
            waiting = list(self._open)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(give_up(), self._loop).result()
        self._keeper.stop()
        self._workspace.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._senders.shutdown(wait=False, cancel_futures=True)
        self._loop.close()


def open_transport(url: str) -> EmbeddedTransport:
    """The transport for a store's URL. Called by the client through an entry point."""
    return EmbeddedTransport(url)
