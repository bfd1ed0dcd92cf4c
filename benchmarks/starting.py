"""A server in a process of its own, for as long as a block of code."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_SECONDS = 120.0


class Started(ABC):
    """A process that serves HTTP on this machine, and says at /health that it does.

    Args:
        command: what is run.
        port: on which it serves.
        log: the file that takes what it says.
        **how: further arguments of `subprocess.Popen`.
    """

    def __init__(self, command: Sequence[str], port: int, log: Path, **how: Any) -> None:
        self.port = port
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, **how)
        try:
            self._wait(log)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """End all its processes."""

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
            else:
                return
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise RuntimeError(f"the server did not start: {' '.join(said[-3:])[-600:]}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
