"""A long series before and after compaction, and the keeper's own work: seal, compact, verify; bytes on disk."""

from __future__ import annotations

import statistics
import time
import zlib
from collections.abc import Callable

import msgspec
import numpy as np

from benchmarks import bodies, limits, wire
from benchmarks.results import Report
from benchmarks.serving import Server
from benchmarks.sizes import Sizes
from benchmarks.stores import Home, Place
from muniment.client import Client
from muniment.model.experiment import NewExperiment
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun
from muniment_server.annexes import keeper
from muniment_server.policy.access import Scope
from muniment_server.services import experiments, metrics, runs, verify
from muniment_server.services.workspace import Workspace
from muniment_server.store import compaction, projects

SERIES, SINGLES = "series", "singles"
METRIC = "train/layer_0000/loss"
BUCKETS = 500
PER_REQUEST = 1_000


def measure(place: Place, report: Report, sizes: Sizes) -> None:
    """One repetition on an empty store whose keeper is held back, so that compaction happens when this says so."""
    place.hold_keeper()
    with Server(place) as server:
        run = _fill(server, sizes)
        _read(server, run, report, sizes, "before compaction")
        with_store = place.open()
        _seal(with_store, report)
        _compact(with_store, report, place, sizes)
        with_store.close()
        _read(server, run, report, sizes, "after compaction")
        for what, mebibytes in server.memory.items():
            shape = "memory of the server after reading the long series"
            report.add(place.home.engine, shape, what, "MiB", mebibytes, more_is_better=False)
    _verify(place, report)


