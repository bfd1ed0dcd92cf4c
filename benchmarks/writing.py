"""Writing: points by the thousand, one by one, whole runs; over HTTP, on a server that also seals and compacts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import bodies, limits, wire
from benchmarks.empty import EmptyServer
from benchmarks.results import Report
from benchmarks.serving import Server
from benchmarks.sizes import Sizes
from benchmarks.stores import Place
from muniment.client import Client
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun

WRITERS = 8
MEDIA = {"JSON": wire.JSON, "MessagePack": wire.MSGPACK}
OWN, FSYNC = "our own work before the lock, one core", "append + fsync"
_LIMIT_BODIES = 240
"""Requests with which the machine's limits are measured."""


class Bench:
    """One repetition of the writing shapes on one server.

    Args:
        server: freshly started on an empty store.
        empty: a server that does nothing, to compare with.
        report: where figures go.
        sizes: how much is written.
    """

    def __init__(self, server: Server, empty: EmptyServer, report: Report, sizes: Sizes) -> None:
        self.server = server
        self.empty = empty
        self.place = server.place
        self.engine = server.place.home.engine
        self.report = report
        self.sizes = sizes

    def shapes(self) -> Iterator[Callable[[], None]]:
        """Every shape, in the order in which they are measured."""
        for keys in (1, 20, 1_000):
            for name in MEDIA:
                yield partial(self.points, keys, name)
        for clients in (1, WRITERS):
            yield partial(self.single_points, clients)
        for clients in (1, WRITERS):
            yield partial(self.runs, clients)

    def measure(self) -> None:
        """All shapes, each when the keeper has come to rest, and the server's memory after them."""
        for shape in self.shapes():
            self.place.settle()
            shape()
        self.place.settle()
        for what, mebibytes in self.server.memory.items():
            name = "memory of the server after the writing shapes"
            self.report.add(self.engine, name, what, "MiB", mebibytes, more_is_better=False)

    def _project(self, slug: str, runs: int) -> list[str]:
        """A new project with so many runs; their ids."""
        self.server.call("POST", "/v1/projects", {"slug": slug})
        with Client(f"http://127.0.0.1:{self.server.port}", slug) as client:
            client.create_experiment("benchmark")
            return [client.create_run(NewRun(experiment="benchmark")).id for _ in range(runs)]

    def points(self, keys: int, name: str) -> None:
        """1,000 points a request, `WRITERS` clients, each with a run of its own."""
        media, project = MEDIA[name], f"points-{keys}-{name.lower()}"
        runs = self._project(project, WRITERS)
        count = self.sizes.requests if keys < 1_000 else self.sizes.requests // 10
        made = [[bodies.points(keys, number, media) for number in range(at, count, WRITERS)] for at in range(WRITERS)]
        queues = [
            bodies.queues(f"/v1/projects/{project}/runs/{run}/points", items, media)
            for run, items in zip(runs, made, strict=True)
        ]
        before = self.server.processor
        driven = wire.drive(self.server.port, queues)
        processor = self.server.processor - before
        sealed = self.server.sealed(project, driven.position)
        total = count * 1_000
        sample = [body for items in made for body in items][:_LIMIT_BODIES]
        beside = self._points_limits(sample, media)
        beside["an empty server"] = 1_000 / self.empty.seconds(queues, _LIMIT_BODIES)
        shape = f"log points: 1,000 a request, {keys:,} {'metric' if keys == 1 else 'metrics'}, {name}, 8 clients"
        self._add(shape, "acknowledged", "points/s", total / driven.seconds, dict(beside))
        self._add(shape, "and sealed", "points/s", total / (sealed - driven.started), beside)
        self._latency(shape, driven, processor)

    def _points_limits(self, sample: list[bytes], media: str) -> dict[str, float]:
        points = len(sample) * 1_000
        own, batches = limits.prepare(sample, media)
        return {
            "decode only": points / limits.decode(sample, media),
            FSYNC: points / limits.append(self.place.home.folder, sample, WRITERS),
            "bare insert": points / limits.insert_points(self.place, batches, WRITERS, WRITERS),
            OWN: points / own,
        }

    def single_points(self, clients: int) -> None:
        """One point a request."""
        project = f"single-{clients}"
        runs = self._project(project, clients)
        each = self.sizes.singles if clients == 1 else self.sizes.singles * 4 // clients
        made = [bodies.single_point(number) for number in range(each)]
        queues = [bodies.queues(f"/v1/projects/{project}/runs/{run}/points", made, wire.JSON) for run in runs]
        before = self.server.processor
        driven = wire.drive(self.server.port, queues)
        processor = self.server.processor - before
        sample = made[: self.sizes.singles]
        count = len(sample)
        _, batches = limits.prepare(sample, wire.JSON)
        beside = {
            FSYNC: count / limits.append(self.place.home.folder, sample, clients),
            "bare insert": count / limits.insert_points(self.place, batches, clients, clients),
            "an empty server": 1 / self.empty.seconds(queues, 4 * _LIMIT_BODIES),
        }
        shape = f"log one point a request, {_clients(clients)}"
        self._add(shape, "acknowledged", "requests/s", each * clients / driven.seconds, beside)
        self._latency(shape, driven, processor)

    def runs(self, clients: int) -> None:
        """Runs of 20 params and 20 metrics: created, logged, finished."""
        project = f"runs-{clients}"
        self._project(project, 1)
        each = self.sizes.runs if clients == 1 else self.sizes.runs * 4 // clients
        queues: list[list[bytes]] = []
        for client in range(clients):
            requests = [bodies.run_requests(project, "benchmark", client * each + number) for number in range(each)]
            queues.append([item for three in requests for item in three])
        before = self.server.processor
        driven = wire.drive(self.server.port, queues)
        processor = self.server.processor - before
        total = each * clients
        beside = {
            "an empty server": 1 / (3 * self.empty.seconds(queues, 4 * _LIMIT_BODIES)),
            "bare insert": total / limits.insert_runs(self.place, project, 3 * total // clients),
        }
        shape = f"a run of 20 params and 20 metrics in 3 requests, {_clients(clients)}"
        self._add(shape, "acknowledged", "runs/s", total / driven.seconds, beside)
        self._latency(shape, driven, processor)

    def _add(self, shape: str, what: str, unit: str, value: float, beside: dict[str, float]) -> None:
        aside = {OWN: beside.pop(OWN)} if OWN in beside else {}
        if self.engine == "sqlite" and FSYNC in beside:  # its acknowledged writes survive the process, not the power
            aside[FSYNC] = beside.pop(FSYNC)
        self.report.add(self.engine, shape, what, unit, value, limits=beside, aside=aside)

    def _latency(self, shape: str, driven: wire.Driven, processor: float) -> None:
        for what, share in (("p50", 0.5), ("p99", 0.99)):
            milliseconds = 1_000 * driven.quantile(share)
            self.report.add(self.engine, shape, f"{what} of a request", "ms", milliseconds, more_is_better=False)
        each = 1_000 * processor / len(driven.latencies)
        what = "processor time of the server, a request"
        self.report.add(self.engine, shape, what, "ms", each, more_is_better=False)


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def embedded(place: Place, report: Report, sizes: Sizes) -> None:
    """One point a request from the SDK's client without a server: the store opened in this process."""
    engine = place.home.engine
    with Client(place.url) as client:
        client.create_experiment("benchmark")
        run = client.create_run(NewRun(experiment="benchmark")).id
        client.log_points(run, NewPoints(series=["loss"], value=[0.0], step=[0]))
        given: list[Any] = [NewPoints(series=["loss"], value=[0.5], step=[at]) for at in range(1, sizes.singles)]
        started = time.perf_counter()
        for item in given:
            client.log_points(run, item)
        seconds = time.perf_counter() - started
    shape = "log one point a request, in process, 1 thread"
    report.add(engine, shape, "acknowledged", "requests/s", len(given) / seconds)
