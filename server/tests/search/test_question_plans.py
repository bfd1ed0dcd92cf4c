"""How SQLite answers the standard questions: through indexes, never by reading a whole table."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from muniment.model.dataset import NewDataset, NewDatasetVersion, Slice
from muniment.model.evaluation import NewEvaluation
from muniment.model.experiment import NewExperiment
from muniment.model.job import NewJob
from muniment.model.link import NewLink
from muniment.model.metric import NewPoints
from muniment.model.model import NewModel, NewModelVersion
from muniment.model.note import NewNote
from muniment.model.othername import NewOtherName, OtherName
from muniment.model.question import BestQuery, Compare
from muniment.model.run import NewRun
from muniment.model.search import Query
from muniment_server.services import (
    artifacts,
    comparisons,
    datasets,
    evaluations,
    experiments,
    facets,
    jobs,
    lineage,
    links,
    metrics,
    models,
    notes,
    othernames,
    questions,
    reports,
    runs,
    search,
)
from muniment_server.services import ledger as history
from muniment_server.services.workspace import Workspace

_SCAN = re.compile(r"SCAN ([\w.]+)")
_PROJECT = re.compile(r"SEARCH (\w+) USING [^\n]*\(project_id=\?\)$", re.MULTILINE)
HARMLESS = frozenset(("json_each", "CONSTANT", "LIST", "SUBQUERY", "heads", "words", "main.words_config"))
"""What is read from its beginning without reading a table of records; a project has one row of `heads`."""


class Stage:
    """A store with something of everything, and the statements that it executes."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(f"sqlite:///{folder / 'store.db'}", trust=folder / "trust")
        self.common: Any = (self.workspace, self.workspace.owner_scope, "default")
        self.executed: list[str] = []
        sa.event.listen(self.workspace.store._reading, "checkout", self._watch)
        self._fill()

    def _watch(self, raw: Any, record: object, proxy: object) -> None:
        del record, proxy
        raw.set_trace_callback(self.executed.append)

    def _fill(self) -> None:
        write = self.workspace.writer.write
        write(experiments.create(*self.common, NewExperiment(name="e")))
        write(jobs.create(*self.common, NewJob(name="train")))
        write(datasets.create(*self.common, NewDataset(name="d")))
        write(models.create(*self.common, NewModel(name="m")))
        slices = [Slice(name="test")]
        self.data = [
            write(datasets.create_version(*self.common, "d", NewDatasetVersion(slices=slices))) for _ in range(3)
        ]
        self.runs, self.versions = [], []
        for number in range(6):
            run = write(runs.create(*self.common, NewRun(experiment="e", job="train", params={"n": str(number)})))
            write(metrics.log(*self.common, run.id, NewPoints(series=["auc"], value=[float(number)])))
            used = NewLink(upstream=self.data[number % 3].id, downstream=run.id, type="used")
            write(links.add(*self.common, [used]))
            version = write(models.create_version(*self.common, "m", NewModelVersion(run=run.id)))
            new = NewEvaluation(
                model_version=version.id, dataset_version=self.data[0].id, slice="test", metrics={"auc": number / 6}
            )
            write(evaluations.create(*self.common, new))
            self.runs.append(run)
            self.versions.append(version)
        write(models.set_alias(*self.common, "m", "champion", "1"))
        write(notes.create(*self.common, NewNote(subject="model:m", text="gradient boosting")))
        write(facets.set_facet(*self.common, "model:m", "owner", {"team": "risk"}))
        write(othernames.give(*self.common, NewOtherName(system="mlflow", name="x", record=self.runs[0].id)))
        received = asyncio.run(artifacts.receive(*self.common, _one(b"bytes")))
        write(artifacts.keeping(*self.common, self.runs[0].id, "a", received))

    def plans_of(self, ask: Callable[[], object]) -> dict[str, str]:
        """The plan of each statement that a question executes."""
        self.executed.clear()
        ask()
        asked = [text for text in dict.fromkeys(self.executed) if text.lstrip().upper().startswith(("SELECT", "WITH"))]
        assert asked, "nothing was read"
        with self.workspace.store.read() as connection:
            raw: Any = connection.connection.driver_connection
            raw.set_trace_callback(None)
            return {
                text: "\n".join(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}"))
                for text in asked
            }  # fmt: skip


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("plans"))
    yield made
    made.workspace.close()


