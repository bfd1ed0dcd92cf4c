"""A real `muniment serve`, in a process of its own."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.machine import family, processor_seconds, resident
from benchmarks.stores import Place

START_SECONDS = 60.0
PROGRAM = "from muniment.cli import main; main()"


class _Seal(msgspec.Struct):
    number: int
    size: int


class _Seals(msgspec.Struct):
    seals: list[_Seal]


class Server:
    """A served store.

    Args:
        place: the store.
        program: what the interpreter runs; an experiment may change something first.
        options: further options of `muniment serve`.
    """

    def __init__(self, place: Place, program: str = PROGRAM, options: Sequence[str] = ()) -> None:
        self.place = place
        self.port = free_port()
        arguments = ["serve", "--store", place.url, "--trust", str(place.trust), "--port", str(self.port), *options]
        self._log = (place.home.folder / "serve.log").open("ab")
        self.process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=self._log, stderr=self._log)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def memory(self) -> dict[str, float]:
        """MiB resident, of all its processes."""
        found = [each for pid in family(self.process.pid) if (each := resident(pid))]
        return {name: sum(each[name] for each in found) for name in ("now", "peak")} if found else {}

    @property
    def processor(self) -> float:
        """Seconds of processor time used so far, which other work on the machine disturbs less than the clock."""
        return sum(map(processor_seconds, family(self.process.pid)))

    def call(self, method: str, path: str, body: object = None) -> object:
        """One request outside of what is measured."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        raw = None if body is None else msgspec.json.encode(body)
        connection.request(method, path, raw, {} if raw is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {content[:300]!r}")
        return msgspec.json.decode(content)

    def sealed(self, project: str, position: int, seconds: float = 120.0) -> float:
        """Wait until seals cover a position; the moment at which they did, on the monotonic clock."""
        deadline = time.perf_counter() + seconds
        after = 0
        while time.perf_counter() < deadline:
            answer = self.call("GET", f"/v1/projects/{project}/seals?after={after}")
            for seal in msgspec.convert(answer, _Seals).seals:
                after = max(after, seal.number)
                if seal.size >= position:
                    return time.perf_counter()
            time.sleep(0.02)
        raise RuntimeError(f"{project} was not sealed up to {position} within {seconds:.0f} seconds")

    def stop(self) -> None:
        """End the server as an operator would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("the server ended before it served; see its log")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 0.2):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server did not start in time")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
