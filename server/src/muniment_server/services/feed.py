"""Waiting for news: who long-polls or streams a project's changes is woken by the next commit.

Commits of this process wake at once; those of another process are noticed by looking at the head now and then.
"""

from __future__ import annotations

import asyncio
import threading
import time

from muniment_server.store import heads
from muniment_server.store.engine import Store

POLL_SECONDS = 0.25
"""How often the head is looked at for commits of other processes."""


class Feed:
    """Positions as they advance."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()  # a signal may close the feed while this very thread holds it
        self._positions: dict[int, int] = {}
        self._waiting: dict[int, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self.closed = False

    def announce(self, project_id: int, position: int) -> None:
        """A commit of this process. Called on the writer's thread."""
        with self._lock:
            self._positions[project_id] = max(position, self._positions.get(project_id, 0))
            waiting = list(self._waiting.get(project_id, ()))
        for loop, event in waiting:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # that loop is gone, and so is whoever waited
                continue

    def close(self) -> None:
        """Wake everybody; nothing will come any more."""
        self.closed = True
        for project_id in list(self._waiting):
            self.announce(project_id, 0)

    async def beyond(self, project_id: int, position: int, seconds: float) -> bool:
        """Wait until the project has a position greater than this one, at most `seconds`; whether it has."""
        deadline = time.monotonic() + seconds
        event = asyncio.Event()
        registration = (asyncio.get_running_loop(), event)
        with self._lock:
            self._waiting.setdefault(project_id, set()).add(registration)
        try:
            while not self.closed:
                if await self._position(project_id) > position:
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                event.clear()
                try:
                    await asyncio.wait_for(event.wait(), min(left, POLL_SECONDS))
                except TimeoutError:
                    continue
            return False
        finally:
            with self._lock:
                self._waiting[project_id].discard(registration)

    async def _position(self, project_id: int) -> int:
        def look() -> int:
            with self._store.read() as connection:
                return heads.read(connection, project_id).position

        return await asyncio.to_thread(look)
