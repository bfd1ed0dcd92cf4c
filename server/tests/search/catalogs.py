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
from muniment.model.search import Query
from muniment_server.services import (
    datasets,
    erasure,
    evaluations,
    jobs,
    links,
    models,
    notes,
    records,
    search,
)
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
_FATES = ("job", "dataset", "dataset_version", "model", "model_version", "evaluation", "note")
"""Kinds that are deleted and erased here; runs are elsewhere."""
_OWNERS = {"dataset_version": "dataset", "model_version": "model"}
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
    """(downstream, upstream, role) of what was used."""
    aliases: list[Held] = []
    """(model, alias, version)."""

    def relate(self, kept: Kept, kind: str, record: Record, moment: int) -> None:
        """Fill in what other records say of one."""
        own, one = record.record, kept.record_at
        data, models, judged = [], [], []
        evaluations = [
            found.record for life in kept.lives("evaluation").values()
            if (found := life.at(moment)) and found.record.lifecycle == "active"
        ]  # fmt: skip
        if kind == "run":
            used = [link.what[1:] for link in self.links if link.at(moment) and link.what[0] == own.id]
            data = [one("dataset_version", key, moment) for key, _ in used]
            roles = [role for (_, role), found in zip(used, data, strict=True) if found is not None]
            digests = [found.digest for found in data if found is not None and found.digest is not None]
            record.relations |= {"dataset.role": roles, "dataset.digest": digests}
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
        data, models = [one for one in data if one is not None], [one for one in models if one is not None]
        owners = [owner for version in data if (owner := one("dataset", version.dataset, moment)) is not None]
        record.relations |= {
            "dataset.name": [owner.name for owner in owners],
            "dataset.namespace": [owner.namespace for owner in owners],
            "dataset.version": [version.version for version in data],
            "model.name": [owner.name for version in models if (owner := one("model", version.model, moment))],
            "model.lifecycle": [
                owner.lifecycle for version in models if (owner := one("model", version.model, moment))
            ],
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
                (
                    self._data, self._model, self._evaluation, self._link, self._alias, self._change, self._note,
                    self._tag, self._delete, self._restore, self._erase,
                ),
                (4, 4, 8, 8, 6, 4, 2, 8, 3, 3, 0.7),
            )[0]  # fmt: skip
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

    def _active(self, kind: str) -> list[Any]:
        """The records of a kind that may be written to."""
        owner = _OWNERS.get(kind)
        return [
            record for life in self.kept.lives(kind).values()
            if (record := life.versions[-1]).lifecycle == "active"
            and (owner is None or self.kept.lives(owner)[getattr(record, owner)].versions[-1].lifecycle == "active")
        ]  # fmt: skip

    def _any(self, kind: str, rng: Random) -> Any:
        """One of them, or None."""
        found = self._active(kind)
        return rng.choice(found) if found else None

    def _alive(self) -> list[str]:
        """Runs that may be spoken of."""
        return [record.id for record in self._active("run")]

    def _tag(self, rng: Random) -> None:
        """A record of any kind but a run gets tags, or loses some."""
        kind = rng.choice(("experiment", *_FATES))
        record = self._any(kind, rng)
        if record is None:
            return
        tags = {key: rng.choice((None, "", "a", "A", "10", *NAMES)) for key in rng.sample(METRICS, rng.randrange(1, 4))}
        made = self._write(records.set_tags(*self.common, record.id, tags))
        if made.changed:
            life = self.kept.lives(kind)[record.id]
            life.tags.extend((made.position, key, value) for key, value in tags.items())

    def _delete(self, rng: Random) -> None:
        self._fate(rng, "active", "deleted", records.delete)

    def _restore(self, rng: Random) -> None:
        self._fate(rng, "deleted", "active", records.restore)

    def _fate(self, rng: Random, before: str, after: str, prepare: Any) -> None:
        kind = rng.choice(_FATES)
        found = [life for life in self.kept.lives(kind).values() if life.versions[-1].lifecycle == before]
        if found:
            life = rng.choice(found)
            made = self._write(prepare(*self.common, life.versions[-1].id))
            life.versions.append(
                msgspec.structs.replace(life.versions[-1], lifecycle=after, position=made.position)
            )  # fmt: skip

    def _erase(self, rng: Random) -> None:
        """A record of any kind but a run loses its content, its past too, and the aliases that it gave."""
        kind = rng.choice(_FATES)
        found = [life for life in self.kept.lives(kind).values() if life.versions[-1].lifecycle != "erased"]
        if not found:
            return
        life = rng.choice(found)
        record = life.versions[-1].id
        made = self._write(erasure.erase(*self.common, record, "the subject asked"))
        query = Query(kind=kind, where=f"id = '{record}'", lifecycle="any")  # type: ignore[arg-type]
        (left,) = getattr(search.search(*self.common, query), f"{kind}s")
        assert (left.lifecycle, left.position) == ("erased", made.position)
        life.erase(left)
        self.kept.catalog.aliases = [held for held in self.kept.catalog.aliases if held.what[0] != record]

    def _data(self, rng: Random) -> None:
        dataset = self._any("dataset", rng)
        if dataset is not None:
            self._dataset_version(dataset.id, rng)

    def _dataset_version(self, dataset: str, rng: Random) -> None:
        digest = rng.choice((None, f"x{len(self.kept.lives('dataset_version'))}"))
        new = NewDatasetVersion(digest=digest, license=rng.choice((None, "MIT")), rows=rng.choice((None, 0, 2**40)))
        self._bear("dataset_version", datasets.create_version(*self.common, dataset, new))

    def _model(self, rng: Random) -> None:
        model = self._any("model", rng)
        if model is not None:
            self._model_version(model.id, rng)

    def _model_version(self, model: str, rng: Random) -> None:
        run = rng.choice((None, *self._alive()))
        new = NewModelVersion(run=run, uri=rng.choice((None, "s3://x")), stage=rng.choice(("none", "staging")))
        self._bear("model_version", models.create_version(*self.common, model, new))

    def _evaluation(self, rng: Random) -> None:
        model, data = self._any("model_version", rng), self._any("dataset_version", rng)
        if model is None or data is None:
            return
        new = NewEvaluation(
            model_version=model.id,
            dataset_version=data.id,
            metrics={name: rng.choice(SCORES) for name in rng.sample(METRICS, rng.randrange(1, 4))},
        )
        self._bear("evaluation", evaluations.create(*self.common, new))

    def _link(self, rng: Random) -> None:
        """A run begins or ceases to have used a dataset version."""
        catalog, runs, data = self.kept.catalog, self._alive(), {one.id for one in self._active("dataset_version")}
        if not runs or not data:
            return
        held = [
            link for link in catalog.links if link.until is None and link.what[0] in runs and link.what[1] in data
        ]  # fmt: skip
        if held and rng.random() < 0.3:
            gone = rng.choice(held)
            link = NewLink(upstream=gone.what[1], downstream=gone.what[0], type="used", role=gone.what[2])
            gone.until = self._write(links.remove(*self.common, [link])).position
            return
        what = (rng.choice(runs), self._any("dataset_version", rng).id, rng.choice(("", "x", "X")))
        link = NewLink(upstream=what[1], downstream=what[0], type="used", role=what[2])
        made = self._write(links.add(*self.common, [link]))
        if made.changed:
            catalog.links.append(Held(made.position, what))

    def _alias(self, rng: Random) -> None:
        version = self._any("model_version", rng)
        if version is None:
            return
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
        model, version = self._any("model", rng), self._any("model_version", rng)
        if model is None or version is None:
            return
        if rng.random() < 0.5:
            change = ModelChange(name=f"{model.name} {rng.randrange(9)}", description=rng.choice((None, *PROSE)))
            taken = {life.versions[-1].name for life in self.kept.lives("model").values()}
            if change.name not in taken:
                self._bear("model", models.update(*self.common, model.id, change))
            return
        stage = ModelVersionChange(stage=rng.choice(("production", "archived")), description=rng.choice((None, *PROSE)))
        self._bear("model_version", models.update_version(*self.common, version.model, str(version.version), stage))

    def _note(self, rng: Random) -> None:
        note, model = self._any("note", rng), self._any("model", rng)
        if note is not None and rng.random() < 0.5:
            self._bear("note", notes.update(*self.common, note.id, NoteChange(text=rng.choice(PROSE))))
            return
        subject = None if model is None or rng.random() < 0.5 else model.id
        self._bear("note", notes.create(*self.common, NewNote(subject=subject, title="why", text=rng.choice(PROSE))))
