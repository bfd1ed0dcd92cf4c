"""Searching: the first page by a metric, and by conditions, now and as of the middle of the history."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

import msgspec

from benchmarks import bodies, wire
from benchmarks.results import Report
from benchmarks.serving import Server
from benchmarks.sizes import Sizes
from benchmarks.stores import Bare, Home, Place

PROJECT = "search"
LATER_SHARE = 0.1
"""Share of runs that get second points when all are there."""
QUESTIONS: dict[str, dict[str, object]] = {
    "first page of 100 by a metric": {"order_by": ["metrics.auc DESC"]},
    "a metric and a param, by another metric, 100 runs": {
        "where": "metrics.auc > 0.5 AND params.model = 'gbm'",
        "order_by": ["metrics.loss"],
    },
    "1,000 whole runs in one page": {"order_by": ["metrics.auc DESC"], "limit": 1_000},
}
SLOW_MS = 5_000
"""A question that takes longer is asked in one repetition only."""
REFUSED = " (refused: it takes too long)"
PAST = ("first page of 100 by a metric", "a metric and a param, by another metric, 100 runs")


class Searched:
    """A store with many runs, loaded once and asked in every repetition.

    Args:
        home: the engine.
        report: where figures go.
        sizes: how much.
    """

    def __init__(self, home: Home, report: Report, sizes: Sizes) -> None:
        self.home = home
        self.report = report
        self.sizes = sizes
        self.place: Place = home.create()
        self.position = 0
        with Server(self.place) as server:
            self._load(server)

    def _load(self, server: Server) -> None:
        server.call("POST", "/v1/projects", {"slug": PROJECT})
        server.call("POST", f"/v1/projects/{PROJECT}/experiments", {"name": "benchmark"})
        path = f"/v1/projects/{PROJECT}/batch"
        made = list(bodies.batches(self.sizes.search_runs, "benchmark"))
        parts = [bodies.queues(path, [body for body, _ in made[at::2]], wire.JSON) for at in range(2)]
        driven = wire.drive(server.port, parts)
        self.report.add(
            self.home.engine, "load runs of 5 params and 5 metrics, 100 a batch, 2 clients", "acknowledged", "runs/s",
            self.sizes.search_runs / driven.seconds,
        )  # fmt: skip
        ids = [run for _, runs in made for run in runs]
        chosen = random.Random(1).sample(ids, int(len(ids) * LATER_SHARE))
        driven = wire.drive(server.port, [bodies.queues(path, list(bodies.later_points(chosen)), wire.JSON)])
        self.position = driven.position
        server.sealed(PROJECT, driven.position)
        self.place.settle()
        bare = self.place.bare()
        bare.run("ANALYZE")
        bare.close()

    def measure(self) -> None:
        """One repetition of every question."""
        engine, middle = self.home.engine, self.position // 2
        size = f"search of {self.sizes.search_runs:,} runs"
        with Server(self.place) as server:
            for name, question in QUESTIONS.items():
                milliseconds = 1_000 * statistics.median(self._ask(server, question))
                beside = {"the page by SQL written by hand": self._by_hand(name)}
                shape = f"{size}: {name}"
                self.report.add(engine, shape, "p50", "ms", milliseconds, more_is_better=False, limits=beside)
            for name in PAST:
                shape = f"{size}: {name}, as of the middle"
                known = self.report.find(engine, shape, "p50") or self.report.find(engine, shape + REFUSED, "p50")
                if known is None or known.median < SLOW_MS:
                    milliseconds, refused = self._ask_past(server, {**QUESTIONS[name], "as_of": middle})
                    shape += REFUSED if refused else ""
                    self.report.add(engine, shape, "p50", "ms", milliseconds, more_is_better=False)
            for what, mebibytes in server.memory.items():
                shape = "memory of the server after the searches"
                self.report.add(engine, shape, what, "MiB", mebibytes, more_is_better=False)

    def _ask(self, server: Server, question: dict[str, object]) -> list[float]:
        body = msgspec.json.encode(question)
        raw = wire.request("POST", f"/v1/projects/{PROJECT}/search", body, accept=wire.MSGPACK)
        seconds, answer = wire.fetch(server.port, raw, self.sizes.fetches, 8)
        found = len(msgspec.msgpack.decode(wire.body_of(answer))["runs"])
        expected = min(int(str(question.get("limit", 100))), self.sizes.search_runs // 20)
        if found < expected:
            raise RuntimeError(f"{found} runs came back of at least {expected}")
        return seconds

    def _ask_past(self, server: Server, question: dict[str, object]) -> tuple[float, bool]:
        """(milliseconds, whether the server gave up) of a question about the past."""
        started = time.perf_counter()
        try:
            return 1_000 * statistics.median(self._ask(server, question)), False
        except wire.Refused:
            return 1_000 * (time.perf_counter() - started), True

    def _by_hand(self, name: str) -> float:
        """Milliseconds of the bare driver for the rows of the same page."""
        bare = self.place.bare()
        project = bare.rows("SELECT no FROM projects WHERE slug = ?", PROJECT)[0][0]
        keys = dict(bare.rows("SELECT name, no FROM keys WHERE project_id = ?", project))
        limit = 1_000 if "1,000" in name else 100
        ask = _filtered(bare, project, keys) if "param" in name else _first_page(bare, project, keys, limit)
        found = []
        for _ in range(self.sizes.fetches):
            started = time.perf_counter()
            _rows_of(bare, project, ask())
            found.append(time.perf_counter() - started)
        bare.close()
        return 1_000 * statistics.median(found)


def _first_page(bare: Bare, project: int, keys: dict[str, int], limit: int) -> Callable[[], list[int]]:
    text = (
        "SELECT run FROM summaries WHERE project_id = ? AND key = ? AND last IS NOT NULL "
        f"ORDER BY last DESC, run DESC LIMIT {limit}"
    )
    return lambda: [row[0] for row in bare.rows(text, project, keys["auc"])]


def _filtered(bare: Bare, project: int, keys: dict[str, int]) -> Callable[[], list[int]]:
    text = (
        "SELECT s.run FROM summaries s WHERE s.project_id = ? AND s.key = ? AND s.last IS NOT NULL "
        "AND EXISTS (SELECT 1 FROM summaries a WHERE a.project_id = s.project_id AND a.run = s.run "
        "AND a.key = ? AND a.last > 0.5) "
        "AND EXISTS (SELECT 1 FROM params p WHERE p.project_id = s.project_id AND p.run = s.run "
        "AND p.key = ? AND p.value = 'gbm') "
        "ORDER BY s.last, s.run LIMIT 100"
    )
    return lambda: [row[0] for row in bare.rows(text, project, keys["loss"], keys["auc"], keys["model"])]


def _rows_of(bare: Bare, project: int, numbers: list[int]) -> None:
    listed = ",".join(map(str, numbers))
    bare.rows(f"SELECT * FROM runs WHERE project_id = ? AND no IN ({listed}) AND valid_to IS NULL", project)
    for table in ("params", "tags", "summaries"):
        bare.rows(f"SELECT * FROM {table} WHERE project_id = ? AND run IN ({listed})", project)
