"""Programs that log, the senders that they start, and a real server to send to: all of them to kill at any moment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from robustness.server import Server, clean_environment

from muniment.client import Client
from muniment.model.run import RunData
from muniment.spool import layout
from muniment.spool.sender import writers

WAIT_SECONDS = 60.0
"""What has not come by then never will; the machine may be busy."""
QUICK = {"MUNIMENT_GATHER_SECONDS": "0.05", "MUNIMENT_FINISH_SECONDS": "60", "MUNIMENT_CAPTURE": "none"}


def until(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Wait for something, and say what never came."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


class Place:
    """A spool of its own, a store, and a port on which a server serves it, whenever one does.

    Args:
        folder: of the test.
        disk: of the spool, if it is not in the test's folder.
    """

    def __init__(self, folder: Path, disk: Path | None = None) -> None:
        self.folder, self.disk = folder, disk or folder / "spool"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = Server(
            f"sqlite:///{folder / 'store.db'}", folder / "trust", folder / "log", options=("--port", str(self.port))
        )
        self._programs: list[subprocess.Popen[str]] = []

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a program that logs here."""
        return clean_environment({"MUNIMENT_URL": self.url, "MUNIMENT_SPOOL": str(self.disk), **QUICK, **(more or {})})

    def program(self, code: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a program; what it prints is read from its pipes.

        Args:
            code: in Python.
            arguments: of the program.
            more: further variables of its environment.
        """
        made = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environment(more), cwd=self.folder,
        )  # fmt: skip
        self._programs.append(made)
        return made

    def run(self, code: str, *arguments: str, code_wanted: int = 0, **more: str) -> tuple[str, str]:
        """Run a program to its end; what it said."""
        made = self.program(code, *arguments, **more)
        out, err = made.communicate(timeout=WAIT_SECONDS)
        assert made.returncode == code_wanted, (made.returncode, out[-2000:], err[-4000:])
        return out, err

    def client(self) -> Client:
        """A connection to the server."""
        return Client(self.url)

    def senders(self) -> list[int]:
        """The senders of this spool that live."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
                if b"muniment.spool.process" in words and os.fsencode(self.disk) in words:
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def kill_senders(self) -> int:
        """`kill -9` to every sender of this spool; how many there were."""
        found = self.senders()
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return len(found)

    def wait_empty(self) -> None:
        """Wait until nothing waits here any more."""
        until(lambda: not writers(self.disk), f"the end of {self.disk}")

    def refused(self) -> list[str]:
        """The lines of what the store has refused."""
        return [line for path in self.disk.glob("refused/*.ndjson") for line in path.read_text().splitlines()]

    def log(self) -> str:
        """What the sender has said."""
        path = self.disk / "sender.log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """Leave nothing behind."""
        for made in self._programs:
            made.kill()
            made.communicate()
        until(lambda: not self.kill_senders(), "the end of the senders")
        self.server.close()
        memory = layout.memory_root(self.disk)
        if memory is not None:
            shutil.rmtree(memory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def counts(found: RunData) -> dict[str, int]:
    """Points of each metric that the store has received."""
    return {name: summary.count for name, summary in found.metrics.items()}


def steps(client: Client, run: str, metric: str) -> list[int]:
    """The steps of one series, every page of it."""
    found: list[int] = []
    page: str | None = None
    while True:
        part = client.series(run, metric, page=page)
        assert isinstance(part.step, bytes)
        found += memoryview(part.step).cast("q").tolist()
        page = part.next
        if page is None:
            return found


def run_of(said: str) -> str:
    """The run that a program has said it records."""
    found = re.search(r"run ([0-9a-f]{32})", said)
    assert found is not None, said
    return found[1]
