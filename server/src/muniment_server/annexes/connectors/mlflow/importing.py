"""Importing MLflow's history: read what has changed there, bring it here, remember how far it came."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt

from muniment.model import mlflow
from muniment.model.errors import InvalidInput, MunimentError, Unavailable
from muniment.model.names import check_name
from muniment_server.annexes.connectors.mlflow import files, models, series, steps, translate
from muniment_server.annexes.connectors.mlflow.shapes import LoggedModel, Portion, Run, Source
from muniment_server.annexes.connectors.mlflow.telling import Done, Report
from muniment_server.policy.access import Scope
from muniment_server.services import metrics
from muniment_server.services.intake import Bundle, Intake, fingerprint
from muniment_server.services.workspace import Workspace
from muniment_server.store.repeats import PointsBatch

TOGETHER = 131_072
"""Points that are written at a time, about."""
_ID = re.compile("[0-9a-f]{32}")
RELEASE = 1
"""Grows when more is brought than before, so that everything is looked at again."""


class Imported(Done, frozen=True, kw_only=True):
    """What an import has done.

    Attributes:
        source: where from.
        position: everything is recorded at or before this position.
    """

    source: str
    position: int


KINDS = (
    "experiments", "experiment tags", "runs", "params", "tags", "points", "inputs", "models", "model tags", "versions",
    "version tags", "aliases", "logged models", "artifacts",
)  # fmt: skip
"""What is counted, in the order in which it is told."""


def bring(
    workspace: Workspace,
    scope: Scope,
    project: str,
    source: Source,
    report: Report,
    *,
    again: bool = False,
    artifacts: bool = False,
) -> Imported:
    """Bring everything that a source has into a project; what is there already stays as it is.

    Args:
        workspace: the store.
        scope: who imports.
        project: where to.
        source: where from.
        report: is told how far it is.
        again: look at what has not changed too.
        artifacts: bring the bytes of artifacts.
    """
    began = time.monotonic()
    importing = _Import(workspace, scope, project, source, report, again=again, artifacts=artifacts)
    try:
        importing.everything()
    finally:
        importing.close()
    intake, found = importing.intake, importing.found
    return Imported(
        source=source.identity, project=project, found={kind: found[kind] for kind in KINDS if found[kind]},
        new={kind: intake.new[kind] for kind in KINDS if intake.new[kind]},
        refused={kind: count for kind, count in intake.refused.items() if count}, refusals=intake.refusals,
        position=intake.position, seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


class _Import:
    def __init__(
        self,
        workspace: Workspace,
        scope: Scope,
        project: str,
        source: Source,
        report: Report,
        *,
        again: bool,
        artifacts: bool,
    ) -> None:
        self.workspace, self.scope, self.project, self.source, self.report = workspace, scope, project, source, report
        self.intake = Intake(workspace, scope, project, f"mlflow:{source.identity}")
        self.again, self.artifacts = again, artifacts
        self.found: Counter[str] = Counter()
        self._experiments: dict[str, str] = {}
        """The ids that experiments have here, by those that they have there."""
        self._seen: set[str] = set()
        """Runs that are here."""
        self._last: list[Bundle] = []
        """What can only be done when everything else is."""
        self._thread = ThreadPoolExecutor(1, "muniment-import")
        self._writing: Future[None] | None = None
        self._done = 0
        self._total: int | None = None

    def close(self) -> None:
        """Wait for what is being written."""
        self._thread.shutdown()

    def _write(self, bundles: Sequence[Bundle]) -> None:
        """Write on another thread, while the next things are read."""
        self._settle()
        if bundles:
            self._writing = self._thread.submit(self.intake.write, bundles)

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def everything(self) -> None:
        """Bring everything, in an order in which what is referred to is there."""
        runs, self._total = self.source.totals()
        self._bring_experiments()
        began = 0
        for page in self.source.runs():
            self._bring_runs(page)
            began += len(page)
            if self._total is None:
                self.report("runs", began, runs or None)
        self._bring_models()
        if self.artifacts:
            self._settle()
            self._bring_artifacts()
        self._write(self._last)
        self._settle()

    def _is_news(self, known: int | None, mark: int, lifecycle: str) -> bool:
        """Whether a record of the source has to be looked at. What is deleted there cannot have changed unseen."""
        return known != mark or (self.again and lifecycle != "deleted")

    # experiments

    def _bring_experiments(self) -> None:
        given = self.source.experiments()
        marks = self.intake.marks([f"experiment {one.id}" for one in given])
        bundles = []
        for one in given:
            self.found["experiments"] += 1
            self.found["experiment tags"] += len(one.tags)
            mark = fingerprint([RELEASE, one])
            changed = self._is_news(marks.get(f"experiment {one.id}"), mark, one.lifecycle)
            bundle = steps.of_experiment(self.source.identity, one, partial(self._is_here, one.id), changed=changed)
            bundles.append(bundle)
            if one.lifecycle == "deleted":
                deletion = steps.of_experiment_deletion(self.source.identity, one)
                deletion.mark = mark if changed else None
                self._last.append(deletion)
            elif changed:
                bundle.mark = mark
        self._write(bundles)
        self._settle()

    def _is_here(self, experiment: str, record: str) -> None:
        self._experiments[experiment] = record

    # runs

    def _bring_runs(self, page: list[Run]) -> None:
        marks = self.intake.marks([f"run {run.id}" for run in page])
        changed: dict[str, int] = {}
        for run in page:
            mark = fingerprint([RELEASE, run])
            if self._is_news(marks.get(f"run {run.id}"), mark, run.lifecycle):
                changed[run.id] = mark
            else:
                self._count(run)
                self._seen.add(run.id)
                self._progress(run.points or 0)
        if changed:
            self._bring_changed(self.source.whole([run for run in page if run.id in changed]), changed)

    def _bring_changed(self, runs: list[Run], marks: dict[str, int]) -> None:
        here = self.intake.here([run.id for run in runs if _ID.fullmatch(run.id)])
        waiting: list[Bundle] = []
        ends: list[Bundle] = []
        taken: list[Run] = []
        for run in runs:
            self._count(run)
            made = self._bundles(run, marks[run.id])
            if made is not None:
                waiting.append(made[0])
                ends.append(made[1])
                taken.append(run)
        size = 0
        for portion in self.source.points(taken):
            for batch in self._batches(portion, recorded=portion.run in here):
                waiting.append(Bundle(f"run {portion.run}", [steps.of_points(portion.run, batch)]))
                size += len(batch.columns)
                if size >= TOGETHER:
                    self._write(waiting)
                    waiting, size = [], 0
        self._write([*waiting, *ends])

    def _count(self, run: Run) -> None:
        self.found["runs"] += 1
        self.found["params"] += len(run.params)
        self.found["tags"] += len(translate.tags_of(run))
        self.found["inputs"] += len(run.inputs) + len(run.models_in)
        self.found["points"] += run.points or 0

    def _progress(self, points: int) -> None:
        self._done += points
        if self._total is not None:
            self.report("points", self._done, self._total)

    def _bundles(self, run: Run, mark: int) -> tuple[Bundle, Bundle] | None:
        """What is done before the points of a run, and after; the mark is set when all of it is done."""
        name = f"run {run.id}"
        try:
            if not _ID.fullmatch(run.id):
                raise InvalidInput(f"a run's id is 32 hex digits, not {run.id[:80]!r}")
            experiment = self._experiments.get(run.experiment)
            if experiment is None:
                raise InvalidInput(f"its experiment {run.experiment} was not taken in")
            parent = translate.parent_of(run)
            begin = steps.of_run(run, experiment, parent if parent in self._seen else None, self.intake)
        except MunimentError as error:
            self.intake.refuse(name, "runs", name[:60], error)
            return None
        late = []
        if parent is not None and parent not in self._seen:
            late.append(steps.of_parent(run.id, parent))
        late += [steps.of_model_input(run.id, link.model) for link in run.models_in]
        if run.lifecycle == "deleted":
            late.append(steps.of_deletion("runs", run.id))
        self._seen.add(run.id)
        end = Bundle(name, late, mark=mark)
        if late:
            self._last.append(end)
            end = Bundle(name, [])
        return begin, end

    # models

    def _bring_models(self) -> None:
        for model, versions in self.source.models():
            self.found["models"] += 1
            self.found["model tags"] += len(model.tags)
            self.found["aliases"] += len(model.aliases)
            self.found["versions"] += len(versions)
            self.found["version tags"] += sum(len(version.tags) for version in versions)
            bundle = models.of_model(model, versions)
            mark = fingerprint([RELEASE, model, versions])
            if self._is_news(self.intake.marks([bundle.name]).get(bundle.name), mark, "active"):
                bundle.mark = mark
                self._write([bundle])
        for page in self.source.logged_models():
            self._bring_logged_models(page)

    def _bring_logged_models(self, page: list[LoggedModel]) -> None:
        marks = self.intake.marks([f"logged model {model.id}" for model in page])
        bundles = []
        for model in page:
            self.found["logged models"] += 1
            self.found["version tags"] += len(model.tags)
            name, mark = f"logged model {model.id}", fingerprint([RELEASE, model])
            if not self._is_news(marks.get(name), mark, model.lifecycle):
                continue
            try:
                bundle = self._logged_model(model)
            except MunimentError as error:
                self.intake.refuse(name, "logged models", name[:100], error)
                continue
            bundles.append(bundle)
            if model.lifecycle == "deleted":
                version = mlflow.version_id(model.id)
                assert version is not None
                self._last.append(Bundle(name, [steps.of_deletion("logged models", version)], mark=mark))
            else:
                bundle.mark = mark
        self._write(bundles)

    def _logged_model(self, model: LoggedModel) -> Bundle:
        experiment = self._experiments.get(model.experiment)
        if experiment is None:
            raise InvalidInput(f"its experiment {model.experiment} was not taken in")
        return models.of_logged_model(model, experiment)

    # artifacts

    def _bring_artifacts(self) -> None:
        """Bring the files of runs and logged models that are not deleted."""
        done = 0
        for page in self.source.runs():
            for run in page:
                if run.id in self._seen and run.lifecycle == "active":
                    self._bring_files(f"run {run.id}", run.id, run)
                done += 1
                self.report("artifacts", done, None)
        for models_ in self.source.logged_models():
            for model in models_:
                version = mlflow.version_id(model.id)
                if version is not None and model.lifecycle == "active" and model.experiment in self._experiments:
                    self._bring_files(f"logged model {model.id}", version, model)

    def _bring_files(self, where: str, record: str, of: Run | LoggedModel) -> None:
        name = f"artifacts of {where}"
        try:
            place = self.source.place(of)
            found = place.files()
        except (MunimentError, OSError) as error:
            self.intake.refuse(name, "artifacts", where, _said(error))
            return
        self.found["artifacts"] += len(found)
        mark = fingerprint([RELEASE, of.location, found])
        if not self._is_news(self.intake.marks([name]).get(name), mark, of.lifecycle):
            return
        for file in found:
            try:
                news = files.bring(self.workspace, self.scope, self.project, record, place, file)
                self.intake.new["artifacts"] += news
            except Unavailable:
                raise
            except (MunimentError, OSError) as error:
                self.intake.refuse(name, "artifacts", f"{where}: {file.path}", _said(error))
        self.intake.write([Bundle(name, [steps.of_brought(name, record, of.location)], mark=mark)])

    # points

    def _batches(self, portion: Portion, *, recorded: bool) -> Iterator[PointsBatch]:
        """Points in entries, without those that are here already and those that cannot be kept."""
        where = f"run {portion.run}"
        for line in portion.broken:
            self.intake.refuse(where, "points", where, InvalidInput(f"a point cannot be read: {line}"))
        self._progress(len(portion.key) + len(portion.broken))
        if self._total is None:
            self.found["points"] += len(portion.key) + len(portion.broken)
        kept = self._sound(portion)
        if recorded and kept.any():
            names = {portion.keys[at] for at in np.unique(portion.key[kept]).tolist()}
            known = metrics.recorded(self.workspace, self.scope, self.project, portion.run, names)
            kept &= ~series.known(portion, known)
        yield from series.batches(portion, kept)

    def _sound(self, portion: Portion) -> npt.NDArray[np.bool_]:
        """Which points can be kept; the others are noted."""
        kept = portion.timestamp >= 0
        where = f"run {portion.run}"
        for at, key in enumerate(portion.keys):
            try:
                check_name(key, "a metric")
            except MunimentError as error:
                kept &= portion.key != at
                self.intake.refuse(where, "points", f"{where}: metric {key!r}", error)
        before = int((portion.timestamp < 0).sum())
        if before:
            self.intake.refuse(where, "points", where, InvalidInput(f"{before:,} points have times before 1970"))
        return kept


def _said(error: Exception) -> MunimentError:
    return error if isinstance(error, MunimentError) else InvalidInput(str(error))
