"""A store is backed up while it is written, and restored: nothing acknowledged before is missing, and it verifies.

A kill at a random moment leaves nothing or the whole. MUNIMENT_KILL_ROUNDS sets the rounds (5).
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from muniment.model.artifact import Artifact, Collect
from muniment.model.errors import Conflict, InvalidInput
from muniment_server.services import artifacts, backup, restore
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace
from muniment_server.store import migrations
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store
from robustness.load import BROKEN, EXPERIMENT, Writer
from robustness.server import (
    DEFAULT,
    QUICK_KEEPER,
    SCRIPT,
    Server,
    clean_environment,
    every_entry,
    head_of,
    run_command,
)
from robustness.site import Site, dialect, left_in, silent

ROUNDS = int(os.environ.get("MUNIMENT_KILL_ROUNDS", "5"))
WRITERS = 4


def test_restored_it_is_the_same(whole: Site, taken: Path, empty: Site, tmp_path: Path) -> None:
    done = empty.put_back(taken)
    assert done.entries > 300
    assert 0 < done.published <= done.sealed <= done.entries
    assert done.artifacts
    assert empty.contents(tmp_path / "a") == whole.contents(tmp_path / "b")
    empty.verify()
    # and every row of it
    names = migrations.created(dialect(whole.url), migrations.head())
    found = []
    for site in (whole, empty):
        store = Store(site.url)
        with store.read() as connection:
            found.append({
                name: sorted(map(repr, connection.execute(sa.text(f"SELECT * FROM {name}"))))
                for name in names if (dialect(site.url), name) != ("sqlite", "words")
            })  # fmt: skip
        store.close()
    assert found[0] == found[1]
    assert found[0]["receipts"]


def test_the_key_that_signs_is_not_in_it(whole: Site, taken: Path) -> None:
    secret = (whole.trust / "signing.key").read_bytes()
    assert not [path for path in left_in(taken) if path.is_file() and secret in path.read_bytes()]
    assert oct(taken.stat().st_mode)[-3:] == "700"
    assert sorted(path.name for path in (taken / "trust").iterdir()) == sorted(
        ["checkpoints.ndjson", *(path.name for path in whole.trust.glob("*.pub"))]
    )


def test_its_history_goes_on(taken: Path, empty: Site, tmp_path: Path) -> None:
    empty.put_back(taken)
    with Server(empty.url, empty.trust, tmp_path / "log", settings=QUICK_KEEPER,
                options=("--artifacts", empty.artifacts.as_uri())) as server:  # fmt: skip
        server.start()
        with server.wire() as wire:
            before = head_of(wire)
            run = wire.post(f"{DEFAULT}/runs", {"experiment": "e"})
            assert run["position"] == before + 1
            wire.call("PUT", f"{DEFAULT}/records/{run['id']}/artifacts/more", b"more")
        server.stop()
        assert not server.events("keeper failed; it will try again"), server.said()
    empty.verify()


@contextmanager
def busy(server: Server) -> Iterator[list[Writer]]:
    """Clients that write as fast as they can, upload, take away and collect, for as long as the block takes."""
    stop = threading.Event()
    writers = [Writer(seed) for seed in range(WRITERS)]

    def work(writer: Writer) -> None:
        with server.wire() as wire:
            writer.work(wire, stop.is_set)

    def churn() -> None:
        with server.wire() as wire:
            run = wire.post(f"{DEFAULT}/runs", {"experiment": EXPERIMENT})["id"]
            number = 0
            while not stop.is_set():
                number += 1
                at = f"{DEFAULT}/records/{run}/artifacts/"
                assert wire.call("PUT", f"{at}kept-{number}", b"kept %d" % number * 500).status == 200
                assert wire.call("PUT", f"{at}passing", b"passing %d" % number * 500).status == 200
                if number % 5 == 0:
                    wire.post(f"{DEFAULT}/artifacts/collect", {"older_than": 0})

    failures: list[BaseException] = []

    def watched(act: Callable[[], None]) -> None:
        try:
            act()
        except (AssertionError, *BROKEN) as error:
            failures.append(error)

    acts: list[Callable[[], None]] = [churn, *(lambda writer=writer: work(writer) for writer in writers)]  # type: ignore[misc]
    threads = [threading.Thread(target=watched, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert not [writer.refused for writer in writers if writer.refused]


def test_beside_a_server_that_is_written_to(store_url: str, tmp_path: Path, places: Callable[[str], Site]) -> None:
    site, fresh = Site(store_url, tmp_path), places(dialect(store_url))
    options = ("--artifacts", site.artifacts.as_uri())
    with Server(site.url, site.trust, tmp_path / "log", settings=QUICK_KEEPER, options=options) as server:
        server.start()
        with server.wire() as wire:
            wire.post(f"{DEFAULT}/experiments", {"name": EXPERIMENT})
        with busy(server) as writers:
            time.sleep(1.5)
            told = max(position for writer in writers for position in writer.positions)
            done = run_command("backup", str(tmp_path / "backup"), *site.options(), "--json")
            after = max(position for writer in writers for position in writer.positions)
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert after > told, "nobody wrote while the backup was made: the test tests nothing"
        with server.wire() as wire:
            original = every_entry(wire)
        server.stop()
    done = run_command("restore", str(tmp_path / "backup"), *fresh.options(), "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    fresh.verify()
    options = ("--artifacts", fresh.artifacts.as_uri())
    with Server(fresh.url, fresh.trust, tmp_path / "log2", settings=QUICK_KEEPER, options=options) as server:
        server.start()
        with server.wire() as wire:
            restored = every_entry(wire)
            assert told <= len(restored) < len(original)
            assert restored == original[: len(restored)]
            assert wire.post(f"{DEFAULT}/runs", {"experiment": EXPERIMENT})["position"] == len(restored) + 1
        server.stop()
    fresh.verify()


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(SCRIPT), *arguments], env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def killed(sign: Path, seconds: float, *arguments: str) -> bool:
    """Run a command and kill it a while after it has made a file or folder; whether it was still at it."""
    process = started(*arguments)
    while not sign.exists() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    status = process.wait()
    assert status in {0, -signal.SIGKILL}
    return status != 0


def span(begun: Path, ended: Path, *arguments: str) -> float:
    """Seconds from the first trace of a command to its last, so that kills can fall between them."""
    process = started(*arguments)
    while not begun.exists() and process.poll() is None:
        time.sleep(0.001)
    began = time.monotonic()
    while not ended.exists() and process.poll() is None:
        time.sleep(0.001)
    took = time.monotonic() - began
    assert process.wait() == 0
    return took


def test_a_backup_that_is_killed(whole: Site, tmp_path: Path) -> None:
    folder, chance, within = tmp_path / "made" / "backup", random.Random(5), 0
    part = folder.with_name(".backup.part")
    takes = span(part, folder, "backup", str(folder), *whole.options())
    shutil.rmtree(folder)
    for _ in range(ROUNDS):
        shutil.rmtree(part, ignore_errors=True)
        if not killed(part, chance.uniform(0, takes), "backup", str(folder), *whole.options()):
            assert folder.exists()
        assert {path.name for path in folder.parent.glob("*")} <= {".backup.part", "backup"}
        if folder.exists():
            restore.check(folder, silent)
            shutil.rmtree(folder)
        else:
            within += 1
    assert within > 0, "none was killed at its work: the test tests nothing"
    (part / "tables").mkdir(parents=True, exist_ok=True)
    (part / "tables" / "left.copy").write_bytes(b"of one that was killed")
    whole.take(folder)
    restore.check(folder, silent)
    assert [path.name for path in folder.parent.iterdir()] == ["backup"]
    assert not (folder / "tables" / "left.copy").exists()


def test_a_restore_that_is_killed(whole: Site, taken: Path, places: Callable[[str], Site]) -> None:
    """What it leaves is no store, and keeps nobody from restoring into the same place."""
    site, chance, within = places(dialect(whole.url)), random.Random(6), 0
    for _ in range(ROUNDS):
        shutil.rmtree(site.artifacts, ignore_errors=True)
        if not killed(site.artifacts, chance.uniform(0, 1.0), "restore", str(taken), *site.options()):
            assert site.is_there
        if site.is_there:
            site.verify()
            site = places(dialect(whole.url))
        else:
            within += 1
    assert within > 0, "none was killed at its work: the test tests nothing"
    if not site.is_there:
        site.put_back(taken)
    site.verify()
    assert not list(site.trust.parent.glob(".*")), "what a killed one left is gone"


def upload(site: Workspace, content: bytes) -> Artifact:
    """An artifact that nothing refers to."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    async def act() -> Artifact:
        received = await artifacts.receive(site, site.owner_scope, DEFAULT_PROJECT, pieces())
        return await artifacts.keep(site, site.owner_scope, DEFAULT_PROJECT, received)

    return asyncio.run(act())


