"""A proxy of plain sockets that is as bad as networks are, at chosen requests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

Act = str
"""pass; drop: the answer, after the server has carried out the request; cut: the request in the middle; twice."""
IDLE_SECONDS = 30.0


class Proxy:
    """Forwards one request a connection, and does to some of them what `act` says.

    Args:
        target: port of the server.
        act: told the first line of a request and how many imports came before it; what to do with it.
    """

    def __init__(self, target: int, act: Callable[[str, int], Act]) -> None:
        self.target, self.act = target, act
        self.seen: list[tuple[str, Act]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            taken.settimeout(IDLE_SECONDS)
            with taken, contextlib.suppress(OSError):
                self._one(taken)

    def _one(self, taken: socket.socket) -> None:
        raw = _request(taken)
        if not raw:
            return
        line = raw.partition(b"\r\n")[0].decode()
        imports = sum("/import" in before for before, _ in self.seen)
        does = self.act(line, imports)
        self.seen.append((line, does))
        if does == "cut":
            head, _, body = raw.partition(b"\r\n\r\n")
            with contextlib.suppress(OSError):
                self._forward(head + b"\r\n\r\n" + body[: len(body) * 2 // 3], finish=False)
            return
        answer = self._forward(raw)
        if does == "twice":
            answer = self._forward(raw)
        if does != "drop":
            taken.sendall(answer)

    def _forward(self, raw: bytes, *, finish: bool = True) -> bytes:
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        with socket.create_connection(("127.0.0.1", self.target)) as out:
            out.settimeout(IDLE_SECONDS)
            out.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
            if not finish:
                return b""
            parts = []
            while part := out.recv(65_536):
                parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _request(taken: socket.socket) -> bytes:
    """One whole request, its body chunked or of a stated length."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = taken.recv(65_536)
        if not part:
            return b""
        raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            part = taken.recv(1 << 20)
            if not part:
                break
            body += part
    elif b"content-length:" in lower:
        length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            part = taken.recv(1 << 20)
            if not part:
                break
            body += part
    return head + b"\r\n\r\n" + body
