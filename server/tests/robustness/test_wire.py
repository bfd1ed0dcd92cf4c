"""Bytes on the wire that no client library would send: the server refuses or hangs up, writes nothing, and goes on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from muniment_server.api.incoming import BODY_LIMIT
from robustness.server import DEFAULT, Server, Wire, head_of
from robustness.test_bad_body import bomb

ANSWER_SECONDS = 10.0
MEMORY_LIMIT = 400 * 2**20
"""Bytes by which the server may grow at the most, whatever is sent to it: a few bodies of the greatest size."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("wire")
    with Server(f"sqlite:///{folder / 'store.db'}", folder / "trust", folder / "log") as made:
        made.start()
        with made.wire() as wire:
            wire.post(f"{DEFAULT}/experiments", {"name": "churn"})
        yield made


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """A connection; after the test nothing is written but what was meant to be, and a good request works."""
    with server.wire() as made:
        before = head_of(made), head_of(made, "_")
        yield made
    with server.wire() as fresh:
        assert (head_of(fresh), head_of(fresh, "_")) == before
        assert fresh.call("GET", "/health").status == 200
        assert fresh.post(f"{DEFAULT}/experiments", {"name": "churn"})["name"] == "churn"
    assert server.running


BODY = b'{"name":"evil"}'
POST = b"POST /v1/projects/default/experiments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        POST + b"Content-Length: 14\r\n\r\n" + BODY,
        POST + b"Content-Length: 5\r\n\r\n" + BODY,
        POST + b"Content-Length: -1\r\n\r\n" + BODY,
        POST + b"Content-Length: x\r\n\r\n" + BODY,
        POST + b"Content-Length: 99999999999999999999999999\r\n\r\n" + BODY,
        POST + b"Content-Length: 15\r\nContent-Length: 3\r\n\r\n" + BODY,
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + BODY + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + BODY + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\n\r\n" + BODY,
        POST + b"Content-Length: 15\r\nIdempotency-Key: a\r\n X-Evil: folded\r\n\x00\r\n\r\n" + BODY,
        POST + b"Content-Length: 15\r\nBad Header: x\r\n\r\n" + BODY,
        POST + b"Content-Length: 15\r\nX: " + b"x" * 200_000 + b"\r\n\r\n" + BODY[:3],
        b"POST /v1/projects/default/experiments\r\n\r\n" + BODY,
        b"POST /v1/projects/default/experiments HTTP/9.9\r\n\r\n",
        b"POST /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"BREW /v1/projects HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"PUT /v1/projects HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v1/projects/\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v1/projects/a\x00b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET http://evil.example/v1/projects HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET //evil.example/v1/projects HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\r\n" * 1_000,
        bytes(100_000),
    ],
)
def test_what_is_no_request(server: Server, wire: Wire, raw: bytes) -> None:
    """A 4xx or a closed connection; a body that never comes is not waited for once the client has gone."""
    del wire
    answer = _send(server, raw)
    if answer:
        version, _, rest = answer.partition(b" ")
        assert version == b"HTTP/1.1", answer[:200]
        assert b"400" <= rest[:3] < b"500", answer[:500]
        assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]


def test_what_follows_a_request_is_not_part_of_it(server: Server, wire: Wire) -> None:
    """It is parsed on its own, and refused."""
    del wire
    answer = _send(server, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + BODY + b"\r\n\r\n")
    assert answer.count(b"HTTP/1.1 400") == 1


def test_a_body_in_parts_over_the_limit(wire: Wire) -> None:
    connection = wire._connection
    connection.putrequest("POST", f"{DEFAULT}/experiments")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    part = bytes(2**20)
    try:
        for _ in range(BODY_LIMIT // 2**20 + 8):
            connection.send(b"100000\r\n" + part + b"\r\n")
        connection.send(b"0\r\n\r\n")
        answer = connection.getresponse()
    except ConnectionError:
        return  # it hung up before it had read all of it
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_bombs_do_not_fill_the_memory(server: Server, wire: Wire) -> None:
    before, small = _peak(server), bomb(2**30)
    for _ in range(3):
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        reply = wire.call("POST", f"{DEFAULT}/experiments", small, headers=headers)
        assert reply.status == 413, reply
    assert _peak(server) - before < MEMORY_LIMIT


def test_clients_that_leave(server: Server, wire: Wire) -> None:
    """In the middle of a body, and while they are streamed to."""
    del wire
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", server.port)) as left:
            left.sendall(POST + b"Content-Length: 1000\r\n\r\n" + BODY)
        with socket.create_connection(("127.0.0.1", server.port)) as left:
            left.sendall(b"GET /v1/projects/default/changes/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            left.recv(10)


def _send(server: Server, raw: bytes) -> bytes:
    """Everything that comes back until the server hangs up, or has nothing more to say once we have."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_SECONDS) as connection:
        answer = b""
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        except ConnectionError:
            pass
        return answer


def _peak(server: Server) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
