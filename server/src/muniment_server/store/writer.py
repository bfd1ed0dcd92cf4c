"""The writer: gathers the waiting writes of each project and commits them together.

Nobody waits for a timer: the next group is whatever arrived while the last one was being committed. SQLite has one
writer thread, PostgreSQL one for each of a few projects at a time; a project is never written by two at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import structlog

from muniment.model.errors import Conflict, MunimentError, Unavailable
from muniment_server.store import heads, repeats
from muniment_server.store.engine import PROJECT_WRITERS, Store, is_integrity_error
from muniment_server.store.group import Withdrawn, Write, apply
from muniment_server.store.held import Memory
from muniment_server.store.repeats import Unread
from muniment_server.store.transaction import Transaction

GROUP_LIMIT = 256
"""Writes in one transaction."""
QUEUE_LIMIT = 20_000
"""Writes that may wait; beyond that the store answers that it is busy."""

_log = structlog.get_logger()
T = TypeVar("T")


class Ticket:
    """A waiting write and whoever waits for it, on a thread or on an event loop."""

    __slots__ = ("answer", "error", "future", "loop", "write")

    def __init__(self, write: Write[Any], loop: asyncio.AbstractEventLoop | None) -> None:
        self.write = write
        self.loop = loop
        self.future: Any = Future() if loop is None else loop.create_future()
        self.answer: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Hand the outcome over; on the loop's own thread if there is one."""
        if self.future.done():  # whoever waited has gone away
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)


def _settle(tickets: Sequence[Ticket]) -> None:
    for ticket in tickets:
        ticket.settle()


class Writer:
    """The only way to write to a store.

    Args:
        store: where to.
        on_commit: called after each commit with (project number, position), on the writer's thread.
    """

    def __init__(self, store: Store, on_commit: Callable[[int, int], None]) -> None:
        self.store = store
        self.on_commit = on_commit
        self.groups = 0
        self.writes = 0
        self._waiting: dict[int, deque[Ticket]] = {}
        self._ready: deque[int] = deque()
        self._busy: set[int] = set()
        self._count = 0
        self._memories: dict[int, Memory] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"muniment-writer-{number}", daemon=True)
            for number in range(1 if store.is_sqlite else PROJECT_WRITERS)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Writes that wait for their turn."""
        return self._count

    def write(self, write: Write[T]) -> T:
        """Write, and wait for the commit. For threads."""
        while True:
            ticket = Ticket(write, None)
            self._enqueue(ticket)
            try:
                return cast("T", ticket.future.result())
            except Unread as unread:
                self._look_up(write, unread)

    async def write_async(self, write: Write[T]) -> T:
        """Write, and wait for the commit. For event loops."""
        while True:
            ticket = Ticket(write, asyncio.get_running_loop())
            self._enqueue(ticket)
            try:
                return cast("T", await ticket.future)
            except Unread as unread:
                await asyncio.to_thread(self._look_up, write, unread)

    def _look_up(self, write: Write[Any], unread: Unread) -> None:
        with self.store.read() as connection:
            repeats.look_up(connection, write.project_id, unread, write.read)

    def close(self) -> None:
        """Commit what waits, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _enqueue(self, ticket: Ticket) -> None:
        project_id = ticket.write.project_id
        with self._changed:
            if self._closing:
                raise Unavailable("the store is being closed; try again in a moment")
            if self._count >= QUEUE_LIMIT:
                raise Unavailable(f"{self._count:,} writes are waiting already; try again in a moment")
            self._waiting.setdefault(project_id, deque()).append(ticket)
            self._count += 1
            if project_id not in self._busy and len(self._waiting[project_id]) == 1:
                self._ready.append(project_id)
                self._changed.notify()

    def _next(self) -> tuple[int, list[Ticket]] | None:
        """The next project with all that waits for it; None when closing and all is written."""
        with self._changed:
            while not self._ready:
                if self._closing and self._count == 0:
                    return None
                self._changed.wait(1.0 if self._closing else None)
            project_id = self._ready.popleft()
            self._busy.add(project_id)
            queue = self._waiting[project_id]
            tickets = [queue.popleft()]
            while queue and len(tickets) < GROUP_LIMIT and not (tickets[-1].write.alone or queue[0].write.alone):
                tickets.append(queue.popleft())
            self._count -= len(tickets)
            return project_id, tickets

    def _done(self, project_id: int) -> None:
        with self._changed:
            self._busy.discard(project_id)
            if self._waiting[project_id]:
                self._ready.append(project_id)
            else:
                del self._waiting[project_id]
            self._changed.notify_all()

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            project_id, tickets = taken
            try:
                self._commit(project_id, tickets)
            finally:
                self._done(project_id)
                self._hand_over(tickets)

    def _hand_over(self, tickets: list[Ticket]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Ticket]] = {}
        for ticket in tickets:
            by_loop.setdefault(ticket.loop, []).append(ticket)
        for loop, group in by_loop.items():
            if loop is None:
                _settle(group)
            else:
                try:
                    loop.call_soon_threadsafe(_settle, group)
                except RuntimeError:  # the loop is closed and nobody waits any more
                    _log.warning("answer dropped", writes=len(group))

    def _commit(self, project_id: int, tickets: list[Ticket]) -> None:
        """Commit the writes together; if the database refuses one, each on its own."""
        try:
            self._transact(project_id, tickets)
        except MunimentError as error:
            self._fail(tickets, error)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, whoever waits must hear of it
            if len(tickets) > 1:
                self._one_by_one(project_id, tickets)
            elif is_integrity_error(error):
                _log.warning("write refused by the database", action=tickets[0].write.action, error=str(error))
                refusal = Conflict("the database refused this write; it contradicts what is recorded")
                self._fail(tickets, refusal)
            else:
                _log.exception("write failed", project=project_id, action=tickets[0].write.action)
                self._fail(tickets, error)

    def _one_by_one(self, project_id: int, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            self._commit(project_id, [ticket])

    def _fail(self, tickets: list[Ticket], error: BaseException) -> None:
        for ticket in tickets:
            ticket.answer, ticket.error = None, error

    def _transact(self, project_id: int, tickets: list[Ticket]) -> None:
        memory = self._memories.setdefault(project_id, Memory())
        # of many, the time of a look lets more come together
        if not self.store.is_sqlite and len(tickets) == 1 and memory.trusts():
            try:
                self._attempt(project_id, tickets, memory, trusting=True)
            except Exception as error:
                if not heads.is_stale(error):
                    raise
                memory.disproved()
            else:
                memory.proved()
                return
        self._attempt(project_id, tickets, memory, trusting=False)

    def _attempt(self, project_id: int, tickets: list[Ticket], memory: Memory, *, trusting: bool) -> None:
        now = datetime.fromtimestamp(time.time(), tz=UTC)
        with self.store.write() as connection:
            transaction = Transaction(connection, project_id, memory, now, trusting=trusting)
            for ticket in tickets:
                try:
                    ticket.answer, ticket.error = apply(transaction, ticket.write), None
                except (MunimentError, Unread, Withdrawn) as error:
                    ticket.answer, ticket.error = None, error
            transaction.prove()
            with self.store.at_once(connection):
                transaction.flush()
        transaction.remember()
        self.groups += 1
        self.writes += len(tickets)
        self.on_commit(project_id, transaction.head.position)
