"""Uploads and downloads over real sockets: what lies in the folder of a server's artifacts, and what became of it."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from muniment.model.ids import new_id
from robustness.server import DEFAULT, Reply, Server, head_of

MIB = 2**20
SECONDS = 15.0
"""In which a server has noticed what happened to it."""


@dataclass
class Place:
    """A server, and a run to have artifacts."""

    server: Server

    @cached_property
    def run(self) -> str:
        """The run."""
        with self.server.wire() as wire:
            wire.post(f"{DEFAULT}/experiments", {"name": "uploads"})
            return str(wire.post(f"{DEFAULT}/runs", {"experiment": "uploads", "id": new_id()})["id"])

    @property
    def folder(self) -> Path:
        """Where the bytes lie."""
        return Path(unquote(urlsplit(self.server.events("serving")[-1]["artifacts"]).path))

    def files(self) -> list[Path]:
        """Everything in the folder."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def at(self, path: str) -> str:
        """The target of an artifact of the run."""
        return f"{DEFAULT}/records/{self.run}/artifacts/{quote(path)}"

    def listed(self) -> dict[str, dict[str, Any]]:
        """The run's artifacts by path."""
        with self.server.wire() as wire:
            found = wire.get(f"{DEFAULT}/records/{self.run}/artifacts")["artifacts"]
        return {item["path"]: item["artifact"] for item in found}

    def under_way(self) -> int:
        """How many uploads have begun and not ended."""
        return int(self.collect(dry_run=True)["abandoned"])

    def collect(self, **given: Any) -> dict[str, Any]:
        """Collect whatever nobody refers to, however young."""
        with self.server.wire() as wire:
            return dict(wire.post(f"{DEFAULT}/artifacts/collect", {"older_than": 0, **given}))

    def send(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; several pieces go as chunks unless their length is said."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def put(self, path: str, body: bytes | Iterable[bytes]) -> dict[str, Any]:
        """Upload what must be taken; the artifact that it became."""
        reply = self.send("PUT", self.at(path), body)
        assert reply.status == 200, reply
        return dict(reply.json()["artifact"])

    def begin(self, target: str, *headers: str, method: str = "PUT") -> socket.socket:
        """A connection on which a request was begun: its headers are sent."""
        made = socket.create_connection(("127.0.0.1", self.server.port), timeout=SECONDS)
        made.sendall("\r\n".join((f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")).encode())
        return made

    @contextmanager
    def nothing_stays(self) -> Iterator[None]:
        """Whatever is done within, in the end no file, no upload and no entry of the history is more than before."""
        assert self.run  # it is made when it is first needed, which must not be later
        before = self._state()
        yield
        wait_until(lambda: self._state() == before, lambda: f"{before} became {self._state()}")
        assert "Traceback" not in self.server.said(), self.server.said()[-3000:]

    def _state(self) -> tuple[list[Path], int, int, dict[str, dict[str, Any]]]:
        with self.server.wire() as wire:
            head = head_of(wire)
        return self.files(), self.under_way(), head, self.listed()

    def memory(self, name: str) -> int:
        """Bytes of memory that the server has (``VmRSS``), or had at the most (``VmHWM``)."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> int:
        """Let the most that the server ever had be what it has now; how much this is."""
        Path(f"/proc/{self.server.pid}/clear_refs").write_text("5")
        return self.memory("VmRSS")

    def reading(self) -> list[Path]:
        """Artifacts that the server has open."""
        opened = []
        for handle in Path(f"/proc/{self.server.pid}/fd").iterdir():
            try:
                target = handle.readlink()
            except FileNotFoundError:
                continue  # it was closed meanwhile
            if target.is_relative_to(self.folder):
                opened.append(target)
        return opened


def wait_until(condition: Callable[[], bool], what: Callable[[], str], seconds: float = SECONDS) -> None:
    """Wait for something that happens soon."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def pieces(count: int, seed: bytes = b"") -> Iterator[bytes]:
    """So many different mebibytes, the same at every call."""
    for number in range(count):
        yield hashlib.sha256(seed + number.to_bytes(4, "big")).digest() * (MIB // 32)


def digest_of(parts: Iterable[bytes]) -> str:
    """What identifies bytes."""
    made = hashlib.sha256()
    for part in parts:
        made.update(part)
    return f"sha256:{made.hexdigest()}"
