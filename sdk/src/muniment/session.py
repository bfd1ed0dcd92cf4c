"""What a process has open to record and to ask: the client, and the spool that everything logged goes through."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from muniment.client import Client
from muniment.spool import layout
from muniment.spool.writer import Writer

if TYPE_CHECKING:
    from muniment.spool.sender import Route

LOGGER = logging.getLogger("muniment")
WATCH_SECONDS = 2.0
"""How often is looked whether the sender gets through."""
KINDS = 100
"""Kinds of trouble that are told; a program may have a new one with each step."""
_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """A store and project, and a writer for this process. A forked process gets a writer of its own.

    Entries go to the store by the sender's process, or by a thread of this process if the store is opened in it.

    Args:
        url: of the store.
        project: of the store.
    """

    def __init__(self, url: str, project: str) -> None:
        if url.startswith("sqlite:///"):  # whoever sends the rest later may be elsewhere
            url = "sqlite:///" + str(Path(url.removeprefix("sqlite:///")).absolute())
        self.url, self.project = url, project
        self.embedded = not url.startswith("http")
        self._client: Client | None = Client(url, project)
        self._told: set[str] = set()
        self._forked = False
        self._begin()
        _sessions.add(self)

    @property
    def client(self) -> Client:
        """The connection to ask by."""
        if self._client is None:  # in a forked process
            self._client = Client(self.url, self.project)
        return self._client

    def _begin(self) -> None:
        self.disk = layout.root()
        self.writer = Writer(self.url, self.project, self.disk, self.complain)
        self._lock = threading.RLock()  # a signal's handler may begin a run while one begins
        self._route: Route | None = None
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()
        self._refused = 0
        self._state = layout.GOING
        self._looking = threading.RLock()

    def complain(self, kind: str, line: str) -> None:
        """Say what is wrong, once for each kind."""
        if kind in self._told or len(self._told) > KINDS:
            return
        self._told.add(kind)
        if len(self._told) > KINDS:
            line = "there is more trouble than is told here"
        LOGGER.warning("muniment: %s", line)

    def command(self, command: msgspec.Struct) -> None:
        """Write a command into the spool."""
        self.writer.entry(layout.COMMAND, msgspec.json.encode(command))

    def start_sending(self) -> None:
        """Be sure that somebody brings what is logged to the store."""
        with self._lock:
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="muniment-watch", daemon=True)
                self._watcher.start()
            if self.embedded:
                if self._route is None and not self._forked:  # what a child logs is sent by its parent
                    from muniment.spool.sender import Route  # noqa: PLC0415

                    def accepts(name: str, about: layout.About) -> bool:
                        folder = self.disk / name
                        mine = name == self.writer.id or not layout.is_locked(folder / "lock")
                        return about.url == self.url and mine

                    self._route = Route(self.disk, accepts, self._client_of, lambda line: self.complain(line, line))
                    self._route.start()
                return
            from muniment.spool import process  # noqa: PLC0415

            try:
                process.ensure(self.disk)
            except OSError as error:
                self.complain("sender", f"the sender cannot be started ({error}); `muniment sync` sends what is logged")

    def _client_of(self, about: layout.About) -> Client:
        return self.client if about.project == self.project else self.client.of_project(about.project)

    def _watch(self) -> None:
        while not self._closed.wait(WATCH_SECONDS):
            if self._look().done < self.writer.committed:  # the sender may have been killed
                self.start_sending()

    def _look(self) -> layout.Sent:
        """See how far the sender is, and say what the user should know."""
        sent = layout.read_sent(self.writer.folders)
        with self._looking:
            self._tell(sent.state, sent.refused)
        return sent

    def _tell(self, state: int, refused: int) -> None:
        if state != self._state and state == layout.HELD:
            LOGGER.warning(
                "muniment: %s does not take what this process logs, so it waits in %s; sender.log there says why",
                _without_password(self.url), self.disk,
            )  # fmt: skip
        elif state != self._state and state == layout.AWAY:
            LOGGER.warning(
                "muniment: %s cannot be reached; what is logged waits in %s and is sent as soon as it can be, "
                "by itself or by `muniment sync`", _without_password(self.url), self.disk,
            )  # fmt: skip
        elif state != self._state:
            LOGGER.warning("muniment: %s is there again", _without_password(self.url))
        self._state = state
        if refused > self._refused:
            where = self.disk / "refused" / f"{self.writer.id}.ndjson"
            LOGGER.warning("muniment: the store refused %s: %s", _last_refusal(where), where)
            self._refused = refused

    def settle(self, seconds: float) -> bool:
        """Wait until the store has everything that this process has logged; whether it has.

        It is not waited for if the store cannot be reached.
        """
        if not self.writer.committed:
            return True
        if self.embedded and self._forked:
            return False
        goal = self.writer.hurry()
        until, since = time.monotonic() + seconds, layout.milliseconds()
        self.start_sending()
        if not self.embedded:
            from muniment.spool import process  # noqa: PLC0415

            process.nudge(self.disk)
        started = time.monotonic()
        while True:
            if self._route is not None:
                self._route.wake.set()
            sent = self._look()
            if sent.done >= goal or not any(folder.exists() for folder in self.writer.folders):
                return True
            now = time.monotonic()
            if now > until or (sent.state != layout.GOING and sent.time >= since):
                return False
            if not self.embedded and now - started > 1.0:
                self.start_sending()
                started = now
            time.sleep(0.005)

    def close(self, seconds: float = 10.0) -> None:
        """Wait for what was logged, and let go; what cannot be sent is left for the next sender."""
        self.settle(seconds)
        self._closed.set()
        self.writer.close()
        if self._route is not None:
            with suppress(OSError):
                self._route.round()  # the writer is done now, and is tidied away
            self._route.stop()
        if self._client is not None:
            self._client.close()

    def after_fork(self) -> None:
        """In a child: leave the parent's writer and threads to the parent."""
        for descriptor in self.writer.inherited():
            os.close(descriptor)
        self._client, self._forked = None, True
        self._begin()


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _last_refusal(path: Path) -> str:
    """What the last line of refused entries says."""
    try:
        last = msgspec.json.decode(path.read_bytes().splitlines()[-1])
        return str(last["detail"])[:300]
    except (OSError, IndexError, KeyError, msgspec.DecodeError):
        return "something"


def _after_fork() -> None:
    for session in list(_sessions):
        session.after_fork()


os.register_at_fork(after_in_child=_after_fork)
