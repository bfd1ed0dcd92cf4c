"""A real `muniment serve`, in a process of its own."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from benchmarks.machine import family, processor_seconds, resident
from benchmarks.starting import Started, free_port
from benchmarks.stores import Place

PROGRAM = "from muniment.cli import main; main()"


class _Seal(msgspec.Struct):
    number: int
    size: int


class _Seals(msgspec.Struct):
    seals: list[_Seal]


class Server(Started):
    """A served store.

    Args:
        place: the store.
        program: what the interpreter runs; an experiment may change something first.
        options: further options of `muniment serve`.
    """

    def __init__(self, place: Place, program: str = PROGRAM, options: Sequence[str] = ()) -> None:
        self.place = place
        port = free_port()
        arguments = ["serve", "--store", place.url, "--trust", str(place.trust), "--port", str(port), *options]
        super().__init__([sys.executable, "-c", program, *arguments], port, place.home.folder / "serve.log")

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
