"""Two servers on one database, and two processes on one file: one history, nothing lost, nothing twice."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from muniment.model.ids import new_id
from muniment_server.annexes.keeper import LEASE_SECONDS
from muniment_server.store.engine import Store
from muniment_server.store.tables import leases, segments
from robustness.load import BROKEN, EXPERIMENT, Writer, check_tiles
from robustness.server import (
    DEFAULT,
    QUICK_KEEPER,
    Reply,
    Server,
    Wire,
    clean_environment,
    every_entry,
    head_of,
    run_command,
    verify,
)

LOAD_SECONDS = 2.0
SETUP_ENTRIES = 1
GRACE_SECONDS = 4.0
"""What a busy machine may need on top of the lease until the next keeper has sealed."""


@pytest.fixture
def empty_database(postgres: Any) -> Iterator[str]:
    """The URL of a PostgreSQL database without a schema."""
    url = postgres.create_empty()
    yield url
    postgres.drop(url)


class Pair:
    """Two servers of one store, started at the same time."""

    def __init__(self, url: str, folder: Path, settings: tuple[str, ...] = ()) -> None:
        self.url, self.trust = url, folder / "trust"
        self.servers = [Server(url, self.trust, folder / f"log-{name}", settings=settings) for name in "ab"]

    def __enter__(self) -> list[Server]:
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait_ready()
        with self.servers[0].wire() as wire:
            wire.post(f"{DEFAULT}/experiments", {"name": EXPERIMENT})
        return self.servers

    def __exit__(self, *exc: object) -> None:
        for server in self.servers:
            server.close()


def test_one_history_and_no_change_is_lost_in_the_feed(empty_database: str, tmp_path: Path) -> None:
    with Pair(empty_database, tmp_path, QUICK_KEEPER) as servers:
        writers = [Writer(seed) for seed in range(4)]
        stop, done = threading.Event(), threading.Event()
        seen: list[list[int]] = [[], [], []]
        jobs: list[Callable[[], None]] = [
            lambda: _poll(servers[0], seen[0], done),
            lambda: _poll(servers[1], seen[1], done),
            lambda: _stream(servers[1], seen[2], done),
        ]
        for number, writer in enumerate(writers):
            jobs.append(_writing(servers[number % 2], writer, stop))
        threads = [threading.Thread(target=job) for job in jobs]
        for thread in threads:
            thread.start()
        time.sleep(LOAD_SECONDS)
        stop.set()
        for thread in threads[3:]:
            thread.join()
        with servers[0].wire() as wire:
            head = head_of(wire)
            _wait_for(lambda: all(positions and positions[-1] == head for positions in seen))
            done.set()
            for thread in threads:
                thread.join()
            assert seen == [list(range(1, head + 1))] * 3
            assert len(every_entry(wire)) == head
            check_tiles(writers, head, SETUP_ENTRIES)
            for writer in writers:
                assert not writer.refused, writer.refused
                writer.check_all(wire)
        for server in servers:
            server.stop()
            assert not server.events("keeper failed; it will try again"), server.said()
    verify(empty_database, tmp_path / "trust")
    _check_segments(empty_database)


def test_another_keeper_takes_over(empty_database: str, tmp_path: Path) -> None:
    """With the times that users have: the keeper's process is killed under load, and the other one goes on."""
    with Pair(empty_database, tmp_path) as servers:
        _wait_for(lambda: _holder(empty_database) is not None)
        keeper = next(server for server in servers if f":{server.pid}:" in str(_holder(empty_database)))
        other = next(server for server in servers if server is not keeper)
        writers, stop = [Writer(seed) for seed in range(4)], threading.Event()
        threads = [
            threading.Thread(target=_writing(server, writer, stop))
            for server, writer in zip(itertools.cycle((keeper, other)), writers, strict=False)
        ]
        for thread in threads:
            thread.start()
        time.sleep(LOAD_SECONDS)
        keeper.kill()
        killed = time.monotonic()
        time.sleep(LOAD_SECONDS / 4)
        stop.set()
        for thread in threads:
            thread.join()
        with other.wire() as wire:
            for writer in writers:
                writer.retry(wire)
                assert not writer.refused, writer.refused
            head = head_of(wire)
            _wait_for(
                lambda: _sealed(wire) == head, seconds=LEASE_SECONDS + GRACE_SECONDS - (time.monotonic() - killed)
            )
            check_tiles(writers, head, SETUP_ENTRIES)
            assert len(every_entry(wire)) == head
            for writer in writers:
                writer.check_all(wire)
        other.stop()
    outcome = verify(empty_database, tmp_path / "trust")
    assert outcome.sealed == outcome.published == outcome.entries


