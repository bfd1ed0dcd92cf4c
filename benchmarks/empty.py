"""The cheapest server there is: reads a request and says OK. What HTTP alone costs on this machine and this stack."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks import wire

ANSWER = b'{"position":0}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


Message = dict[str, Any]


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """An ASGI application that does nothing."""
    del scope
    while (await receive()).get("more_body"):
        continue
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


class EmptyServer:
    """The application above in a process of its own, on the same HTTP stack as `muniment serve`."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = ["uvicorn", "benchmarks.empty:application", "--port", str(self.port), "--loop", "uvloop"]
        command += ["--http", "httptools", "--lifespan", "off", "--no-access-log", "--log-level", "critical"]
        self._process = subprocess.Popen([sys.executable, "-m", *command])
        for _ in range(600):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 0.2):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the empty server did not start")

    def seconds(self, queues: list[list[bytes]], most: int) -> float:
        """Seconds a request, for at most so many of these requests."""
        taken = [queue[: max(most // len(queues), 1)] for queue in queues]
        return wire.drive(self.port, taken).seconds / sum(map(len, taken))

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
