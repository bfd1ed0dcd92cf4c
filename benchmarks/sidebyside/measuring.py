"""The measurements: each is one repetition of one row on one side."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import bodies, limits, wire
from benchmarks.empty import EmptyServer
from benchmarks.results import Report
from benchmarks.sidebyside import filling, protocol, rows, sides
from benchmarks.sidebyside.amounts import Amounts, Load
from benchmarks.sidebyside.rows import Row
from benchmarks.sidebyside.sides import Side, Store
from benchmarks.stores import Place
from muniment_server.services.workspace import DEFAULT_PROJECT

WRITERS = 8
_WRITTEN = "written"
_CLIENT_SECONDS = 900
_LIMIT_REQUESTS = 480
"""Requests with which the machine's limits are measured."""


class Told(msgspec.Struct):
    """What `with_client` tells."""

    runs: float
    singles: float
    search: float
    found: int
    history: float
    points: int
    version: str


class Bench:
    """Measures all rows of one engine, the sides in turns.

    Args:
        engine: in the report.
        running: the sides.
        amounts: how much.
        report: where figures go.
        python: the interpreter that has MLflow.
    """

    def __init__(self, engine: str, running: list[Side], amounts: Amounts, report: Report, python: Path) -> None:
        self.engine = engine
        self.running = running
        self.amounts = amounts
        self.report = report
        self.python = python
        self._made = 0
        self._empty = EmptyServer()

    def close(self) -> None:
        """End what was started for it."""
        self._empty.stop()

    def shapes(self) -> Iterator[tuple[str, Callable[[Side], None]]]:
        """Every measurement with its name, in the order in which they are made."""
        for row, keys in ((rows.BATCH_1, 1), (rows.BATCH_20, 20)):
            yield row.name, partial(self.batches, row=row, keys=keys)
        yield rows.SINGLE.name, self.singles
        for row, clients in ((rows.RUN_1, 1), (rows.RUN_8, WRITERS)):
            yield row.name, partial(self.runs, row=row, clients=clients)
        for name, row in rows.page(self.amounts.runs).items():
            yield row.name, partial(self.page, row=row, question=rows.QUESTIONS[name])
        yield rows.READ.name, self.read
        yield rows.chart(self.amounts.chart).name, self.chart
        yield "MLflow's Python client", self.client

    def memory(self) -> None:
        """What the servers' processes take after everything."""
        for side in self.running:
            found = side.server.memory
            count = found.get("processes", 1)
            for row, value in ((rows.MEMORY_PEAK, found["peak"]), (rows.MEMORY_END, found["now"])):
                self._add(
                    row, side, value, {"processes": count, "the greatest of them": found.get("greatest now", value)}
                )

    def batches(self, side: Side, *, row: Row, keys: int) -> None:
        """1,000 points a request."""
        count = self._load(side).batches
        made = self._new_runs(side, WRITERS)
        queues = [
            [protocol.log_batch(run, keys, number) for number in range(at, count, WRITERS)]
            for at, run in enumerate(made)
        ]
        self._drive(side, row, queues, 1_000 * count)
        if side.place is not None:
            made_of = [bodies.points(keys, number, wire.JSON) for number in range(min(count, _LIMIT_REQUESTS))]
            self._limit(row, 1_000, queues, 1, self._bare(side.place, made_of, WRITERS))

    def singles(self, side: Side) -> None:
        """One point a request."""
        (run,) = self._new_runs(side, 1)
        count = self._load(side).singles
        queues = [[protocol.log_metric(run, number) for number in range(count)]]
        self._drive(side, rows.SINGLE, queues, count)
        if side.place is not None:
            made_of = [bodies.single_point(number) for number in range(min(count, _LIMIT_REQUESTS))]
            self._limit(rows.SINGLE, 1, queues, 1, self._bare(side.place, made_of, 1))

    def runs(self, side: Side, *, row: Row, clients: int) -> None:
        """Runs in three requests each."""
        experiment = side.experiment(_WRITTEN)
        each = self._load(side).runs * (1 if clients == 1 else 2) // clients
        queues = []
        for client in range(clients):
            wanted = [protocol.whole_run(experiment, client * each + number) for number in range(each)]
            queues.append(protocol.runs_talk(wanted))
        self._drive(side, row, queues, each * clients)
        if side.place is not None and clients == 1:
            same = [raw for number in range(each) for raw in protocol.whole_run(experiment, number)]
            seconds = limits.insert_runs(side.place, DEFAULT_PROJECT, 3 * each, each) / each
            self._limit(row, 1, [same], 3, seconds)

    def page(self, side: Side, *, row: Row, question: dict[str, object]) -> None:
        """A page of runs."""
        raw = protocol.search(side.experiment(filling.SEARCHED), question)
        self._ask(side, row, raw)

    def read(self, side: Side) -> None:
        """A whole series, as the client reads it."""
        side.rest()
        length = self._load(side).series
        driven = wire.drive(side.port, [protocol.history_talk(filling.series_id(length))])
        if len(driven.latencies) != -(-length // protocol.PAGE):
            raise RuntimeError(f"{side.name}: {length:,} points came in {len(driven.latencies)} pages")
        self._add(rows.READ, side, length / driven.seconds, {"points": length})

    def chart(self, side: Side) -> None:
        """A chart of a long series, after something was written; and the same chart once more."""
        raw = protocol.chart(filling.series_id(self.amounts.chart))
        self._ask(side, rows.chart(self.amounts.chart), raw)
        seconds, _ = wire.fetch(side.port, raw, self.amounts.fetches, self.amounts.budget)
        self._add(rows.CHART_AGAIN, side, 1_000 * statistics.median(seconds), {"answers": len(seconds)})

    def _ask(self, side: Side, row: Row, raw: bytes) -> None:
        """A question, asked some times while points are logged to another run."""
        (other,) = self._new_runs(side, 1)
        side.rest()
        talk = protocol.disturbed_talk(raw, other, self.amounts.fetches, self.amounts.budget)
        seconds = wire.drive(side.port, [talk]).latencies[1::2]
        seconds = seconds[1:] or seconds
        self._add(row, side, 1_000 * statistics.median(seconds), {"answers": len(seconds)})

    def client(self, side: Side) -> None:
        """MLflow's own client, in a process of its own."""
        side.rest()
        load = self._load(side)
        given = (
            _WRITTEN, load.client_runs, load.client_singles, filling.SEARCHED,
            filling.series_id(self.amounts.theirs.series), protocol.KEY,
        )  # fmt: skip
        environment = {**os.environ, **sides.QUIET, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{side.port}"}
        environment.pop("PYTHONPATH", None)
        program = Path(__file__).with_name("with_client.py")
        done = subprocess.run(
            [self.python, program, *map(str, given)], env=environment,
            capture_output=True, text=True, check=False, timeout=_CLIENT_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{side.name}: MLflow's client failed: {(done.stderr.strip() or 'silently')[-500:]}")
        told = msgspec.json.decode(done.stdout.splitlines()[-1], type=Told)
        if (told.found, told.points) != (min(1_000, self.amounts.runs), self.amounts.theirs.series):
            raise RuntimeError(f"{side.name}: MLflow's client found {told.found} runs and {told.points:,} points")
        for row, value in (
            (rows.CLIENT_SINGLE, told.singles), (rows.CLIENT_RUN, told.runs), (rows.CLIENT_SEARCH, told.search),
            (rows.CLIENT_READ, told.history),
        ):  # fmt: skip
            self._add(row, side, value, {})

    def _load(self, side: Side) -> Load:
        return self.amounts.ours if side.is_ours else self.amounts.theirs

    def _new_runs(self, side: Side, count: int) -> list[str]:
        """Runs to log to; their ids."""
        self._made += 1
        experiment, made = side.experiment(_WRITTEN), []
        for at in range(count):
            asked = {"experiment_id": experiment, "run_name": f"{self._made}-{at}", "start_time": protocol.EPOCH}
            made.append(msgspec.json.decode(side.ask("POST", "runs/create", asked))["run"]["info"]["run_id"])
        return made

    def _drive(self, side: Side, row: Row, queues: list[list[bytes]] | list[wire.Talk], amount: float) -> None:
        side.rest()
        before = side.server.processor
        driven = wire.drive(side.port, queues)
        processor = 1_000 * (side.server.processor - before) / len(driven.latencies)
        self._add(
            row, side, amount / driven.seconds,
            {
                "requests": len(driven.latencies), "ms of a request, median": 1_000 * driven.quantile(0.5),
                "ms of a request, p99": 1_000 * driven.quantile(0.99), "processor ms of the server": processor,
            },
        )  # fmt: skip

    def _bare(self, place: Place, made_of: list[bytes], together: int) -> float:
        """Seconds of the bare driver for the rows of a request of points, so many requests in one commit."""
        _, batches = limits.prepare(made_of, wire.JSON)
        return limits.insert_points(place, batches, together, together) / len(batches)

    def _limit(self, row: Row, amount: float, queues: list[list[bytes]], requests: int, bare: float) -> None:
        """Note what an empty server and the bare driver do with the same requests and rows.

        Args:
            row: whose limits these are.
            amount: how much of the row's unit they hold.
            queues: requests, one list for each client.
            requests: that make up `amount`.
            bare: seconds that the bare driver takes for `amount`.
        """
        http = requests * self._empty.seconds(queues, _LIMIT_REQUESTS)
        for what, value in ((rows.EMPTY, amount / http), (rows.BARE, amount / bare)):
            self.report.add(self.engine, row.name, what, row.unit, value)

    def _add(self, row: Row, side: Side, value: float, aside: dict[str, float]) -> None:
        self.report.add(
            self.engine, row.name, side.name, row.unit, value, more_is_better=row.more_is_better, aside=aside
        )


def disk(engine: str, side: Side, store: Store, amounts: Amounts, report: Report) -> Side:
    """Bytes a point, of points that are logged over the protocol to a store with nothing in it; the side to go on with.

    Args:
        engine: in the report.
        side: served.
        store: under it.
        amounts: how much.
        report: where figures go.
    """
    count = (amounts.ours if side.is_ours else amounts.theirs).disk
    experiment, made = side.experiment(_WRITTEN), []
    for row, single in ((rows.DISK_64, False), (rows.DISK_32, True)):
        asked = {"experiment_id": experiment, "run_name": row.short, "start_time": protocol.EPOCH}
        answer = msgspec.json.decode(side.ask("POST", "runs/create", asked))
        made.append((row, single, answer["run"]["info"]["run_id"]))
    before, side = store.weigh(side)
    for row, single, run in made:
        wire.drive(side.port, [[protocol.log_batch(run, 1, at, single=single) for at in range(count // 1_000)]])
        after, side = store.weigh(side)
        aside: dict[str, float] = {"points": count}
        weight = (after - before) / count
        report.add(engine, row.name, side.name, row.unit, weight, more_is_better=False, aside=aside)
        before = after
    side.experiments[_WRITTEN] = experiment
    return side