def elsewhere(act: Callable[[], object]) -> None:
    """Do something while another thread waits for it."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def test_what_is_collected_meanwhile(store_url: str, tmp_path: Path, places: Callable[[str], Site]) -> None:
    """Before the snapshot it is not in it; after the snapshot, another one is taken."""
    site, turns = Site(store_url, tmp_path), list[str]()
    workspace = site.open()
    early = upload(workspace, b"collected before the snapshot")
    late: list[Artifact] = []

    def collect() -> None:
        asyncio.run(artifacts.collect(workspace, workspace.owner_scope, DEFAULT_PROJECT, Collect(older_than=0)))

    def report(what: str, done: int, total: int) -> None:
        silent(what, done, total)
        if what == "artifacts" and not turns:
            elsewhere(collect)
            elsewhere(lambda: late.append(upload(workspace, b"collected after the snapshot")))
            turns.append("before")
        elif what == "artifacts" and len(turns) == 1:
            elsewhere(collect)
            elsewhere(lambda: late.append(upload(workspace, b"there to stay")))
            turns.append("after")

    store = Store(site.url)
    done = backup.take(store, TrustFolder(site.trust), Blobs(site.artifacts.as_uri()), tmp_path / "backup", report)
    store.close()
    workspace.close()
    assert turns == ["before", "after"]
    assert done.artifacts == 1
    assert {item.digest for item in backup.listed(tmp_path / "backup")} == {late[1].digest}
    files = [path.name for path in (tmp_path / "backup" / "artifacts").rglob("*") if path.is_file()]
    assert files == [late[1].digest.removeprefix("sha256:")]
    assert early.digest not in files
    fresh = places(dialect(store_url))
    fresh.put_back(tmp_path / "backup")
    fresh.verify()


def test_bytes_that_are_lost_are_said(store_url: str, tmp_path: Path, places: Callable[[str], Site]) -> None:
    site = Site(store_url, tmp_path)
    workspace = site.open()
    lost = upload(workspace, b"lost")
    workspace.close()
    for damage in (lambda path: path.write_bytes(b"gone"), lambda path: path.unlink()):
        damage(site.artifacts / lost.location)
        with pytest.raises(Conflict, match=f"{lost.digest} are missing or not what they were"):
            site.take(tmp_path / "made" / "backup")
        assert not left_in(tmp_path / "made")
    done = site.take(tmp_path / "made" / "backup", content=False)
    assert (done.artifacts, done.content) == (1, False)
    fresh = places(dialect(store_url))
    assert fresh.put_back(tmp_path / "made" / "backup").artifacts is None
    assert not fresh.artifacts.exists()


def test_an_earlier_backup_is_linked_to(whole: Site, taken: Path, empty: Site, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(taken, earlier)
    files = sorted(path for path in (earlier / "artifacts").rglob("*") if path.is_file())
    rotten = files[0]
    rotten.write_bytes(b"rotten")
    done = whole.take(tmp_path / "later", since=earlier)
    assert done.linked == len(files) - 1 > 0
    for file in files:
        again = tmp_path / "later" / file.relative_to(earlier)
        assert (again.stat().st_ino == file.stat().st_ino) == (file != rotten)
    shutil.rmtree(earlier)
    empty.put_back(tmp_path / "later")
    with pytest.raises(InvalidInput, match="is no backup"):
        whole.take(tmp_path / "another", since=tmp_path / "nowhere")
    with pytest.raises(Conflict, match="is there already"):
        whole.take(tmp_path / "later")