def test_the_same_request_to_both_at_once(empty_database: str, tmp_path: Path) -> None:
    """It is recorded once, and both are answered alike."""
    with (
        Pair(empty_database, tmp_path, QUICK_KEEPER) as servers,
        servers[0].wire() as first,
        servers[1].wire() as second,
    ):
        run = first.post(f"{DEFAULT}/runs", {"experiment": EXPERIMENT})["id"]
        writer = new_id()
        for turn in range(1, 31):
            points = {"series": ["loss"], "step": [turn], "timestamp": [turn], "value": [turn / 2]}
            made = new_id()
            for path, body, key, entries in (
                ("/runs", {"experiment": EXPERIMENT}, new_id(), 1),
                ("/runs", {"experiment": EXPERIMENT, "id": made}, None, 1),
                ("/experiments", {"name": f"e{turn}"}, None, 1),
                (f"/runs/{run}/points", {**points, "writer": writer, "sequence": turn}, None, 1),
                (f"/runs/{run}/points", {**points, "series": ["auc"]}, None, 1),
                (f"/runs/{run}/points", {**points, "series": ["f1"]}, new_id(), 1),
                (f"/runs/{run}/tags", {"tags": {"turn": str(turn)}}, new_id(), 1),
                ("/batch", {"commands": [
                    {"do": "run.create", "experiment": EXPERIMENT},
                    {"do": "run.log", "run": run, **points, "series": [f"b{turn}"]},
                ]}, new_id(), 2),
            ):  # fmt: skip
                before = head_of(first)
                answers = _at_once(first, second, f"{DEFAULT}{path}", body, key)
                assert {answer.status for answer in answers} <= {200, 201}, (path, answers)
                positions = [answer.json()["position"] for answer in answers]
                assert positions == [before + entries] * 2, (path, before, answers)
                assert head_of(second) == before + entries
        data = first.get(f"{DEFAULT}/runs/{run}")
        assert [data["metrics"][key]["count"] for key in ("loss", "auc", "f1")] == [30, 30, 30]


def test_a_file_has_one_server(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with Server(store, tmp_path / "trust", tmp_path / "log") as server:
        server.start()
        done = run_command("serve", "--store", store, "--trust", str(tmp_path / "trust"), "--port", "0", seconds=30)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert f"process {server.pid}" in done.stderr
        with server.wire() as wire:
            assert wire.call("GET", "/health").status == 200
        server.kill()
        server.start()  # the dead one does not stand in the way


_EMBEDDED = """
import json, sys
import muniment
url, name, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
muniment.connect(url)
made = {}
for turn in range(runs):
    with muniment.start_run("shared", params={"turn": turn}, tags={"by": name}) as run:
        for step in range(20):
            run.log({"loss": turn + step / 100}, step=step, timestamp=step)
    made[run.id] = turn
muniment.disconnect()
print(json.dumps(made))
"""


def test_two_processes_write_one_file(tmp_path: Path) -> None:
    """Without a server: both open a file that does not exist yet, at the same time, and write what they have."""
    path, runs = tmp_path / "store.db", 15
    store = f"sqlite:///{path}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _EMBEDDED, store, name, str(runs)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=clean_environment({"MUNIMENT_CAPTURE": "none"}),
        )
        for name in "abc"
    ]  # fmt: skip
    made: dict[str, int] = {}
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err[-3000:]
        made |= json.loads(out)
    assert len(made) == runs * len(processes)
    trust = path.with_name(f"{path.name}-trust")
    verify(store, trust)
    with Server(store, trust, tmp_path / "log") as server, server.start().wire() as wire:
        # how entries are gathered is the sender's affair; they are numbered without a gap
        assert len(every_entry(wire)) == head_of(wire) >= 2 * len(made)
        for run, turn in made.items():
            data = wire.get(f"{DEFAULT}/runs/{run}")
            assert data["params"] == {"turn": str(turn)}
            assert data["run"]["state"] == "finished"
            assert data["metrics"]["loss"]["count"] == 20


def _writing(server: Server, writer: Writer, stop: threading.Event) -> Callable[[], None]:
    def write() -> None:
        with server.wire() as wire:
            writer.work(wire, stop.is_set)

    return write


def _poll(server: Server, seen: list[int], done: threading.Event) -> None:
    after = "0"
    with server.wire() as wire:
        while not done.is_set():
            page = wire.get(f"{DEFAULT}/changes?after={after}&limit=50&wait=0.2")
            seen += [change["data"]["position"] for change in page["changes"]]
            after = page["next"]


def _stream(server: Server, seen: list[int], done: threading.Event) -> None:
    """Server-sent events; the connection is broken now and then, and taken up where it was."""
    after = "0"
    while not done.is_set():
        with server.wire(timeout=0.4) as wire:
            connection = wire._connection
            try:
                connection.request("GET", f"{DEFAULT}/changes/stream?after={after}")
                events = connection.getresponse()
                assert events.status == 200
                for _ in range(400):
                    line = events.readline()
                    if line.startswith(b"data: "):
                        change = json.loads(line[6:])
                        seen.append(change["data"]["position"])
                        after = change["id"]
            except BROKEN:
                continue


def _at_once(first: Wire, second: Wire, path: str, body: dict[str, Any], key: str | None) -> list[Reply]:
    start = threading.Barrier(2)
    answers: dict[int, Reply] = {}

    def send(number: int, wire: Wire) -> None:
        start.wait()
        answers[number] = wire.call("POST", path, body, key=key)

    threads = [threading.Thread(target=send, args=item) for item in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[0], answers[1]]


def _holder(url: str) -> str | None:
    store = Store(url)
    try:
        with store.read() as connection:
            return connection.execute(sa.select(leases.c.holder)).scalar_one_or_none()
    finally:
        store.close()


def _check_segments(url: str) -> None:
    """Something was compacted, and no entry twice."""
    store = Store(url)
    try:
        with store.read() as connection:
            query = sa.select(segments.c.first, segments.c.last).order_by(segments.c.project_id, segments.c.first)
            spans = connection.execute(query).all()
    finally:
        store.close()
    assert spans
    assert all(before.last < after.first for before, after in itertools.pairwise(spans)), spans


def _sealed(wire: Wire) -> int:
    """Entries under a seal; their seals form one chain (which `verify` walks) and only grow."""
    sizes = [seal["size"] for seal in wire.get(f"{DEFAULT}/seals")["seals"]]
    assert sizes == sorted(set(sizes))
    return int(sizes[-1]) if sizes else 0


def _wait_for(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.1f} s"
        time.sleep(0.05)