def _fill(server: Server, sizes: Sizes) -> str:
    """The long series in one project, single points in another; the id of the run with the series."""
    made: dict[str, list[str]] = {}
    for project, count in ((SERIES, 1), (SINGLES, 8)):
        server.call("POST", "/v1/projects", {"slug": project})
        with Client(f"http://127.0.0.1:{server.port}", project) as client:
            client.create_experiment("benchmark")
            made[project] = [client.create_run(NewRun(experiment="benchmark")).id for _ in range(count)]
    run = made[SERIES][0]
    path = f"/v1/projects/{SERIES}/runs/{run}/points"
    given = [bodies.points(1, number, wire.MSGPACK) for number in range(sizes.series // PER_REQUEST)]
    wire.drive(server.port, [bodies.queues(path, given[at::8], wire.MSGPACK) for at in range(8)])
    singles = [bodies.single_point(number) for number in range(sizes.entries // 8)]
    paths = [f"/v1/projects/{SINGLES}/runs/{item}/points" for item in made[SINGLES]]
    wire.drive(server.port, [bodies.queues(path, singles, wire.JSON) for path in paths])
    return run


def _read(server: Server, run: str, report: Report, sizes: Sizes, when: str) -> None:
    engine = server.place.home.engine
    path = f"/v1/projects/{SERIES}/runs/{run}/series"
    size = f"{sizes.series:,} points of one series"
    unpack = min(limits.read_stored(server.place, SERIES) for _ in range(3))
    whole = wire.request("GET", f"{path}?key={METRIC}", accept=wire.MSGPACK)
    seconds, answer = wire.fetch(server.port, whole, max(3, sizes.fetches // 4), 10)
    found = len(msgspec.msgpack.decode(wire.body_of(answer))["value"]) // 8
    if found != sizes.series:
        raise RuntimeError(f"{found:,} points came back of {sizes.series:,}")
    median, socket = statistics.median(seconds), wire.loopback(len(answer))
    beside = {"fetch and unpack what is stored": unpack, "the answer over a bare socket": socket}
    shape = f"read back {size}, MessagePack, {when}"
    milliseconds = {name: 1_000 * value for name, value in beside.items()}
    report.add(engine, shape, "p50", "ms", 1_000 * median, more_is_better=False, limits=milliseconds)
    report.add(
        engine, shape, "rate", "points/s", sizes.series / median,
        limits={name: sizes.series / value for name, value in beside.items()},
    )  # fmt: skip
    drawn = wire.request("GET", f"{path}/chart?key={METRIC}&buckets={BUCKETS}")
    seconds, _ = wire.fetch(server.port, drawn, max(3, sizes.fetches // 2), 10)
    report.add(
        engine, f"chart of {size} in {BUCKETS} buckets, {when}", "p50", "ms", 1_000 * statistics.median(seconds),
        more_is_better=False, limits={"fetch and unpack what is stored": 1_000 * unpack},
    )  # fmt: skip


def _seal(opened: Workspace, report: Report) -> None:
    engine = opened.store.dialect
    with opened.store.read() as connection:
        entries = projects.positions(connection)
    total = sum(entries.values())
    seconds = _timed(lambda: keeper.seal(opened))
    beside = {"hash three times an entry": total / limits.hashing(total)}
    report.add(engine, "seal what is committed (in process)", "rate", "entries/s", total / seconds, limits=beside)


def _compact(opened: Workspace, report: Report, place: Place, sizes: Sizes) -> None:
    """Compact each project alone: full segments of a long series, and entries of one point."""
    engine = place.home.engine
    bare = place.bare()
    numbers = dict(bare.rows("SELECT slug, no FROM projects"))
    bare.close()
    count = sizes.series
    step = np.arange(count)
    parquet, _ = limits.write_parquet("run", METRIC, step, step * 40, bodies.values(count, 1))
    seconds = _timed(lambda: _compact_project(opened, numbers[SERIES]))
    report.add(
        engine, "compact entries of 1,000 points (in process)", "rate", "points/s", count / seconds,
        limits={"the same columns to Parquet": count / parquet},
    )  # fmt: skip
    entries = sizes.entries // 8 * 8
    seconds = _timed(lambda: _compact_project(opened, numbers[SINGLES]))
    report.add(engine, "compact entries of 1 point (in process)", "rate", "entries/s", entries / seconds)


def _compact_project(opened: Workspace, number: int) -> None:
    while True:
        with opened.store.read() as connection:
            planned = compaction.plan(connection, number)
        if planned is None or not compaction.swap(opened.store, number, planned):
            return


def _verify(place: Place, report: Report) -> None:
    opened = place.open()
    outcome = None

    def check() -> None:
        nonlocal outcome
        outcome = verify.store(opened.store, opened.trust)

    seconds = _timed(check)
    opened.close()
    assert outcome is not None
    if not outcome.ok:
        raise RuntimeError(f"the store does not verify: {outcome.findings[:3]}")
    beside = {"hash 28 bytes a point": outcome.points / limits.hash_points(outcome.points)}
    engine, shape = place.home.engine, "verify the whole store (in process)"
    report.add(engine, shape, "points", "points/s", outcome.points / seconds, limits=beside)
    report.add(engine, shape, "entries", "entries/s", outcome.entries / seconds)


def disk(home: Home, report: Report, sizes: Sizes) -> None:
    """Bytes a point on disk after compaction: one series from requests of 1,000, written in process."""
    for kind, single in (("random doubles", False), ("doubles born as float32", True)):
        place = home.create()
        before, _ = place.size()
        opened = place.open()
        scope = opened.owner_scope
        opened.writer.write(experiments.create(opened, scope, "default", NewExperiment(name="benchmark")))
        run = opened.writer.write(runs.create(opened, scope, "default", NewRun(experiment="benchmark"))).id
        raw = b"".join(_log_all(opened, scope, run, sizes.series // PER_REQUEST, single))
        keeper.seal(opened)
        keeper.compact(opened, everything=True)
        opened.close()
        after, loose = place.size()
        shuffled = np.frombuffer(raw, np.uint8).reshape(-1, 8).T.tobytes()
        alone = len(zlib.compress(shuffled, 6)) / sizes.series
        shape = f"bytes on disk after compaction, {kind}"
        for what, found in (("in use", after), ("with free space in the files", loose)):
            report.add(
                home.engine, shape, what, "bytes/point", (found - before) / sizes.series,
                more_is_better=False, limits={"the values alone, shuffled and deflated": alone},
            )  # fmt: skip
        leaves = 32 / PER_REQUEST
        report.add(home.engine, shape, "of it leaves of requests", "bytes/point", leaves, more_is_better=False)
        home.drop(place)


def _log_all(opened: Workspace, scope: Scope, run: str, requests: int, single: bool) -> list[bytes]:
    made: list[bytes] = []
    for number in range(requests):
        body = bodies.points(1, number, wire.MSGPACK, single=single)
        given = msgspec.msgpack.decode(body, type=NewPoints)
        opened.writer.write(metrics.log(opened, scope, "default", run, given))
        assert isinstance(given.value, bytes)
        made.append(given.value)
    return made


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started
