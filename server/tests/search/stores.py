"""Random projects, written through the services and remembered in plain Python at the same time.

A project is drawn from one seed rather than choice by choice: thirty runs are more choices than hypothesis likes to
keep. Every run draws from a generator of its own, so that a project with fewer runs is a prefix of the larger one and
hypothesis can still shrink towards it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec

from muniment.model.experiment import Experiment, ExperimentChange, NewExperiment
from muniment.model.metric import NewPoints, PointsWritten, to_wire
from muniment.model.project import NewProject
from muniment.model.run import TERMINAL, NewRun, Run, RunChange
from muniment_server.annexes import keeper
from muniment_server.services import erasure, experiments, metrics, projects, runs
from muniment_server.services.workspace import Change, Workspace
from search.catalogs import Catalog, Cataloguer
from search.lives import Life
from search.oracle import Point, Record

LONG = "p" * 64
KEYS = (
    "acc", "ACC", "train/loss", "a.b", "layer.0.weight", "ключ", "e\u0301", "\u00e9", "𝒳", "50%_\\", "key_1", "key-1",
    "desc", "and", "null", "1", "with space", "tick`ed", 'quo"ted', "it's", "[a]*?", "k" * 80,
)  # fmt: skip
"""Names of params, tags and metrics alike, so that the families collide."""
# ruff: noqa: RUF001 - letters that look alike are the point
TEXTS = (
    "", "a", "A", "b", "aB", "AB", "ab%", "a_b", "a\\b", "a\\", "\\", "%", "_", "*", "?", "[", "]", "[a]", "[^a]", "^",
    "a*b", "a-z", "'", "''", '"', "`", "it's", "é", "e\u0301", "É", "ß", "İ", "ı", "K", "\u212a", "ſ", "\ud7ff",
    "\uffff", "𝒳", "𝒳𝒴", "\U0010ffff", " a", "a ", "\n", "\ta", LONG, LONG + "x", LONG + "X", LONG + "y" * 3000,
    LONG[:-1] + "q",
)  # fmt: skip
"""Texts that some engine might compare, match or index in a way of its own; \\uffff and 𝒳 sort otherwise in UTF-16."""
NUMBERS = (
    "0", "-0", "-0.0", "1", "1.0", "01", "+1", "1e0", "10", "9", "-1", "-2.5", "1e308", "-1e308", "1e309", "5e-324",
    "9007199254740993", "9007199254740992", "nan", "NaN", "inf", "-inf", ".5", "0.5", "5.", "1_0", "1 ", "1x", "0x10",
)  # fmt: skip
"""Texts that are numbers, or look like them."""
VALUES = (
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.1 + 0.2, 0.3, 5e-324, 1.7e308, -1.7e308, 2.0**53, 2.0, 3.0
)  # fmt: skip
_START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = (
    _START, _START + timedelta(microseconds=1), _START - timedelta(days=30_000), _START + timedelta(days=30_000),
    _START + timedelta(milliseconds=1),
)  # fmt: skip
_STATES = ("scheduled", "running", "finished", "failed", "killed")


class Kept(msgspec.Struct):
    """A project as it must be remembered."""

    slug: str
    runs: dict[str, Life] = {}
    experiments: dict[str, Life] = {}
    catalog: Catalog = msgspec.field(default_factory=Catalog)
    head: int = 0
    count: int = 0

    def at(self, kind: str, position: int | None) -> list[Record]:
        """The records of a kind as of a position, or now."""
        moment = self.head if position is None else position
        records = [record for life in self.lives(kind).values() if (record := life.at(moment)) is not None]
        if kind == "run":
            for record in records:
                experiment = self.experiments[record.record.experiment].at(moment)
                assert experiment is not None
                record.related["experiment.name"] = experiment.record.name
        for record in records:
            self.catalog.relate(self, kind, record, moment)
        return records

    def lives(self, kind: str) -> dict[str, Life]:
        """Everything that ever happened to the records of a kind, by id."""
        if kind in {"run", "experiment"}:
            return self.runs if kind == "run" else self.experiments
        return self.catalog.lives.setdefault(kind, {})

    def record_at(self, kind: str, record_id: str, moment: int) -> Any:
        """One record as of a position; None if there was none yet."""
        life = self.lives(kind).get(record_id)
        found = None if life is None else life.at(moment)
        return None if found is None else found.record

    def born(self, family: dict[str, Life], record: Any) -> Life:
        """A new record."""
        self.count += 1
        family[record.id] = Life(no=self.count, versions=[record])
        return family[record.id]


Step = tuple[Change[Any], Callable[[Any], None]]


class Builder:
    """Writes a random project and remembers it."""

    def __init__(self, workspace: Workspace, slug: str, seed: int) -> None:
        self.workspace = workspace
        self.scope = workspace.owner_scope
        self.seed = seed
        self.kept = Kept(slug)
        self.planned: dict[str, dict[str, Any]] = {}
        """What each run will be once everything planned is written: nothing planned may be refused."""
        workspace.writer.write(projects.create(self.scope, NewProject(slug=slug)))

    def build(self, count: int) -> Kept:
        """Write experiments and `count` runs with all that happens to them."""
        rng = Random(self.seed)
        catalogue = Cataloguer(self)
        catalogue.begin(rng)
        self._write([self._experiment(name) for name in ("exp", "Exp", rng.choice(TEXTS[1:9]) + "e")])
        half = count // 2 if rng.random() < 0.7 else 0
        for start, end in ((0, half), (half, count)):
            for number in range(start, end):
                own = Random(f"{self.seed}-{number}")
                self._write(self._chapter(own))
                catalogue.chapter(own)
            if end == half:
                keeper.seal(self.workspace)
                keeper.compact(self.workspace, everything=True)
        self._write(self._experiment_changes(rng))
        return self.kept

    def _write(self, steps: list[Step]) -> None:
        """Write steps in order, gathered into as few transactions as the writer likes."""

        async def together() -> list[Any]:
            waiting: list[Awaitable[Any]] = [self.workspace.writer.write_async(change) for change, _ in steps]
            return await asyncio.gather(*waiting)

        for (_, remember), answer in zip(steps, asyncio.run(together()), strict=True):
            remember(answer)
            self.kept.head = max(self.kept.head, answer.position)

    def _experiment(self, name: str) -> Step:
        new = NewExperiment(name=name, description=None if name == "exp" else name)
        change = experiments.create(self.workspace, self.scope, self.kept.slug, new)
        return change, lambda made: None if made.id in self.kept.experiments else self._bear_experiment(made)

    def _bear_experiment(self, made: Experiment) -> None:
        self.kept.born(self.kept.experiments, made)

    def _experiment_changes(self, rng: Random) -> list[Step]:
        steps: list[Step] = []
        for name in ("exp", "Exp"):
            fields: dict[str, Any] = {}
            if rng.random() < 0.5:
                fields["lifecycle"] = "deleted"
            if rng.random() < 0.5:
                fields["description"] = rng.choice((None, *TEXTS))
            if rng.random() < 0.5:
                fields["name"] = f"{name} {rng.choice(TEXTS[1:9])}"
            change = ExperimentChange(**fields)
            made = experiments.update(self.workspace, self.scope, self.kept.slug, name, change)
            steps.append((made, lambda record: self._version(self.kept.experiments[record.id], record)))
        return steps

    def _version(self, life: Life, record: Any) -> None:
        if record.position != life.versions[-1].position:
            life.versions.append(record)

    def _chapter(self, rng: Random) -> list[Step]:
        """A new run, and what happens next to this one and to those before it."""
        steps: list[Step | None] = [self._run(rng)]
        for _ in range(rng.randrange(5)):
            run = rng.choice(sorted(self.planned))
            state = self.planned[run]
            if state["lifecycle"] == "erased":
                continue
            if state["lifecycle"] == "deleted":
                steps.append(self._update(run, {"lifecycle": "active"}))
                state["lifecycle"] = "active"
                continue
            happening = rng.choices((self._points, self._tags, self._params, self._changed), (6, 5, 2, 3))[0]
            steps.append(happening(run, rng))
        if rng.random() < 0.04:
            steps.append(self._erase(rng.choice(sorted(self.planned))))
        return [step for step in steps if step is not None]

    def _run(self, rng: Random) -> Step:
        run_id = f"{rng.getrandbits(128):032x}"
        state = rng.choice(_STATES)
        parents = [key for key, value in self.planned.items() if value["lifecycle"] != "erased"]
        jobs = [key for key, life in self.kept.lives("job").items() if life.versions[-1].lifecycle == "active"]
        params = {key: _text(rng) for key in rng.sample(KEYS, rng.randrange(4))}
        tags = {key: _text(rng) for key in rng.sample(KEYS, rng.randrange(4))}
        new = NewRun(
            experiment=rng.choice(("exp", "Exp")),
            id=run_id,
            name=rng.choice((None, "name", "Name", *(text for text in TEXTS if text.strip() and len(text) < 99))),
            kind=rng.choice(("training", "evaluation")),
            state=state,  # type: ignore[arg-type]
            parent=rng.choice(parents) if parents and rng.random() < 0.3 else None,
            description=rng.choice((None, *TEXTS)),
            user=rng.choice((None, None, "ann", "Ann", "𝒳")),
            started_at=rng.choice((None, *TIMES)) if state not in TERMINAL else None,
            job=rng.choice((None, *sorted(jobs))),
            params=dict(params),
            tags=tags,
        )
        self.planned[run_id] = {"lifecycle": "active", "params": set(params)}

        def remember(made: Run) -> None:
            life = self.kept.born(self.kept.runs, made)
            life.params = [(made.position, key, value) for key, value in params.items()]
            life.tags = [(made.position, key, value) for key, value in tags.items()]

        return runs.create(self.workspace, self.scope, self.kept.slug, new), remember

    def _points(self, run: str, rng: Random) -> Step:
        series = rng.sample(KEYS, rng.choice((1, 1, 2)))
        count = rng.randrange(len(series), 6)
        key = [*range(len(series)), *(rng.randrange(len(series)) for _ in range(count - len(series)))]
        given = [
            Point(0, rng.choice((0, 1, 2, -5, 10**12)), rng.choice((0, 1, 10**12)), rng.choice(VALUES)) for _ in key
        ]
        new = NewPoints(
            series=series,
            key=key,
            step=[point.step for point in given],
            timestamp=[point.timestamp for point in given],
            value=[to_wire(point.value) for point in given],
        )

        def remember(made: PointsWritten) -> None:
            if made.replayed:
                return
            points = self.kept.runs[run].points
            for at, point in zip(key, given, strict=True):
                points.setdefault(series[at], []).append(msgspec.structs.replace(point, position=made.position))

        return metrics.log(self.workspace, self.scope, self.kept.slug, run, new), remember

    def _tags(self, run: str, rng: Random) -> Step:
        tags = {key: None if rng.random() < 0.4 else _text(rng) for key in rng.sample(KEYS, rng.randrange(1, 5))}

        def remember(made: runs.Logged) -> None:
            if made.changed:
                self.kept.runs[run].tags.extend((made.position, key, value) for key, value in tags.items())

        return runs.set_tags(self.workspace, self.scope, self.kept.slug, run, dict(tags)), remember

    def _params(self, run: str, rng: Random) -> Step:
        fresh = [key for key in rng.sample(KEYS, 3) if key not in self.planned[run]["params"]]
        self.planned[run]["params"].update(fresh)
        params = {key: _text(rng) for key in fresh}

        def remember(made: runs.Logged) -> None:
            self.kept.runs[run].params.extend((made.position, key, value) for key, value in params.items())

        return runs.log_params(self.workspace, self.scope, self.kept.slug, run, dict(params)), remember

    def _changed(self, run: str, rng: Random) -> Step:
        fields: dict[str, Any] = {}
        if rng.random() < 0.4:
            fields["lifecycle"] = self.planned[run]["lifecycle"] = "deleted"
        if rng.random() < 0.5:
            fields["state"] = rng.choice(_STATES)
        if rng.random() < 0.5:
            fields["description"] = rng.choice((None, *TEXTS))
        if rng.random() < 0.3:
            fields["parent"] = None
        return self._update(run, fields)

    def _update(self, run: str, fields: dict[str, Any]) -> Step:
        change = runs.update(self.workspace, self.scope, self.kept.slug, run, RunChange(**fields))
        return change, lambda made: self._version(self.kept.runs[run], made)

    def _erase(self, run: str) -> Step | None:
        if self.planned[run]["lifecycle"] == "erased":
            return None
        self.planned[run]["lifecycle"] = "erased"
        change = erasure.erase_run(self.workspace, self.scope, self.kept.slug, run, "the subject asked")

        def remember(made: Run) -> None:
            self.kept.runs[run].erase(made)
            catalog = self.kept.catalog
            catalog.links = [link for link in catalog.links if link.what[0] != run]

        return change, remember


def _text(rng: Random) -> str:
    return rng.choice(NUMBERS if rng.random() < 0.5 else TEXTS)
