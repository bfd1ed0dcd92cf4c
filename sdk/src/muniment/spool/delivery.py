"""Bringing everything that a spool holds to the store now, and saying what came of it: what `muniment sync` does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from muniment.client import Client
from muniment.spool import layout, process
from muniment.spool.reader import Damaged, Reader
from muniment.spool.sender import Route, writers

LOOK_SECONDS = 0.1


class Waiting(msgspec.Struct, frozen=True):
    """What one writer has logged that the store does not have yet.

    Attributes:
        writer: its id.
        url, project: where it goes.
        program, host, pid: who wrote it.
        alive: whether it still writes.
        left: slots of 32 bytes; a point is one.
        refused: entries that the store has refused; they are kept.
        trouble: why it cannot be read.
    """

    writer: str
    url: str
    project: str
    program: str
    host: str
    pid: int
    alive: bool
    left: int
    refused: int
    trouble: str | None = None


def waiting(disk: Path) -> list[Waiting]:
    """What waits in a spool."""
    found = []
    for name, (places, about) in sorted(writers(disk).items()):
        sent = layout.read_sent(places)
        trouble, left = None, 0
        try:
            reader = Reader(places)
            left = max(0, reader.extent()[0] - sent.done)
            reader.check()
        except (Damaged, OSError) as error:
            trouble = str(error)
        alive = any(layout.is_locked(place / "lock") for place in places)
        found.append(
            Waiting(
                name, about.url, about.project, about.program, about.host, about.pid, alive, left, sent.refused, trouble
            )
        )
    return found


class Delivered(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        brought: slots that the store has now and did not have before.
        left: what still waits.
        refused: the files in which lies what stores have refused.
        failures: why a store could not be reached, by URL.
    """

    brought: int
    left: list[Waiting]
    refused: list[str]
    failures: dict[str, str]


def deliver(disk: Path, report: Callable[[int, int], None]) -> Delivered:
    """Bring everything that is there, and come back when it is, or when no store can be reached.

    A sender that is at work already is left to it, and watched.

    Args:
        disk: the spool's folder.
        report: hears how many slots of how many are brought.
    """
    total = sum(item.left for item in waiting(disk))
    report(0, total)
    lock = process.locked(disk)
    if lock is None:
        failures = _watched(disk, total, report)
    else:
        try:
            failures = _brought(disk, total, report)
        finally:
            os.close(lock)
    left = [item for item in waiting(disk) if item.left or item.trouble]
    refused = sorted(str(path) for path in (disk / "refused").glob("*.ndjson"))
    return Delivered(max(0, total - sum(item.left for item in left)), left, refused, failures)


def _brought(disk: Path, total: int, report: Callable[[int, int], None]) -> dict[str, str]:
    """Bring it by routes of our own."""
    routes: dict[str, Route] = {}
    for _, about in writers(disk).values():
        if about.url not in routes:
            routes[about.url] = Route(
                disk, _accepting(about.url), lambda about: Client(about.url, about.project), lambda _: None
            )
    for route in routes.values():
        route.round(every=True)
        report(min(total, total - sum(item.left for item in waiting(disk))), total)
    return {url: route.failure for url, route in routes.items() if route.failure is not None}


def _accepting(url: str) -> Callable[[str, layout.About], bool]:
    return lambda _, about: about.url == url


def _watched(disk: Path, total: int, report: Callable[[int, int], None]) -> dict[str, str]:
    """Wait for the sender that is at work, which tries now even if it has just failed."""
    since = layout.milliseconds()
    process.nudge(disk)
    while True:
        found = waiting(disk)
        left = sum(item.left for item in found if not item.trouble)
        report(max(0, total - left), total)
        said = [layout.read_sent([root / item.writer for root in layout.roots(disk)]) for item in found if item.left]
        if not left or (said and all(sent.state != layout.GOING and sent.time >= since for sent in said)):
            return {item.url: "the sender at work cannot reach it" for item in found if item.left}
        if not any(layout.is_locked(path) for path in process.lock_paths(disk)):
            return {}
        time.sleep(LOOK_SECONDS)
