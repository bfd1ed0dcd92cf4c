"""Random jobs, data, models, evaluations and links, written through the services and remembered in plain Python."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.evaluation import NewEvaluation
from muniment.model.job import NewJob
from muniment.model.link import NewLink
from muniment.model.model import ModelChange, ModelVersionChange, NewModel, NewModelVersion
from muniment.model.note import NewNote, NoteChange
from muniment_server.services import datasets, evaluations, jobs, links, models, notes
from search.lives import Life
from search.oracle import Record

if TYPE_CHECKING:
    from search.stores import Builder, Kept

NAMES = ("churn", "Churn", "größe", "data/x", "50%_", "a")
"""Names of records."""
PROSE = ("Gradient boosting, second try", "GRADIENT descent", "Größe der Bäume", "gradients_2", "日本語 text", "naïve")
"""Texts with words in them."""
ALIASES = ("champion", "Champion", "best one")
METRICS = ("acc", "ACC", "a.b", "with space", "null")
SCORES = (0.0, 0.5, 0.5, 1.0, -1.0, 1e300, math.inf, math.nan)


class Held(msgspec.Struct):
    """Something that held for a while: a link, or the meaning of an alias."""

    since: int
    what: tuple[str, ...]
    until: int | None = None

    def at(self, moment: int) -> bool:
        """Whether it held."""
        return self.since <= moment and (self.until is None or moment < self.until)


class Catalog(msgspec.Struct):
    """Jobs, data, models and evaluations, and what joins them."""

    lives: dict[str, dict[str, Life]] = {}
    links: list[Held] = []
    """(downstream, upstream) of what was used."""
    aliases: list[Held] = []
    """(model, alias, version)."""

    def relate(self, kept: Kept, kind: str, record: Record, moment: int) -> None:
        """Fill in what other records say of one."""
        own, one = record.record, kept.record_at
        data, models, judged = [], [], []
        evaluations = [found.record for life in kept.lives("evaluation").values() if (found := life.at(moment))]
        if kind == "run":
            used = [link.what[1] for link in self.links if link.at(moment) and link.what[0] == own.id]
            data = [one("dataset_version", key, moment) for key in used]
            made = {found.record.id for life in kept.lives("model_version").values()
                    if (found := life.at(moment)) and found.record.run == own.id}  # fmt: skip
            judged = [item for item in evaluations if item.model_version in made]
            job = None if own.job is None else one("job", own.job, moment)
            record.relations |= {"job.name": [job.name] if job else [], "job.namespace": [job.namespace] if job else []}
        elif kind == "dataset_version":
            data, judged = [own], [item for item in evaluations if item.dataset_version == own.id]
        elif kind == "model_version":
            models, judged = [own], [item for item in evaluations if item.model_version == own.id]
        elif kind == "evaluation":
            data, models = (
                [one("dataset_version", own.dataset_version, moment)],
                [one("model_version", own.model_version, moment)],
            )
            judged = [own]
        owners = [one("dataset", version.dataset, moment) for version in data]
        record.relations |= {
            "dataset.name": [owner.name for owner in owners],
            "dataset.namespace": [owner.namespace for owner in owners],
            "dataset.version": [version.version for version in data],
            "model.name": [one("model", version.model, moment).name for version in models],
            "model.version": [version.version for version in models],
            "model.alias": [held.what[1] for held in self.aliases
                            if held.at(moment) and held.what[2] in {version.id for version in models}],
        }  # fmt: skip
        for item in judged:
            for name, value in item.metrics.items():
                record.scores.setdefault(name, []).append(float(value))


class Cataloguer:
    """Writes what a builder's project has beside runs."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.kept = builder.kept
        self.common: Any = (builder.workspace, builder.scope, builder.kept.slug)

    def begin(self, rng: Random) -> None:
        """Two jobs, two datasets and two models with a version each."""
        for name in rng.sample(NAMES, 2):
            self._bear("job", jobs.create(*self.common, NewJob(name=name, type=rng.choice((None, "dbt model")))))
            self._bear(
                "dataset", datasets.create(*self.common, NewDataset(name=name, namespace=rng.choice(("n", "N"))))
            )
            self._bear("model", models.create(*self.common, NewModel(name=name, description=rng.choice(PROSE))))
        for key in list(self.kept.lives("dataset")):
            self._dataset_version(key, rng)
        for key in list(self.kept.lives("model")):
            self._model_version(key, rng)

    def chapter(self, rng: Random) -> None:
        """What happens next."""
        for _ in range(rng.randrange(4)):
            happening = rng.choices(
                (self._data, self._model, self._evaluation, self._link, self._alias, self._change, self._note),
                (2, 2, 4, 4, 3, 2, 1),
            )[0]
            happening(rng)

    def _write(self, change: Any) -> Any:
        made = self.builder.workspace.writer.write(change)
        self.kept.head = max(self.kept.head, made.position)
        return made

    def _bear(self, kind: str, change: Any) -> Any:
        made = self._write(change)
        lives = self.kept.lives(kind)
        if made.id in lives:
            if made.position != lives[made.id].versions[-1].position:
                lives[made.id].versions.append(made)
        else:
            self.kept.born(lives, made)
        return made

    def _any(self, kind: str, rng: Random) -> Any:
        return rng.choice(list(self.kept.lives(kind).values())).versions[-1]

    def _alive(self) -> list[str]:
        """Runs that may be spoken of."""
        return [key for key, life in self.kept.runs.items() if life.versions[-1].lifecycle != "erased"]

    def _data(self, rng: Random) -> None:
        self._dataset_version(self._any("dataset", rng).id, rng)

    def _dataset_version(self, dataset: str, rng: Random) -> None:
        new = NewDatasetVersion(license=rng.choice((None, "MIT")), rows=rng.choice((None, 0, 2**40)))
        self._bear("dataset_version", datasets.create_version(*self.common, dataset, new))

    def _model(self, rng: Random) -> None:
        self._model_version(self._any("model", rng).id, rng)

    def _model_version(self, model: str, rng: Random) -> None:
        run = rng.choice((None, *self._alive()))
        new = NewModelVersion(run=run, uri=rng.choice((None, "s3://x")), stage=rng.choice(("none", "staging")))
        self._bear("model_version", models.create_version(*self.common, model, new))

    def _evaluation(self, rng: Random) -> None:
        new = NewEvaluation(
            model_version=self._any("model_version", rng).id,
            dataset_version=self._any("dataset_version", rng).id,
            metrics={name: rng.choice(SCORES) for name in rng.sample(METRICS, rng.randrange(1, 4))},
        )
        self._bear("evaluation", evaluations.create(*self.common, new))

    def _link(self, rng: Random) -> None:
        """A run begins or ceases to have used a dataset version."""
        catalog, runs = self.kept.catalog, self._alive()
        if not runs:
            return
        held = [link for link in catalog.links if link.until is None and link.what[0] in runs]
        if held and rng.random() < 0.3:
            gone = rng.choice(held)
            link = NewLink(upstream=gone.what[1], downstream=gone.what[0], type="used")
            gone.until = self._write(links.remove(*self.common, [link])).position
            return
        what = (rng.choice(runs), self._any("dataset_version", rng).id)
        link = NewLink(upstream=what[1], downstream=what[0], type="used")
        made = self._write(links.add(*self.common, [link]))
        if made.changed:
            catalog.links.append(Held(made.position, what))

    def _alias(self, rng: Random) -> None:
        version = self._any("model_version", rng)
        alias, meant = rng.choice(ALIASES), rng.choice((str(version.version), str(version.version), None))
        made = self._write(models.set_alias(*self.common, version.model, alias, meant))
        if not made.changed:
            return
        for held in self.kept.catalog.aliases:
            if held.until is None and held.what[:2] == (version.model, alias):
                held.until = made.position
        if meant is not None:
            self.kept.catalog.aliases.append(Held(made.position, (version.model, alias, version.id)))

    def _change(self, rng: Random) -> None:
        if rng.random() < 0.5:
            model = self._any("model", rng)
            change = ModelChange(name=f"{model.name} {rng.randrange(9)}", description=rng.choice((None, *PROSE)))
            taken = {life.versions[-1].name for life in self.kept.lives("model").values()}
            if change.name not in taken:
                self._bear("model", models.update(*self.common, model.id, change))
            return
        version = self._any("model_version", rng)
        stage = ModelVersionChange(stage=rng.choice(("production", "archived")), description=rng.choice((None, *PROSE)))
        self._bear("model_version", models.update_version(*self.common, version.model, str(version.version), stage))

    def _note(self, rng: Random) -> None:
        known = list(self.kept.lives("note").values())
        if known and rng.random() < 0.5:
            note = rng.choice(known).versions[-1]
            self._bear("note", notes.update(*self.common, note.id, NoteChange(text=rng.choice(PROSE))))
            return
        subject = rng.choice((None, self._any("model", rng).id))
        self._bear("note", notes.create(*self.common, NewNote(subject=subject, title="why", text=rng.choice(PROSE))))
