"""Lineage in a graph of a million links: ``python -m benchmarks.lineage``.

The graph is put into the tables directly, since it is reading that is measured: runs and dataset versions in forty
layers, five links into each record on average, one in ten of them over several layers. Half of the links came in the
second half of the history, and one in twenty ended there. The question is for the nearest 10,000 ancestors of a record
of the last layer: the walk alone, and the whole answer with names. Beside it, the same link rows read with the bare
driver, level by level.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from benchmarks.stores import ENGINES, Bare, Home
from muniment.model.dataset import Dataset, NewDataset
from muniment.model.experiment import NewExperiment
from muniment_server.policy.access import Permission
from muniment_server.services import datasets, experiments, lineage
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace, now
from muniment_server.store import links, tables

LAYERS = 40
_AT_ONCE = 50_000


class Graph:
    """One engine's store with the graph in it.

    Args:
        home: where the store lies.
        records: how many records, and five times as many links.
    """

    def __init__(self, home: Home, records: int) -> None:
        self.place = home.create()
        self.workspace = Workspace(self.place.url, migrate=True)
        scope, write = self.workspace.owner_scope, self.workspace.writer.write
        experiment = write(experiments.create(self.workspace, scope, DEFAULT_PROJECT, NewExperiment(name="graph")))
        dataset = write(datasets.create(self.workspace, scope, DEFAULT_PROJECT, NewDataset(name="graph")))
        self.project = self.workspace.project(scope, DEFAULT_PROJECT, Permission.READ).no
        self.first = 10
        self.per = records // LAYERS
        self.count = 5 * records
        self.half = 10 + self.count // 2
        rng = random.Random(7)
        with self.workspace.store.write() as connection:
            for table, rows in self._tables(records, experiment.id, dataset, rng):
                for start in range(0, len(rows), _AT_ONCE):
                    connection.execute(sa.insert(table), rows[start : start + _AT_ONCE])
            heads = tables.heads
            last = {"position": 10 + self.count, "records": self.first + records}
            connection.execute(sa.update(heads).where(heads.c.project_id == self.project).values(**last))
        with self.workspace.store.write() as connection:
            connection.execute(sa.text("ANALYZE"))
        self.start = self.first + (LAYERS - 1) * self.per + 5
        self.start_id = f"{self.start:032x}"

    def _tables(
        self, records: int, experiment: str, dataset: Dataset, rng: random.Random
    ) -> Iterator[tuple[sa.Table, list[dict[str, Any]]]]:
        common = {
            "project_id": self.project,
            "valid_from": 9,
            "valid_to": None,
            "lifecycle": "active",
            "created_at": now(),
        }
        known, runs, versions = [], [], []
        for at in range(records):
            no = self.first + at
            run = (at // self.per) % 2 == 1
            known.append(
                {"project_id": self.project, "no": no, "kind": "run" if run else "dataset_version", "id": f"{no:032x}",
                 "salt": b"x" * 16}
            )  # fmt: skip
            if run:
                runs.append(
                    {**common, "no": no, "id": f"{no:032x}", "experiment": experiment, "name": f"run {no}",
                     "kind": "processing", "state": "finished", "attempt": 1}
                )  # fmt: skip
            else:
                versions.append(
                    {**common, "no": no, "id": f"{no:032x}", "dataset": dataset.id, "version": str(no), "sources": [],
                     "schema": [], "slices": []}
                )  # fmt: skip
        yield tables.records, known
        yield tables.runs, runs
        yield tables.dataset_versions, versions
        yield tables.links, self._links(rng)

    def _links(self, rng: random.Random) -> list[dict[str, Any]]:
        pairs: dict[tuple[int, int], None] = {}
        while len(pairs) < self.count:
            layer = rng.randrange(1, LAYERS)
            above = layer - 1 if rng.random() < 0.9 else rng.randrange(layer)
            pairs[layer * self.per + rng.randrange(self.per), above * self.per + rng.randrange(self.per)] = None
        made = []
        for at, (downstream, upstream) in enumerate(rng.sample(sorted(pairs), len(pairs))):
            ended = self.half + rng.randrange(self.count // 2) if at < self.count // 2 and rng.random() < 0.05 else None
            made.append(
                {"project_id": self.project, "downstream": self.first + downstream, "upstream": self.first + upstream,
                 "type": "used", "role": "", "run": 0, "valid_from": 10 + at, "valid_to": ended, "source": "explicit"}
            )  # fmt: skip
        return made

    def close(self) -> None:
        """Give the store back."""
        self.workspace.close()

    def walk(self, as_of: int | None, limit: int) -> links.Found:
        """The nearest ancestors, by number."""
        with self.workspace.store.read() as connection:
            return links.walk(connection, self.project, self.start, "upstream", depth=1_000, limit=limit, as_of=as_of)

    def answer(self, as_of: int | None, limit: int) -> Any:
        """The nearest ancestors, as the API answers them."""
        return lineage.lineage(
            self.workspace, self.workspace.owner_scope, DEFAULT_PROJECT, self.start_id,
            direction="upstream", depth=1_000, limit=limit, as_of=as_of,
        )  # fmt: skip

    def bare(self, found: links.Found) -> Callable[[], object]:
        """Reads the same rows with the bare driver, level by level."""
        levels: dict[int, list[int]] = {}
        for number, depth in found.depths.items():
            levels.setdefault(depth, []).append(number)
        driver = Bare(self.place.url)
        if driver.is_sqlite:
            text = (
                "SELECT downstream, upstream, type, role, run, source, valid_from FROM links WHERE project_id = ? AND "
                "downstream IN (SELECT value FROM json_each(?)) AND valid_to IS NULL"
            )
        else:
            text = (
                "SELECT downstream, upstream, type, role, run, source, valid_from FROM links WHERE project_id = ? AND "
                "downstream = ANY(?) AND valid_to IS NULL"
            )

        def read() -> object:
            return [
                driver.rows(
                    text, self.project, msgspec.json.encode(sorted(level)).decode() if driver.is_sqlite else level
                )
                for _, level in sorted(levels.items())
            ]

        return read


def timed(work: Callable[[], object], repetitions: int) -> float:
    """The median of some repetitions in milliseconds, after one that warms up."""
    work()
    taken = []
    for _ in range(repetitions):
        started = time.perf_counter()
        work()
        taken.append(1_000 * (time.perf_counter() - started))
    return statistics.median(taken)


def measured(graph: Graph, engine: str, limit: int, repetitions: int) -> Iterator[dict[str, Any]]:
    """The figures of one engine."""
    for moment, as_of in (("now", None), ("as of half", graph.half), ("as of the end", 10 + graph.count)):
        found = graph.walk(as_of, limit)
        yield {
            "engine": engine,
            "moment": moment,
            "records": len(found.depths),
            "links": len(found.links),
            "walk_ms": timed(partial(graph.walk, as_of, limit), repetitions),
            "answer_ms": timed(partial(graph.answer, as_of, limit), repetitions),
            "bare_ms": timed(graph.bare(found), repetitions) if as_of is None else None,
        }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lineage", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this one")
    parser.add_argument("--records", type=int, default=200_000, help="records; five times as many links (200,000)")
    parser.add_argument("--limit", type=int, default=10_000, help="ancestors asked for (10,000)")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    given = parser.parse_args()
    console = Console(stderr=given.json)
    table = Table("engine", "moment", "records", "links", "walk, ms", "whole answer, ms", "bare driver, ms")
    figures = []
    folder = Path(tempfile.mkdtemp(prefix="muniment-benchmark-"))
    folder.chmod(0o755)
    try:
        for engine in given.engine or ENGINES:
            with console.status(f"{engine}: putting in {5 * given.records:,} links"):
                graph = Graph(Home(engine, folder), given.records)
            for figure in measured(graph, engine, given.limit, given.repetitions):
                figures.append(figure)
                cells = (f"{v:,.0f}" if isinstance(v, float) else "" if v is None else str(v) for v in figure.values())
                table.add_row(*cells)
            graph.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        print(msgspec.json.encode(figures).decode())
    else:
        console.print(table)


if __name__ == "__main__":
    main()
