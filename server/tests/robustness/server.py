"""A real `muniment serve` in a process of its own, to kill, stop and start again, and the wire to speak to it.

Nothing here retries: whoever sends a request sees what happened to it, a lost connection included.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec

from muniment.model.ledger import Verification

SCRIPT = Path(sysconfig.get_path("scripts")) / "muniment"
START_SECONDS = 30.0
"""A server that is not ready by then never will be."""
STOP_SECONDS = 20.0
JSON = "application/json"
MSGPACK = "application/msgpack"
DEFAULT = "/v1/projects/default"

_LAUNCHER = """
import importlib, sys
for setting in sys.argv[1].split(","):
    if setting:
        place, _, value = setting.partition("=")
        module, _, name = place.partition(":")
        setattr(importlib.import_module(module), name, float(value) if "." in value else int(value))
del sys.argv[1]
from muniment.cli import main
main()
"""
"""The console script, with some of the program's constants changed first, so that a short test sees every job done."""

QUICK_KEEPER = (
    "muniment_server.annexes.keeper:SEAL_SECONDS=0.03",
    "muniment_server.annexes.keeper:LEASE_SECONDS=0.3",
    "muniment_server.annexes.keeper:TARGET=600",
    "muniment_server.segments.level1:TARGET=600",
    "muniment_server.store.compaction:MANY_ENTRIES=40",
)
"""Constants with which a fraction of a second of load is sealed and compacted many times."""


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Wire:
    """One connection to a server, kept alive. Not safe to share between threads.

    Args:
        port: on this machine.
        timeout: seconds for each step of a request.
    """

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request once.

        Args:
            method: of HTTP.
            path: with the query string.
            body: bytes as they are, or anything that JSON can hold.
            key: the idempotency key.
            headers: further ones, which win.

        Raises:
            OSError, http.client.HTTPException: the connection broke; the request may or may not have been done.
        """
        sent = {"Content-Type": JSON} if body is not None else {}
        if key is not None:
            sent["Idempotency-Key"] = key
        raw = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        self._connection.request(method, path, body=raw, headers={**sent, **(headers or {})})
        answer = self._connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def get(self, path: str) -> Any:
        """The decoded answer to a GET that must succeed."""
        reply = self.call("GET", path)
        assert reply.status == 200, (path, reply)
        return reply.json()

    def post(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """The decoded answer to a POST that must succeed."""
        reply = self.call("POST", path, body, key=key)
        assert reply.status in {200, 201}, (path, reply)
        return reply.json()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Server:
    """`muniment serve` on a free port.

    Args:
        store: its URL.
        trust: the trust folder.
        log: the file to which what the process says is appended.
        settings: constants of the program to change, ``module:NAME=number``.
        options: further options of the command.
        environment: further variables.
    """

    def __init__(
        self,
        store: str,
        trust: Path,
        log: Path,
        *,
        settings: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.store, self.trust, self.log = store, trust, log
        self._settings, self._options = settings, options
        self._environment = clean_environment(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process, without waiting for it to be ready."""
        assert not self.running
        arguments = ["serve", "--store", self.store, "--trust", str(self.trust), "--port", "0", "--log-format", "json"]
        command = [sys.executable, "-c", _LAUNCHER, ",".join(self._settings)] if self._settings else [str(SCRIPT)]
        with self.log.open("ab") as out:
            self._said_before = out.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                [*command, *arguments, *self._options], stdout=out, stderr=out, env=self._environment
            )

    def wait_ready(self) -> None:
        """Wait until /health says so."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.running, f"the server ended: {self.said()[-2000:]}"
            port = self._announced()
            if port is not None:
                self.port = port
                with self.wire() as wire:
                    reply = wire.call("GET", "/health")
                assert (reply.status, reply.body) == (200, b"OK"), reply
                return
            time.sleep(0.01)
        raise AssertionError(f"the server did not start: {self.said()[-2000:]}")

    def start(self) -> Server:
        """Start the process and wait until it serves."""
        self.launch()
        self.wait_ready()
        return self

    def kill(self) -> None:
        """`kill -9`, at whatever moment this is."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Order it to stop and wait until it has; it must say so and end without an error."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(STOP_SECONDS)
        assert code in {0, -signal.SIGTERM}, (code, self.said()[-2000:])

    def close(self) -> None:
        """Whatever state it is in, end it."""
        if self.running:
            self.kill()

    def wire(self, timeout: float = 30.0) -> Wire:
        """A new connection."""
        return Wire(self.port, timeout)

    def said(self) -> str:
        """What the process has said since it was last started."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of this name since the last start."""
        return [event for event in self._events() if event.get("event") == name]

    def _events(self) -> list[dict[str, Any]]:
        lines = self.said().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def _announced(self) -> int | None:
        serving = self.events("serving")
        return urlsplit(serving[-1]["url"]).port if serving else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process under test: nobody's own Muniment settings reach it."""
    ours = {"MUNIMENT_SPOOL"}  # what tests log lies in a folder of the tests
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_") or name in ours}
    return {**kept, **(more or {})}


def run_command(*arguments: str, seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
    """Run the `muniment` command to its end."""
    return subprocess.run(
        [str(SCRIPT), *arguments], capture_output=True, text=True, check=False, env=clean_environment(), timeout=seconds
    )


def verify(store: str, trust: Path) -> Verification:
    """`muniment verify`, which must exit with 0 and find nothing."""
    done = run_command("verify", "--store", store, "--trust", str(trust), "--json")
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    outcome = msgspec.json.decode(done.stdout, type=Verification)
    assert outcome.ok, outcome
    return outcome


def every_entry(wire: Wire, project: str = "default", after: int = 0) -> list[dict[str, Any]]:
    """The ledger's entries after a position, page by page; their positions must be dense."""
    found: list[dict[str, Any]] = []
    while True:
        page = wire.get(f"/v1/projects/{project}/ledger?after={after}")["entries"]
        if not page:
            return found
        positions = [entry["position"] for entry in page]
        assert positions == list(range(after + 1, after + 1 + len(page))), f"a gap after {after}: {positions[:5]}…"
        found += page
        after = positions[-1]


def head_of(wire: Wire, project: str = "default") -> int:
    """The project's latest position."""
    position: int = wire.get(f"/v1/projects/{project}/changes?limit=1")["position"]
    return position
