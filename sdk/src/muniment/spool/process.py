"""The sender's process: ``python -m muniment.spool.process FOLDER``. One a machine and spool, whoever logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from muniment.client import Client
from muniment.spool import layout
from muniment.spool.sender import Route, writers

LINGER_SECONDS = 3.0
"""How long it stays when there is nothing to send."""
PATIENCE_SECONDS = 60.0
"""How long it tries to reach a store when nobody logs any more."""


_HURRY = "hurry"
_started: list[subprocess.Popen[bytes]] = []


def lock_paths(disk: Path) -> list[Path]:
    """The lock that the sender of this machine holds: on disk, or in memory if there is no room."""
    return [root / f"sender-{layout.host()}.lock" for root in layout.roots(disk)]


def nudge(disk: Path) -> None:
    """Let a sender that waits before its next try, because a store could not be reached, try now."""
    for root in layout.roots(disk):
        with suppress(OSError):
            (root / _HURRY).touch(mode=0o600)


def _asked(disk: Path) -> int:
    """When somebody was in a hurry last."""
    asked = 0
    for root in layout.roots(disk):
        with suppress(OSError):
            asked = max(asked, (root / _HURRY).stat().st_mtime_ns)
    return asked


def ensure(disk: Path) -> None:
    """Start the sender of a spool, unless there is one.

    Raises:
        OSError: it cannot be started.
    """
    if any(layout.is_locked(path) for path in lock_paths(disk) if layout.ours(path.parent)):
        return
    log = _log(disk)
    # found where this program finds it, but never in the folder that it happens to be in
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
    _started[:] = [sender for sender in _started if sender.poll() is None]  # one that has ended is no zombie
    try:
        started = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-P", "-m", "muniment.spool.process", str(disk)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
    finally:
        os.close(log)
    _started.append(started)


def main(folder: str) -> None:
    """Send until there is nothing left to send, or nobody to send it to."""
    disk = Path(folder)
    lock = locked(disk)
    if lock is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the program that logs
    here = layout.host()
    routes: dict[str, Route] = {}
    quiet, asked = time.monotonic(), _asked(disk)
    while True:
        before, asked = asked, _asked(disk)
        if asked != before:
            for route in routes.values():
                route.wake.set()
        waiting = writers(disk)
        for _, about in waiting.values():
            if about.url.startswith("http") and about.url not in routes:
                routes[about.url] = _route(disk, about.url, here)
        alive = any(layout.is_locked(place / "lock") for places, _ in waiting.values() for place in places)
        busy = any(
            route.failure is None and any(not letters.trouble for letters in list(route.letters.values()))
            for route in routes.values()
        )
        if alive or busy:
            quiet = time.monotonic()
        patience = PATIENCE_SECONDS if any(route.letters for route in routes.values()) else LINGER_SECONDS
        if time.monotonic() - quiet > patience:
            break
        time.sleep(0.1)
    for route in routes.values():
        route.stop()
    os.close(lock)


def _log(disk: Path) -> int:
    """Where the sender says what it has to say."""
    for root in layout.roots(disk):
        with suppress(OSError):
            path = layout.private(root) / "sender.log"
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def locked(disk: Path) -> int | None:
    """The sender's lock; tried for a moment, since who only looks at it has it for a moment too."""
    for path in lock_paths(disk):
        try:
            layout.private(path.parent)
            for _ in range(20):
                lock = layout.try_lock(path)
                if lock is not None:
                    return lock
                time.sleep(0.02)
        except OSError:
            continue
        return None
    return None


def _route(disk: Path, url: str, here: str) -> Route:
    def accepts(name: str, about: layout.About) -> bool:
        # what another machine still writes is read there, where its memory is the same
        places = [root / name for root in layout.roots(disk)]
        mine = about.host == here or not any(layout.is_locked(place / "lock") for place in places)
        return about.url == url and mine

    made = Route(disk, accepts, lambda about: Client(about.url, about.project), _say)
    made.start()
    return made


def _say(line: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), line, file=sys.stderr, flush=True)  # noqa: T201 - this is its log


if __name__ == "__main__":
    main(sys.argv[1])
