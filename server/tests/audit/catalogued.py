"""What the attacked store knows besides runs: every other kind of record, and what belongs to records by a name.

Of whatever changes there is a row that held until something followed, and one that holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from muniment.model.dataset import DatasetChange, NewDataset, NewDatasetVersion, Slice, Source
from muniment.model.evaluation import NewEvaluation, Threshold
from muniment.model.experiment import NewExperiment
from muniment.model.facet import FacetTypeChange, NewFacetType
from muniment.model.job import JobChange, NewJob
from muniment.model.link import NewLink
from muniment.model.model import Framework, ModelChange, ModelVersionChange, NewModel, NewModelVersion, Signature
from muniment.model.note import NewNote, NoteChange
from muniment.model.othername import NewOtherName, OtherName
from muniment.model.schema import Column
from muniment.model.view import NewSavedView, SavedViewChange
from muniment_server.policy.access import Permission
from muniment_server.services import (
    artifacts,
    datasets,
    erasure,
    evaluations,
    experiments,
    facets,
    jobs,
    links,
    models,
    notes,
    othernames,
    records,
    views,
)
from muniment_server.services.workspace import Change, Workspace, now

_SCHEMA = {"type": "object", "required": ["team"]}
_COLUMNS = [Column(name="age", type="int64", nullable=False), Column(name="amount", type="double", unit="EUR")]


class Catalogue:
    """Writes them into the project `default`."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.at = (workspace, workspace.owner_scope, "default")

    def write(self, *changes: Change[Any]) -> None:
        """Write in order."""
        for change in changes:
            self.workspace.writer.write(change)

    def holding(self, record: str, path: str, content: bytes, media_type: str | None = None) -> Change[Any]:
        """That a record has bytes, which have arrived."""
        received = asyncio.run(artifacts.receive(*self.at, _chunks(content), media_type=media_type))
        return artifacts.keeping(*self.at, record, path, received)

    def link(self, upstream: str, downstream: str, type_: Any, **more: Any) -> NewLink:
        """A link to record or to end."""
        return NewLink(upstream=upstream, downstream=downstream, type=type_, **more)

    def doomed_run(self, run: str, before: str, after: str) -> None:
        """Everything that can belong to a run, which will be erased."""
        self.write(
            facets.set_facet(*self.at, run, "owner", {"team": "gone"}),
            self.holding(run, "gone.bin", b"gone"),
            othernames.give(*self.at, NewOtherName(system="mlflow", name="gone", record=run)),
            links.add(*self.at, [self.link(before, run, "supersedes"), self.link(run, after, "derived_from")]),
        )

    def begin(self) -> None:
        """What runs are executions of."""
        self.write(
            jobs.create(*self.at, NewJob(name="daily", type="dbt model", description="one")),
            jobs.create(*self.at, NewJob(name="daily", namespace="ops")),
            jobs.update(*self.at, "daily", JobChange(description="two", type="dbt test")),
        )

    def build(self, runs: list[str]) -> None:
        """Everything else; some of it is of runs."""
        self._fates(runs[1])
        self._datasets(runs[1])
        self._models(runs[0])
        self._evaluations(runs[3])
        self._artifacts(runs[0])
        self._facets(runs[1])
        self._notes(runs[0])
        self._views()
        self._names(runs[3])
        self._links(runs)

    def _fates(self, run: str) -> None:
        """Records of every kind, tagged, deleted and restored; of each kind one is left deleted and one is erased."""
        for fate in ("kept", "deleted", "erased"):
            made = self._one_of_each(run, fate)
            for record in made:
                self.write(
                    records.set_tags(*self.at, record, {"team": fate, "stage": "a", "$note": "x"}),
                    records.set_tags(*self.at, record, {"team": f"{fate} again", "stage": None}),
                    facets.set_facet(*self.at, record, "fate", {"said": fate}),
                    othernames.give(*self.at, NewOtherName(system="fates", name=record, record=record)),
                )
            for record in made:
                self.write(records.delete(*self.at, record))
                if fate == "kept":
                    self.write(records.restore(*self.at, record))
                if fate == "erased":
                    self.write(erasure.erase(*self.at, record, "the subject asked"))

    def _one_of_each(self, run: str, name: str) -> list[str]:
        """A record of each kind that can be deleted, but no run; their ids, what others are of last."""
        at, write = self.at, self.workspace.writer.write
        new = (
            experiments.create(*at, NewExperiment(name=name, description="one")),
            jobs.create(*at, NewJob(name=name, type="t", description="one")),
            datasets.create(*at, NewDataset(name=name, description="one")),
            models.create(*at, NewModel(name=name, description="one")),
            notes.create(*at, NewNote(text=name, title="one")),
            views.create(*at, NewSavedView(name=name, page="runs", state={"a": 1}, description="one")),
            facets.create_type(*at, NewFacetType(name=name, schema=_SCHEMA, description="one")),
            datasets.create_version(*at, name, NewDatasetVersion(digest=name, rows=3, run=run)),
            models.create_version(*at, name, NewModelVersion(run=run, uri="s3://m", metadata={"a": 1}, aliases=["a"])),
            evaluations.create(*at, NewEvaluation(
                model_version=f"{name}@a", dataset_version=f"{name}@1", run=run, metrics={"auc": 0.5, "acc": 0.25},
            )),
        )  # fmt: skip
        return [write(change).id for change in new][::-1]

    def _datasets(self, run: str) -> None:
        whole = NewDatasetVersion(
            digest="sha256:ab", sources=[Source(uri="s3://a/b", format="parquet", version="7")], schema=_COLUMNS,
            slices=[Slice(name="test", filter="age > 3", rows=2, digest="cd"), Slice(name="train")], rows=10,
            bytes=1000, license="MIT", profile={"age": {"mean": 3.5, "$min": 2**60}}, run=run,
        )  # fmt: skip
        self.write(
            datasets.create(*self.at, NewDataset(name="customers", description="one")),
            datasets.create(*self.at, NewDataset(name="customers", namespace="lake")),
            datasets.update(*self.at, "customers", DatasetChange(description=None)),
            datasets.create_version(*self.at, "customers", whole),
            datasets.create_version(*self.at, "customers", NewDatasetVersion(version="second")),
        )

    def _models(self, run: str) -> None:
        whole = NewModelVersion(
            run=run, uri="s3://m/1", digest="sha256:ef", signature=Signature(inputs=_COLUMNS, outputs=_COLUMNS[1:]),
            framework=Framework(name="sklearn", version="1.5"), metadata={"trees": 100, "note": "$100"},
            stage="staging", description="one", aliases=["champion", "old"],
        )  # fmt: skip
        self.write(
            models.create(*self.at, NewModel(name="risk", description="one")),
            models.create(*self.at, NewModel(name="price")),
            models.update(*self.at, "price", ModelChange(name="prices", lifecycle="deleted")),
            models.create_version(*self.at, "risk", whole),
            models.create_version(*self.at, "risk", NewModelVersion()),
            models.update_version(*self.at, "risk", "1", ModelVersionChange(stage="production", description=None)),
            models.set_alias(*self.at, "risk", "champion", "2"),
            models.set_alias(*self.at, "risk", "challenger", "1"),
            models.set_alias(*self.at, "risk", "old", None),
        )

    def _evaluations(self, run: str) -> None:
        whole = NewEvaluation(
            model_version="risk@1", dataset_version="customers@1", slice="test", run=run,
            metrics={"auc": 0.75, "loss": 2.0}, thresholds={"auc": Threshold(min=0.5), "loss": Threshold(max=3.5)},
        )  # fmt: skip
        bare = NewEvaluation(
            model_version="risk@champion", dataset_version="customers@second", metrics={"auc": 0.5, "f1": "NaN"}
        )
        self.write(evaluations.create(*self.at, whole), evaluations.create(*self.at, bare))

    def _artifacts(self, run: str) -> None:
        """Artifacts replaced, shared, taken away and collected; and an upload of which nothing more was heard."""
        self.write(
            self.holding(run, "model.bin", b"first", "application/octet-stream"),
            self.holding(run, "model.bin", b"second"),
            self.holding("model:risk@1", "model.bin", b"second"),
            self.holding(run, "plots/roc.svg", b"<svg/>", "image/svg+xml"),
            self.holding(run, "late.txt", b"late"),
            artifacts.detach(*self.at, run, "late.txt"),
        )
        ref = self.workspace.project(self.at[1], self.at[2], Permission.ADMIN)
        self.write(artifacts.collecting(ref.no, self.at[1], now() + timedelta(hours=1)))
        asyncio.run(artifacts.sweep(self.workspace, ref.no))
        self.write(self.holding(run, "late.txt", b"late"))
        asyncio.run(artifacts.receive(*self.at, _chunks(b"lost")))

    def _facets(self, run: str) -> None:
        self.write(
            facets.create_type(*self.at, NewFacetType(name="owner", schema=_SCHEMA, description="one")),
            facets.create_type(*self.at, NewFacetType(name="owner", schema={**_SCHEMA, "title": "$"}, mode="off")),
            facets.update_type(*self.at, "owner", "1", FacetTypeChange(mode="warn")),
            facets.set_facet(*self.at, run, "owner", {"team": "a"}),
            facets.set_facet(*self.at, run, "owner", {"team": "$b", "since": 2**60}),
            facets.set_facet(*self.at, "dataset:customers", "owner", {"team": "c"}),
            facets.set_facet(*self.at, "model:risk", "size", {"bytes": 1.5}),
            facets.set_facet(*self.at, "model:risk", "size", None),
        )

    def _notes(self, run: str) -> None:
        note = "ab" * 16
        self.write(
            notes.create(*self.at, NewNote(id=note, subject=run, title="learned", text="one")),
            notes.create(*self.at, NewNote(text="of the project")),
            notes.update(*self.at, note, NoteChange(title=None, text="two")),
        )

    def _views(self) -> None:
        self.write(
            views.create(*self.at, NewSavedView(name="best", page="runs", state={"order": "auc"}, description="one")),
            views.create(*self.at, NewSavedView(name="all", page="models", state={})),
            views.update(*self.at, "best", SavedViewChange(state={"order": "loss", "columns": ["$a"]})),
        )

    def _names(self, run: str) -> None:
        def named(record: str, name: str, url: str | None = None) -> Change[Any]:
            new = NewOtherName(system="mlflow", namespace="a/b", name=name, record=record, url=url)
            return othernames.give(*self.at, new)

        self.write(
            named(run, "moved", "https://mlflow.example/1"),
            named("dataset:customers", "kept"),
            named("dataset:customers", "kept", "https://mlflow.example/2"),
            othernames.take(*self.at, OtherName(system="mlflow", namespace="a/b", name="moved")),
            named("model:risk", "moved"),
        )

    def _links(self, runs: list[str]) -> None:
        """Links with and without a run, some of which have ended; one held twice."""
        used = self.link("dataset:customers@1", runs[0], "used", role="training")
        through = self.link("dataset:customers", "model:risk", "derived_from", run=runs[0], source="inferred")
        ended = self.link("job:daily", runs[3], "parent_of", source="implicit")
        self.write(
            links.add(*self.at, [used, through, ended, self.link(runs[0], runs[3], "same_as", run=runs[1])]),
            links.remove(*self.at, [used, ended]),
            links.add(*self.at, [used]),
        )
        for project in ("big", "open"):
            abroad = [self.link(f"urn:muniment:{project}:experiment:e", runs[0], "parent_of")]
            self.write(*links.mirrored(*self.at, abroad), links.add(*self.at, abroad))


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
