"""The keeper: seals what was committed, publishes the seals, compacts what was sealed, forgets old receipts.

Of all processes on a store, the one that holds the lease does it; if it dies, another takes over when the lease ends.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from muniment.model.errors import MunimentError
from muniment.model.ids import new_id
from muniment.model.ledger import Seal
from muniment_server.segments.level1 import TARGET
from muniment_server.services.workspace import Workspace, now
from muniment_server.store import compaction, leases, projects, receipts, sealing, tiles

SEAL_SECONDS = 1.0
"""Between two looks at what is unsealed."""
LEASE_SECONDS = 5.0
"""After the death of a keeper, another takes over within this time."""
COMPACT_AFTER = timedelta(minutes=10)
"""Age at which points are compacted although they do not fill a segment."""
RECEIPT_DAYS = 1
"""Days for which an idempotency key is remembered."""
_LEASE = "keeper"

_log = structlog.get_logger()


class Keeper:
    """One process's candidate for keeping a store.

    Args:
        workspace: the opened store.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-6:]}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="muniment-keeper", daemon=True)
        self._expired_at = 0.0

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Seal what was committed, give the lease back and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self.turn()
            leases.give_back(self.workspace.store, _LEASE, self.holder)
        except (MunimentError, SQLAlchemyError, ValueError, OSError) as error:
            _log.warning("could not seal at the end; the next start will", error=str(error))

    def _run(self) -> None:
        while not self._stopping.wait(SEAL_SECONDS):
            try:
                self.turn()
            except (MunimentError, SQLAlchemyError, ValueError, OSError) as error:
                _log.error("keeper failed; it will try again", error=str(error))

    def turn(self) -> None:
        """One round, if this process holds the lease."""
        if leases.take(self.workspace.store, _LEASE, self.holder, now(), LEASE_SECONDS):
            try:
                seal(self.workspace)
            finally:  # what is sealed already can be compacted, even if the trust folder is out of order
                compact(self.workspace)
                self._expire()

    def _expire(self) -> None:
        if time.monotonic() - self._expired_at < 600:
            return
        self._expired_at = time.monotonic()
        with self.workspace.store.write() as connection:
            for number in projects.positions(connection):
                receipts.expire(connection, number, now() - timedelta(days=RECEIPT_DAYS))


def seal(workspace: Workspace) -> list[Seal]:
    """Seal everything that is committed, and publish; the seals that were made."""
    signer = sealing.Signer(workspace.trust.key, workspace.trust.sign)
    made: list[Seal] = []
    with workspace.store.read() as connection:
        goals = projects.positions(connection)  # what is committed meanwhile waits for the next turn
    while True:
        with workspace.store.read() as connection:
            waiting = sealing.unsealed(connection, goals)
            ids = projects.numbers(connection) if waiting else {}
            pending = [
                item
                for number in waiting
                if (item := sealing.prepare(connection, number, ids[number], goals[number])) is not None
            ]
        written = sealing.write(workspace.store, pending, signer, now()) if pending else []
        made.extend(written)
        if len(written) < len(pending) or all(item.size == goals[item.project_id] for item in pending):
            break
    publish(workspace)
    return made


def publish(workspace: Workspace) -> None:
    """Append to the checkpoints every seal that is not there yet."""
    after = workspace.trust.last_published()
    with workspace.store.read() as connection:
        if tiles.last_of_chain(connection)[0] <= after:
            return
        ids = projects.numbers(connection)
        fresh = [tiles.to_seal(row, ids[row.project_id]) for row in tiles.every_seal(connection, after, 1_000_000)]
    workspace.trust.publish(fresh)


def compact(workspace: Workspace, *, everything: bool = False) -> int:
    """Compact what is due, or everything that is sealed; how many segments were made."""
    made = 0
    with workspace.store.read() as connection:
        numbers = sorted(projects.positions(connection))
    for number in numbers:
        while _due(workspace, number, everything=everything):
            with workspace.store.read() as connection:
                planned = compaction.plan(connection, number)
            if planned is None or not compaction.swap(workspace.store, number, planned):
                break
            made += 1
    if made:
        workspace.store.reclaim()
    return made


def _due(workspace: Workspace, project_id: int, *, everything: bool) -> bool:
    with workspace.store.read() as connection:
        rows, points, oldest = compaction.pending(connection, project_id)
    if everything or oldest is None:
        return rows > 0
    return points >= TARGET or rows >= compaction.MANY_ENTRIES or (rows > 1 and now() - oldest > COMPACT_AFTER)