def _best(stage: Stage, **given: Any) -> object:
    return questions.best(*stage.common, BestQuery(metric="auc", dataset="d@1", **given))


def _lineage(stage: Stage, direction: Any, as_of: int | None = None) -> object:
    return lineage.lineage(*stage.common, stage.data[0].id, direction=direction, depth=10, limit=100, as_of=as_of)


def _search(stage: Stage, kind: Any, where: str) -> object:
    return search.search(*stage.common, Query(kind=kind, where=where, limit=3))


QUESTIONS: dict[str, Callable[[Stage], object]] = {
    "best run on a dataset version": _best,
    "best run on a slice": lambda stage: _best(stage, slice="test"),
    "similar runs": lambda stage: questions.similar(*stage.common, stage.runs[0].id, limit=10),
    "reproducibility": lambda stage: reports.reproducibility(*stage.common, "m", "1"),
    "comparison": lambda stage: comparisons.compare(
        *stage.common, Compare(records=[stage.runs[0].id, stage.runs[1].id])
    ),
    "changes of a record": lambda stage: comparisons.history(*stage.common, stage.runs[0].id),
    "history of a record": lambda stage: history.history(*stage.common, stage.runs[0].id),
    "descendants": lambda stage: _lineage(stage, "downstream"),
    "descendants as of the past": lambda stage: _lineage(stage, "downstream", 12),
    "ancestors": lambda stage: _lineage(stage, "upstream"),
    "path": lambda stage: lineage.path(*stage.common, stage.data[0].id, stage.versions[0].id),
    "difference of ancestries": lambda stage: lineage.difference(
        *stage.common, stage.versions[0].id, stage.versions[1].id
    ),
    "a model with its versions": lambda stage: models.get(*stage.common, "m"),
    "a version by alias": lambda stage: models.get_version(*stage.common, "m", "champion"),
    "a version by number": lambda stage: models.get_version(*stage.common, "m", "2"),
    "the latest version of a dataset": lambda stage: datasets.get_version(*stage.common, "d", "latest"),
    "artifacts of a run": lambda stage: artifacts.of_record(*stage.common, stage.runs[0].id),
    "an artifact by its digest": lambda stage: artifacts.get(
        *stage.common, "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
    ),
    "facets of a record": lambda stage: facets.of_record(*stage.common, "model:m"),
    "a record by another system's name": lambda stage: othernames.find(
        *stage.common, OtherName(system="mlflow", name="x")
    ),
    "runs on a dataset": lambda stage: _search(stage, "run", "dataset.name = 'd' AND dataset.version = '1'"),
    "runs of a job": lambda stage: _search(stage, "run", "job.name = 'train'"),
    "notes on a record": lambda stage: _search(stage, "note", f"subject = '{stage.runs[0].id}'"),
    "records by their words": lambda stage: _search(stage, "note", "text MATCH 'gradient'"),
    "a version by its evaluation": lambda stage: _search(stage, "model_version", "evaluation.auc > 0.5"),
}


WALKED = {
    "similar runs": frozenset(("dataset_versions",)),  # the youngest 20,000, whose columns are compared
}
"""Tables of the project that a question may read from one end, up to a limit."""


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_table_is_read_whole(stage: Stage, name: str) -> None:
    for text, plan in stage.plans_of(lambda: QUESTIONS[name](stage)).items():
        walked = set(_SCAN.findall(plan)) | set(_PROJECT.findall(plan))
        assert not walked - HARMLESS - WALKED.get(name, frozenset()), f"{text}\n{plan}"
