"""Clients that cost little: a process of their own that sends what was encoded before over kept connections.

Each connection sends its next request when it has its last answer, so the number of connections is the number of
clients that wait at a time. One process serves them all, which leaves the processor to the server.
"""

from __future__ import annotations

import multiprocessing
import re
import selectors
import socket
import time
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection as Pipe

import msgspec

JSON = "application/json"
MSGPACK = "application/msgpack"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_POSITION = re.compile(rb'"position":(\d+)')
_CHUNK = 1 << 20
_TOLD = 4_096
"""Bytes of an answer that are kept to see whether it was a refusal."""
_fork = multiprocessing.get_context("fork")
Talk = Generator[bytes, bytes | bytearray, None]
"""Requests of which one may depend on the answer to the one before: yields requests, is sent their answers."""


class Refused(RuntimeError):
    """The server refused a request."""


class Driven(msgspec.Struct):
    """What became of a series of requests.

    Attributes:
        started, ended: on the monotonic clock, which all processes share.
        latencies: seconds of each request.
        position: the greatest position in an answer.
        error: the first answer that was a refusal.
    """

    started: float
    ended: float
    latencies: list[float]
    position: int
    error: bytes | None

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return self.ended - self.started

    def quantile(self, share: float) -> float:
        """The latency that this share of requests does not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(method: str, path: str, body: bytes = b"", media: str = JSON, accept: str = JSON) -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n"
    if body:
        head += f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Connection:
    """A kept connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * _CHUNK)  # so that sending does not wait
        self._received = bytearray()
        self._filled = 0

    def send(self, raw: bytes) -> None:
        """Send a request."""
        self._received = bytearray()
        self._filled = 0
        self.socket.sendall(raw)

    def receive(self) -> bytes | bytearray | None:
        """Read what has come; the answer if it is complete. What is long is received where it stays, without a copy."""
        if self._filled:
            count = self.socket.recv_into(memoryview(self._received)[self._filled :])
            if not count:
                raise ConnectionError("the server closed the connection")
            self._filled += count
            return self._received if self._filled == len(self._received) else None
        part = self.socket.recv(_CHUNK)
        if not part:
            raise ConnectionError("the server closed the connection")
        self._received += part
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._received, 0, end)
        missing = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= missing:
            return bytes(self._received)
        self._filled = len(self._received)
        self._received.extend(bytes(missing - self._filled))
        return None


def drive(port: int, queues: Sequence[list[bytes] | Talk]) -> Driven:
    """Send each queue over a connection of its own, all at a time.

    Raises:
        Refused: a request was refused.
    """
    here, there = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_drive, args=(port, queues, there))
    child.start()
    there.close()
    driven: Driven = here.recv()
    child.join()
    if driven.error is not None:
        raise Refused(f"a request was refused: {driven.error[:600].decode(errors='replace')}")
    return driven


def _one_by_one(queue: list[bytes]) -> Talk:
    for raw in queue:  # noqa: UP028 - a list takes no answers
        yield raw


def _following(talk: Talk, answer: bytes | bytearray) -> bytes | None:
    try:
        return talk.send(answer)
    except StopIteration:
        return None


def _drive(port: int, queues: Sequence[list[bytes] | Talk], pipe: Pipe) -> None:
    selector = selectors.DefaultSelector()
    sent: dict[Connection, float] = {}
    answers: list[bytes] = []
    latencies: list[float] = []
    for queue in queues:
        talk = _one_by_one(queue) if isinstance(queue, list) else queue
        selector.register((made := Connection(port)).socket, selectors.EVENT_READ, (made, talk))
    started = time.perf_counter()
    for key in list(selector.get_map().values()):
        connection, waiting = key.data
        sent[connection] = time.perf_counter()
        connection.send(next(waiting))
    while selector.get_map():
        for key, _ in selector.select():
            connection, waiting = key.data
            answer = connection.receive()
            if answer is None:
                continue
            now = time.perf_counter()
            latencies.append(now - sent[connection])
            answers.append(bytes(answer[:_TOLD]))
            following = _following(waiting, answer)
            if following is None:
                selector.unregister(connection.socket)
                continue
            sent[connection] = now
            connection.send(following)
    ended = time.perf_counter()
    pipe.send(Driven(started, ended, latencies, _last_position(answers), _first_refusal(answers)))


def _last_position(answers: list[bytes]) -> int:
    return max((int(found[1]) for answer in answers if (found := _POSITION.search(answer))), default=0)


def _first_refusal(answers: list[bytes]) -> bytes | None:
    return next((answer for answer in answers if answer[9:10] != b"2" or b'"replayed":true' in answer), None)


def fetch(port: int, raw: bytes, times: int, budget: float) -> tuple[list[float], bytes]:
    """(seconds of each repetition, the last answer) of one request over one connection, after one to warm up.

    Args:
        port: of the server.
        raw: the request.
        times: repetitions.
        budget: seconds after which no further repetition begins.

    Raises:
        Refused: it was refused.
    """
    here, there = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_fetch, args=(port, raw, times, budget, there))
    child.start()
    there.close()
    seconds, answer = here.recv()
    child.join()
    if answer[9:10] != b"2":
        raise Refused(f"a request was refused: {answer[:600].decode(errors='replace')}")
    return seconds, answer


def _fetch(port: int, raw: bytes, times: int, budget: float, pipe: Pipe) -> None:
    connection = Connection(port)
    seconds: list[float] = []
    begun = time.perf_counter()
    answer: bytes | bytearray | None = None
    for _ in range(times + 1):
        started = time.perf_counter()
        connection.send(raw)
        answer = None
        while answer is None:
            answer = connection.receive()
        seconds.append(time.perf_counter() - started)
        if time.perf_counter() - begun > budget:
            break
    pipe.send((seconds[1:] or seconds, answer))


def body_of(answer: bytes) -> bytes:
    """The body of a whole answer."""
    return answer.partition(b"\r\n\r\n")[2]


def loopback(size: int) -> float:
    """Seconds in which this machine carries so many bytes from one process to another over a socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    child = _fork.Process(target=_pour, args=(listener, size))
    child.start()
    receiver = socket.create_connection(listener.getsockname())
    received, buffer = 0, bytearray(_CHUNK)
    started = time.perf_counter()
    while received < size:
        received += receiver.recv_into(buffer)
    seconds = time.perf_counter() - started
    child.join()
    receiver.close()
    listener.close()
    return seconds


def _pour(listener: socket.socket, size: int) -> None:
    sender, _ = listener.accept()
    sender.sendall(bytes(size))
    sender.close()
