"""The processes of one measurement, found by a word in their environment, however they were started."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.hands.driver import TOKEN
from benchmarks.machine import processor_seconds

_PAUSE = 0.1
_LOOKS = 3
"""A process is asked so often whether it is marked: between fork and exec it still has its parent's environment."""


class Watch:
    """Looks every 100 ms what processor time the marked processes have used, so that what ended is counted too.

    Args:
        token: the word.
    """

    def __init__(self, token: str) -> None:
        self._word = f"{TOKEN}={token}".encode()
        self._marked: set[int] = set()
        self._looks: dict[int, int] = {}
        self._used: dict[int, float] = {}
        self._moments: list[tuple[float, dict[int, float]]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def alive(self) -> list[int]:
        """The marked processes that have not ended."""
        seen = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
        with self._lock:
            self._marked &= seen
            self._looks = {pid: looks for pid, looks in self._looks.items() if pid in seen}
            for pid in seen - self._marked:
                looks = self._looks.get(pid, 0)
                if looks < _LOOKS:
                    self._looks[pid] = looks + 1
                    if self._is_marked(pid):
                        self._marked.add(pid)
            return [pid for pid in self._marked if _runs(pid)]

    def processor(self, *, without: int = 0, since: float = 0.0) -> float:
        """Seconds of processor time of all of them, except one, since a moment of the monotonic clock."""
        before = next((used for moment, used in reversed(self._moments) if moment <= since), {})
        return sum(used - before.get(pid, 0.0) for pid, used in self._used.items() if pid != without)

    def wait(self, seconds: float) -> bool:
        """Wait until they have ended; whether they have."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def stop(self) -> None:
        """End those that are left."""
        for what, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            for pid in self.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, what)
            if self.wait(patience):
                return

    def _go_on(self) -> None:
        while not self._ended.wait(_PAUSE):
            for pid in self.alive():
                self._used[pid] = max(self._used.get(pid, 0.0), processor_seconds(pid))
            self._moments.append((time.monotonic(), dict(self._used)))

    def _is_marked(self, pid: int) -> bool:
        try:
            return self._word in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False


def _runs(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
