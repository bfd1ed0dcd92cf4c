"""A disk that fills up: writes are refused in plain words, reads go on, and once there is room everything does.

The disk is a small tmpfs where this process may mount one. Everywhere, a limit on the size of the server's files
stands for it too: it fails the same calls in another way, and can be lifted from outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from muniment.model.ids import new_id
from muniment.model.ledger import Seal
from muniment_server.services.trust import TrustFolder
from robustness.server import DEFAULT, QUICK_KEEPER, Reply, Server, Wire, every_entry, head_of, run_command, verify
from robustness.uploading import MIB, Place, digest_of, pieces

DISK = 24 * 2**20
BALLAST = 8 * 2**20
CHUNKS = 10
CHUNK = "x" * 60_000
WAIT_SECONDS = 15.0
_SEAL = Seal(
    number=1, time=datetime(2026, 1, 31, tzinfo=UTC), project="0" * 32, size=1, root="", previous="", hash="", key="",
    signature="",
)  # fmt: skip
_LIBC = ctypes.CDLL(None, use_errno=True)
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 megabytes, a third of them taken by a file that can be deleted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if _LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={DISK}".encode()) != 0:
        pytest.skip(f"this process may not mount a disk: {os.strerror(ctypes.get_errno())}")
    (folder / "ballast").write_bytes(bytes(BALLAST))
    yield folder
    assert _LIBC.umount2(str(folder).encode(), 2) == 0


def test_the_disk_of_the_store_is_full(disk: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{disk / 'store.db'}"
    with Server(store, tmp_path / "trust", tmp_path / "log", settings=QUICK_KEEPER) as server:
        _fills_and_recovers(server.start(), lambda: None, (disk / "ballast").unlink)
    verify(store, tmp_path / "trust")


def test_the_files_of_the_server_may_not_grow(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with Server(store, tmp_path / "trust", tmp_path / "log", settings=QUICK_KEEPER) as server:
        server.start()
        limit = (DISK - BALLAST, resource.RLIM_INFINITY)
        _fills_and_recovers(
            server,
            lambda: _set(resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limit)),
            lambda: _set(resource.prlimit(server.pid, resource.RLIMIT_FSIZE, _UNLIMITED)),
        )
    verify(store, tmp_path / "trust")


def test_it_is_killed_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """Whether SQLite can open a file on a disk without a free byte is its affair; once there is room all is there."""
    store = f"sqlite:///{disk / 'store.db'}"
    with Server(store, tmp_path / "trust", tmp_path / "log", settings=QUICK_KEEPER) as server:
        server.start()
        run = _run(server)
        with server.wire() as wire:
            kept, refused = _fill(wire, run)
        _check_full(refused)
        server.kill()
        (disk / "ballast").unlink()
        server.start()
        with server.wire() as wire:
            assert wire.get(f"{DEFAULT}/runs/{run}")["params"] == kept
            _until_it_writes(wire, run)
        server.stop()
    verify(store, tmp_path / "trust")


def test_it_starts_on_a_full_disk_or_says_why_not(disk: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{disk / 'store.db'}"
    _stuff(disk / "stuffing")
    done = run_command("serve", "--store", store, "--trust", str(tmp_path / "trust"), "--port", "0", seconds=30)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "full" in done.stderr


@pytest.mark.parametrize("where", ["store.db-artifacts", "elsewhere"])
def test_the_disk_of_the_artifacts_is_full(disk: Path, tmp_path: Path, where: str) -> None:
    """What has no room is refused and gives back what it took, with the store on the same disk and on another one."""
    store = f"sqlite:///{(disk if where.startswith('store') else tmp_path) / 'store.db'}"
    options = () if where.startswith("store") else ("--artifacts", f"file://{disk / where}")
    with Server(store, tmp_path / "trust", tmp_path / "log", settings=QUICK_KEEPER, options=options) as server:
        place = Place(server.start())
        _refuses_an_upload(place, (disk / "ballast").unlink)
        assert place.folder == disk / where
        server.stop()
    verify(store, tmp_path / "trust")


def test_the_files_of_artifacts_may_not_grow(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with Server(store, tmp_path / "trust", tmp_path / "log", settings=QUICK_KEEPER) as server:
        place, limit = Place(server.start()), (DISK - BALLAST, resource.RLIM_INFINITY)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limit)
        _refuses_an_upload(place, lambda: _set(resource.prlimit(server.pid, resource.RLIMIT_FSIZE, _UNLIMITED)))
        server.stop()
    verify(store, tmp_path / "trust")


def _refuses_an_upload(place: Place, free: Callable[[], None]) -> None:
    size = (DISK - BALLAST) // MIB + 1
    place.put("kept", b"kept")
    for _ in range(3):
        with place.nothing_stays():
            for method, target in (("PUT", place.at("large")), ("POST", f"{DEFAULT}/artifacts")):
                _check_full(place.send(method, target, pieces(size)), "no room for artifacts")
    assert list(place.listed()) == ["kept"]
    assert place.send("GET", place.at("kept")).body == b"kept"
    place.put("small", b"small")
    free()
    assert place.put("large", pieces(size))["digest"] == digest_of(pieces(size))


def test_the_disk_of_the_trust_folder_is_full(disk: Path, tmp_path: Path) -> None:
    """Publishing fails without harm, again and again, and is made good when there is room."""
    store = f"sqlite:///{tmp_path / 'store.db'}"
    trust = disk / "trust"
    with Server(store, trust, tmp_path / "log", settings=QUICK_KEEPER) as server:
        server.start()
        run = _run(server)
        with server.wire() as wire:
            _wait_for((trust / "checkpoints.ndjson").exists)
            for page in range(3):  # full to the last byte; then room for a page, which is not enough
                _stuff(disk / "stuffing", after=page * 4_096)
                for _ in range(30):
                    _write(wire, run)
                    time.sleep(0.05)
                assert server.running
                assert wire.call("GET", "/health").status == 200
            (disk / "stuffing").unlink()
            (disk / "ballast").unlink()
            _write(wire, run)
            _wait_for(lambda: _published(trust) == head_of(wire), "seals are not published any more")
            assert len(every_entry(wire)) == head_of(wire)
        server.stop()
    outcome = verify(store, trust)
    assert outcome.sealed == outcome.published == outcome.entries


def test_it_stops_although_nothing_can_be_published(disk: Path, tmp_path: Path) -> None:
    """A stop on a full disk is an orderly one; the next start publishes."""
    store, trust = f"sqlite:///{tmp_path / 'store.db'}", disk / "trust"
    with Server(store, trust, tmp_path / "log", settings=QUICK_KEEPER) as server:
        server.start()
        run = _run(server)
        with server.wire() as wire:
            _wait_for((trust / "checkpoints.ndjson").exists)
            _stuff(disk / "stuffing")
            for _ in range(20):
                _write(wire, run)
                time.sleep(0.05)
        server.stop()
        assert "Traceback" not in server.said()
        (disk / "stuffing").unlink()
        server.start().stop()
    outcome = verify(store, trust)
    assert outcome.sealed == outcome.published == outcome.entries


def test_checkpoints_that_were_cut_short_twice(tmp_path: Path) -> None:
    """A line that was cut short, then only the line break that was to repair it: a kill or a full disk does that."""
    folder = TrustFolder(tmp_path)
    folder.publish([_SEAL])
    with (tmp_path / "checkpoints.ndjson").open("ab") as out:
        out.write(b'{"number":2,"time":"20\n')
    assert folder.last_published() == 1
    folder.publish([_SEAL])
    assert [seal.number for seal in folder.checkpoints()] == [1, 1]


def test_a_public_key_that_was_cut_short(tmp_path: Path) -> None:
    """The file of the public key is written at each start; a kill in between must not make the store unverifiable."""
    store, trust = f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "trust"
    with Server(store, trust, tmp_path / "log", settings=QUICK_KEEPER) as server:
        server.start()
        run = _run(server)
        with server.wire() as wire:
            _write(wire, run)
            _wait_for(lambda: bool(wire.get(f"{DEFAULT}/seals")["seals"]))
        server.stop()
    verify(store, trust)
    for file in trust.glob("*.pub"):
        file.write_bytes(b"")
    done = run_command("verify", "--store", store, "--trust", str(trust))
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1}


def test_a_new_trust_folder_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """No key can be made: nothing is sealed, everything else works, and it is made when there is room."""
    store = f"sqlite:///{tmp_path / 'store.db'}"
    trust = disk / "trust"
    trust.mkdir()
    _stuff(disk / "stuffing")
    with Server(store, trust, tmp_path / "log", settings=QUICK_KEEPER) as server:
        server.start()
        run = _run(server)
        with server.wire() as wire:
            for _ in range(10):
                _write(wire, run)
                time.sleep(0.05)
            (disk / "stuffing").unlink()
            (disk / "ballast").unlink()
            _write(wire, run)
            _wait_for(lambda: bool(wire.get(f"{DEFAULT}/seals")["seals"]), "it never seals again")
        server.stop()
    outcome = verify(store, trust)
    assert outcome.sealed == outcome.published == outcome.entries


def _fills_and_recovers(server: Server, close: Callable[[], None], free: Callable[[], None]) -> None:
    run = _run(server)
    with server.wire() as wire:
        close()
        kept, refused = _fill(wire, run)
        _check_full(refused)
        before = head_of(wire)
        for _ in range(5):  # it stays refused, and says the same
            _check_full(_write(wire, run, wanted=False))
        for method, path, body in (("GET", "/health", None), ("GET", f"{DEFAULT}/runs/{run}", None),
                                   ("POST", f"{DEFAULT}/search", {}), ("GET", f"{DEFAULT}/changes", None)):  # fmt: skip
            assert wire.call(method, path, body).status == 200
        assert wire.get(f"{DEFAULT}/runs/{run}")["params"] == kept
        assert head_of(wire) == before
        free()
        _until_it_writes(wire, run)
        assert kept.items() <= wire.get(f"{DEFAULT}/runs/{run}")["params"].items()
        assert len(every_entry(wire)) == head_of(wire)
    server.stop()


def _run(server: Server) -> str:
    with server.wire() as wire:
        wire.post(f"{DEFAULT}/experiments", {"name": "full"})
        made: str = wire.post(f"{DEFAULT}/runs", {"experiment": "full"})["id"]
        return made


def _fill(wire: Wire, run: str) -> tuple[dict[str, str], Reply]:
    """(what was acknowledged, the first refusal)."""
    kept: dict[str, str] = {}
    for number in range(200):
        made = {f"p{number}-{at}": CHUNK for at in range(CHUNKS)}
        reply = wire.call("POST", f"{DEFAULT}/runs/{run}/params", {"params": made}, key=new_id())
        if reply.status != 200:
            return kept, reply
        kept |= made
    raise AssertionError("the disk was never full")


def _write(wire: Wire, run: str, *, wanted: bool = True) -> Reply:
    many = {f"{new_id()}": CHUNK for _ in range(CHUNKS)}
    body: dict[str, Any] = {"params": {new_id(): "x"} if wanted else many}
    reply = wire.call("POST", f"{DEFAULT}/runs/{run}/params", body)
    assert not wanted or reply.status == 200, reply
    return reply


def _check_full(reply: Reply, says: str = "full") -> None:
    assert reply.status == 507, reply
    problem = reply.json()
    assert problem["code"] == "store_full"
    assert len(problem["detail"].splitlines()) == 1
    assert says in problem["detail"]


def _until_it_writes(wire: Wire, run: str) -> None:
    """At once: nothing needs to be started again."""
    for _ in range(5):
        _write(wire, run)


def _stuff(file: Path, after: int = 0) -> None:
    """Take everything that is left of a disk, whoever else takes some meanwhile, but for so many bytes."""
    with file.open("ab", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(4_096))
    os.truncate(file, file.stat().st_size - after)


def _published(trust: Path) -> int:
    lines = (trust / "checkpoints.ndjson").read_bytes().splitlines()
    sizes = [line for line in lines if line.endswith(b"}") and b'"size":' in line]
    return max((_size(line) for line in sizes), default=0)


def _size(line: bytes) -> int:
    return int(line.partition(b'"size":')[2].partition(b",")[0])


def _wait_for(condition: Callable[[], bool], what: str = "") -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _set(before: object) -> None:
    """Whatever a call gave back is of no interest."""
    del before
