"""Artifacts over real sockets: clients that leave, lie, stop or come all at once, and a server that dies."""

from __future__ import annotations

import hashlib
import http.client
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from muniment.model.ids import new_id
from robustness.load import BROKEN
from robustness.server import DEFAULT, Reply, Server, verify
from robustness.stage import Cases, check_problem
from robustness.uploading import MIB, Place, digest_of, pieces, wait_until

BIG = 200
"""Mebibytes that must never be in memory at once."""
MEMORY_LIMIT = 100 * MIB
KILLS = 3
BODY = bytes(range(256)) * 4 * 1024
PATHS = (
    "a", "größe/ü.bin", "gro\u0308\u00dfe/u\u0308.bin", "with space/a  b.txt", " blank ", "100%", "a%25b", "a%2Fb/c",
    "%", "a+b", "a?b=c&d", "a#b", "日本語/😀.bin", "'quoted\"", "a;b", "ab:c@d", "~tilde", "...", "a/..b/c", "{x}",
    "-", "CON", "\u202eexe.txt", "é" * 120, "content", "x" * 255 + "/" + "y" * 244,
)  # fmt: skip


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server for all tests of an engine, with the artifacts where they lie if nobody says where."""
    folder = tmp_path_factory.mktemp("uploads")
    engine = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = engine.create() if engine is not None else f"sqlite:///{folder / 'store.db'}"
    home = {"MUNIMENT_HOME": str(folder / "home")}
    with Server(url, folder / "trust", folder / "log", environment=home) as server:
        made = Place(server.start())
        made.put("first", b"first")
        yield made
        server.stop()
        assert "Traceback" not in server.said()
    if engine is not None:
        engine.drop(url)


@pytest.fixture
def own(store_url: str, trust_folder: Path, tmp_path: Path) -> Iterator[Place]:
    """A server that a test may end; it waits for the next piece of a body no longer than a test can."""
    settings = ("muniment_server.api.incoming:BODY_SECONDS=1.0",)
    home = {"MUNIMENT_HOME": str(tmp_path / "home")}
    with Server(store_url, trust_folder, tmp_path / "log", settings=settings, environment=home) as server:
        yield Place(server.start())


def _halves(place: Place, target: str, method: str) -> Iterator[socket.socket]:
    """Connections on which the half of an upload was sent: of one said length, and in chunks cut at several places."""
    half = BODY * 12
    said = place.begin(target, f"Content-Length: {2 * len(half)}", method=method)
    said.sendall(half)
    yield said
    whole = b"%x\r\n%b\r\n" % (len(half), half)
    for cut in (whole, whole[:-2], whole[: len(half)], whole + b"0\r\n", whole + b"5\r\nab", b""):
        chunked = place.begin(target, "Transfer-Encoding: chunked", method=method)
        chunked.sendall(cut)
        yield chunked


@pytest.mark.parametrize("leave", ["close", "reset", "half-close"])
def test_a_client_leaves_in_the_middle_of_an_upload(place: Place, leave: str) -> None:
    with place.nothing_stays():
        for method, target in (("PUT", place.at("half")), ("POST", f"{DEFAULT}/artifacts")):
            for connection in _halves(place, target, method):
                if leave == "half-close":
                    connection.shutdown(socket.SHUT_WR)
                    answer = connection.recv(65_536)
                    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer
                elif leave == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                connection.close()


def test_a_client_that_stops_sending_is_not_waited_for(own: Place) -> None:
    with own.nothing_stays():
        for connection in list(_halves(own, own.at("half"), "PUT")):
            reply = _answer(connection)
            assert (reply.status, reply.json()["code"]) == (503, "unavailable"), reply
            assert len(reply.json()["detail"].splitlines()) == 1
            connection.close()


def _answer(connection: socket.socket) -> Reply:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return Reply(answer.status, dict(answer.getheaders()), answer.read())


def test_a_slow_upload_is_taken(own: Place) -> None:
    """What counts is how long nothing comes, not how long it takes in all."""

    def slowly() -> Iterator[bytes]:
        for _ in range(6):
            time.sleep(0.3)
            yield b"x" * 1_000

    assert own.put("slow", slowly())["size"] == 6_000


@pytest.mark.parametrize("count", [0, 1, 9])
def test_an_upload_in_chunks_has_no_length_to_say(place: Place, count: int) -> None:
    digest = digest_of(pieces(count, b"chunked"))
    artifact = place.put(f"chunked/{count}", pieces(count, b"chunked"))
    assert (artifact["digest"], artifact["size"]) == (digest, count * MIB)
    back = place.send("GET", place.at(f"chunked/{count}"))
    assert (back.status, digest_of([back.body])) == (200, digest)
    assert back.headers["content-length"] == str(count * MIB)


def test_the_pieces_of_a_chunked_upload_may_be_of_any_size(place: Place) -> None:
    chance = random.Random(5)
    parts = [chance.randbytes(chance.choice((1, 2, 100, 65_536, 200_000))) for _ in range(300)]
    assert place.put("pieces", iter(parts))["digest"] == digest_of(parts)


@pytest.fixture(scope="module")
def big(place: Place) -> dict[str, int | str]:
    """What became of an upload that is larger than what the server may take of the memory."""
    place.put("warm", pieces(12, b"warm"))
    before = place.forget_peak()
    artifact = place.put("big", pieces(BIG))
    return {"digest": artifact["digest"], "size": artifact["size"], "grown": place.memory("VmHWM") - before}


def test_a_large_upload_is_never_in_memory(place: Place, big: dict[str, int | str]) -> None:
    assert big["size"] == BIG * MIB
    assert big["digest"] == digest_of(pieces(BIG))
    assert int(big["grown"]) < MEMORY_LIMIT, f"it grew by {int(big['grown']) / MIB:.0f} MiB"
    before = place.forget_peak()
    connection = http.client.HTTPConnection("127.0.0.1", place.server.port, timeout=60)
    connection.request("GET", place.at("big"))
    hashed = hashlib.sha256()
    answer = connection.getresponse()
    while part := answer.read(MIB):
        hashed.update(part)
    connection.close()
    assert f"sha256:{hashed.hexdigest()}" == big["digest"]
    grown = place.memory("VmHWM") - before
    assert grown < MEMORY_LIMIT, f"it grew by {grown / MIB:.0f} MiB"


def test_a_client_leaves_in_the_middle_of_a_download(place: Place, big: dict[str, int | str]) -> None:
    """One that does not read is not read ahead for; one that has gone is not read for at all."""
    before = place.forget_peak()
    with place.nothing_stays():
        stalled = []
        for target in (place.at("big"), f"{DEFAULT}/artifacts/{big['digest']}/content") * 4:
            connection = place.begin(target, method="GET")
            received = 0
            while received < MIB:
                received += len(connection.recv(65_536))
            stalled.append(connection)
        _answers_at_once(place)
        time.sleep(0.5)
        assert place.reading(), "nothing is streamed: the test tests nothing"
        assert place.memory("VmHWM") - before < MEMORY_LIMIT
        for connection in stalled:
            connection.close()
        _answers_at_once(place)
        wait_until(lambda: not place.reading(), lambda: f"still reads {place.reading()}", seconds=5)


def _answers_at_once(place: Place) -> None:
    for target in ("/health", f"{DEFAULT}/runs/{place.run}", f"{DEFAULT}/records/{place.run}/artifacts"):
        began = time.monotonic()
        assert place.send("GET", target).status == 200
        assert time.monotonic() - began < 2.0, target


def test_what_is_refused_leaves_nothing(place: Place) -> None:
    """Each with one line that names the place, also if it is known only at the end of many bytes."""
    body, right = BODY * 8, digest_of([BODY * 8])
    to_run, to_project = ("PUT", place.at("refused")), ("POST", f"{DEFAULT}/artifacts")
    nobody, experiment = (
        f"{DEFAULT}/records/{new_id()}/artifacts/a",
        f"{DEFAULT}/records/experiment:uploads/artifacts/a",
    )
    cases, gzip = Cases(), {"Content-Encoding": "gzip"}
    bad = [
        *((method, target, headers, 400, "Content-Encoding") for method, target in (to_run, to_project)
          for headers in (gzip, {"Content-Encoding": "br"}, {"Content-Encoding": "gzip, identity"})),
        *((method, f"{target}?digest={digest}", {}, 400, "digest") for method, target in (to_run, to_project)
          for digest in ("0" * 64, f"sha256:{'0' * 64}", "", "x", "md5:x", right[:-1], f"{right}%0A", f"{right}0")),
        *((method, f"{target}?digest={right}&digest={right}", {}, 400, "query")
          for method, target in (to_run, to_project)),
        *((method, target, {"Content-Type": media}, None, "Content-Type") for method, target in (to_run, to_project)
          for media in ("", "x" * 251)),
        ("PUT", nobody, {}, 404, "record"), ("PUT", experiment, {}, 400, "record"),
        ("POST", "/v1/projects/nobody/artifacts", {}, 404, "project"),
        *(("PUT", f"{DEFAULT}/records/{place.run}/artifacts/{path}", {}, None, "path")
          for path in ("..%2Fx", "%2e%2e/x", "a//b", "a/", "%00", "a%0Ab", "a%5Cb", "C:x", "x" * 501, "y" * 256,
                       "%FF")),
    ]  # fmt: skip
    with place.nothing_stays():
        for method, target, headers, status, names in bad:
            for parts in (body, iter([body[:100_000], body[100_000:]])):
                with cases.case(method, target[-90:], headers):
                    check_problem(place.send(method, target, parts, headers), status=status, names=names)
    cases.settle()
    assert place.send("PUT", f"{place.at('refused')}?digest={right}", body).status == 200


def test_what_can_be_refused_early_is(place: Place) -> None:
    """Before the bytes are sent: nobody sends hours for nothing."""
    with place.nothing_stays():
        for target in (f"{DEFAULT}/records/{new_id()}/artifacts/a", f"{place.at('a')}?digest=x",
                       f"{DEFAULT}/records/{place.run}/artifacts/a//b"):  # fmt: skip
            with place.begin(target, f"Content-Length: {2**40}", "Expect: 100-continue") as connection:
                answer = connection.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 4"), answer


def test_a_connection_goes_on(place: Place) -> None:
    """After a refusal in the middle of a body, and after answers without a body or with a part of one."""
    place.put("whole", BODY)
    with place.server.wire() as wire:
        for _ in range(3):
            digest = digest_of([BODY])
            for headers in ({"Content-Encoding": "gzip"}, {"Content-Type": "x" * 251}):
                assert wire.call("PUT", place.at("refused"), BODY * 4, headers=headers).status in {400, 413}
            assert wire.call("GET", place.at("whole"), headers={"If-None-Match": f'"{digest}"'}).status == 304
            part = wire.call("GET", place.at("whole"), headers={"Range": "bytes=10-19"})
            assert (part.status, part.body) == (206, BODY[10:20])
            check_problem(wire.call("GET", place.at("whole"), headers={"Range": f"bytes={len(BODY)}-"}), status=416)
            assert wire.call("GET", place.at("whole")).body == BODY
            assert wire.call("PUT", place.at("whole"), BODY).status == 200


def test_many_upload_the_same_at_once(place: Place) -> None:
    body = b"".join(pieces(5, b"same"))
    before, count = place.files(), 8
    ready = threading.Barrier(count)

    def upload(number: int) -> Reply:
        ready.wait()
        return place.send("PUT", place.at(f"same/{number}"), body)

    with ThreadPoolExecutor(count) as pool:
        replies = list(pool.map(upload, range(count)))
    assert [reply.status for reply in replies] == [200] * count, replies
    assert len({reply.json()["artifact"]["id"] for reply in replies}) == 1
    wait_until(lambda: len(place.files()) == len(before) + 1, lambda: f"{place.files()}")
    assert place.under_way() == 0
    for number in range(count):
        assert place.send("GET", place.at(f"same/{number}")).body == body


def test_every_path_comes_back_as_it_was_given(place: Place) -> None:
    cases = Cases()
    for path in PATHS:
        with cases.case(path):
            body = path.encode()
            reply = place.send("PUT", place.at(path), body)
            assert reply.status == 200, reply
            assert reply.json()["path"] == path
            assert path in place.listed()
            back = place.send("GET", place.at(path))
            assert (back.status, back.body) == (200, body)
    cases.settle()


def test_a_path_that_is_not_percent_encoded_is_the_same_or_refused(place: Place) -> None:
    """As curl sends it that is given one: bytes of UTF-8."""
    target = f"{DEFAULT}/records/{place.run}/artifacts/roh-größe"
    with place.begin(target, "Content-Length: 1", "Connection: close") as connection:
        connection.sendall(b"x")
        answer = connection.recv(65_536)
    if answer.startswith(b"HTTP/1.1 2"):
        assert "roh-größe" in place.listed()
    else:
        assert answer.startswith(b"HTTP/1.1 400"), answer
        assert not [path for path in place.listed() if path.startswith("roh")]


def test_the_server_dies_in_the_middle_of_an_upload(own: Place, store_url: str, trust_folder: Path) -> None:
    body = b"".join(pieces(24, b"killed"))
    kept = own.put("kept", b"kept")
    with own.nothing_stays():
        connection = own.begin(own.at("killed"), f"Content-Length: {len(body)}")
        connection.sendall(body[: len(body) // 2])
        wait_until(lambda: len(own.files()) > 1, lambda: "nothing is written: the test tests nothing")
        own.server.kill()
        connection.close()
        assert len(own.files()) > 1
        own.server.start()
        assert list(own.listed()) == ["kept"]
        assert own.send("GET", own.at("killed")).status == 404
        assert own.send("GET", f"{DEFAULT}/artifacts/{digest_of([body])}").status == 404
        assert own.under_way() == 1
        assert own.collect() == {"artifacts": 0, "bytes": 0, "abandoned": 1}
    assert len(own.files()) == 1
    assert own.put("killed", body)["digest"] == digest_of([body])
    assert own.listed()["kept"] == kept
    own.server.stop()
    verify(store_url, trust_folder)


def test_an_upload_is_given_up_while_it_goes_on(own: Place) -> None:
    """A collection that waits for nobody takes what has arrived; the rest is refused, and nothing is left of it."""
    body = b"".join(pieces(24, b"late"))
    with own.nothing_stays():
        for method, target in (("PUT", own.at("late")), ("POST", f"{DEFAULT}/artifacts")):
            for part in (len(body) // 2, 100_000):
                with own.begin(target, f"Content-Length: {len(body)}", method=method) as connection:
                    connection.sendall(body[:part])
                    wait_until(lambda: own.under_way() == 1, lambda: "the upload has not begun")
                    assert own.collect()["abandoned"] == 1
                    connection.sendall(body[part:])
                    reply = _answer(connection)
                assert (reply.status, reply.json()["code"]) == (503, "unavailable"), reply
                assert len(reply.json()["detail"].splitlines()) == 1
                assert "given up" in reply.json()["detail"], reply
    assert own.put("late", body)["size"] == len(body)


def test_the_server_dies_at_any_moment_of_many_uploads(own: Place, store_url: str, trust_folder: Path) -> None:
    """What was acknowledged is there; after a collection nothing else is."""
    chance, told = random.Random(11), dict[str, str]()
    for turn in range(KILLS):
        threads = [threading.Thread(target=_upload_until_it_breaks, args=(own, f"{turn}/{n}", told)) for n in range(4)]
        assert own.run
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.2, 0.5))
        own.server.kill()
        for thread in threads:
            thread.join()
        own.server.start()
        listed = own.listed()
        assert told.items() <= {path: artifact["digest"] for path, artifact in listed.items()}.items()
        own.collect()
        assert own.under_way() == 0
        located = {own.folder / artifact["location"] for artifact in listed.values()}
        assert set(own.files()) == located
        for path, artifact in listed.items():
            if not path.startswith(f"{turn}/"):
                continue
            assert digest_of([own.send("GET", own.at(path)).body]) == artifact["digest"]
    assert told
    own.server.stop()
    verify(store_url, trust_folder)


def _upload_until_it_breaks(place: Place, name: str, told: dict[str, str]) -> None:
    for number in range(1_000):
        path = f"{name}/{number}"
        try:
            reply = place.send("PUT", place.at(path), pieces(2, path.encode()))
        except BROKEN:
            return
        assert reply.status == 200, reply
        told[path] = reply.json()["artifact"]["digest"]
