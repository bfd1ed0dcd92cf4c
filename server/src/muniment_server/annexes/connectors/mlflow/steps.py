"""What is done in a project for each thing that MLflow has: translated records as steps of an intake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec

from muniment.model import mlflow
from muniment.model.errors import InvalidInput, MunimentError
from muniment.model.experiment import NewExperiment
from muniment.model.othername import spelled
from muniment.model.run import NewRun, RunChange
from muniment_server.annexes.connectors.mlflow import translate
from muniment_server.annexes.connectors.mlflow.shapes import Experiment, Input, Run
from muniment_server.services import datasets, experiments, facets, metrics, mirrors, records, runs
from muniment_server.services.intake import Bundle, Intake, Step
from muniment_server.store.draft import Draft
from muniment_server.store.expecting import Expected
from muniment_server.store.repeats import PointsBatch

OUTPUT, INPUT, USED = f"{mlflow.FACET}.output/", f"{mlflow.FACET}.input/", f"{mlflow.FACET}.used/"
"""How the names of facets of runs begin: at which step one logged a model, the tags of a dataset that one used, and
a model that one read without a link to say so."""
PLACE, BROUGHT = "artifact_uri", "brought_from"
"""What the facet of a record says of its artifacts: where they are, or where they were before they were brought."""
ITEMS = 5_000
"""Params or tags in one step."""


def of_experiment(identity: str, given: Experiment, found: Callable[[str], None], *, changed: bool) -> Bundle:
    """An experiment, with its tags and its name in MLflow.

    Args:
        identity: of the source.
        given: the experiment.
        found: is told the id that it has here.
        changed: whether it is another than last time; if not, it is only found.
    """
    called, new = translate.experiment_name(identity, given.id), NewExperiment(name=given.name)
    where = f"experiment {given.id}"

    def make(draft: Draft) -> int:
        held, news = draft.find_called(spelled(called)), False
        if held is not None:
            found(held.record.id)  # also if its new name is refused
        if changed or held is None:
            experiments.check_new(new)
            news = mirrors.experiment_in(draft, called, new)
            held = draft.find_called(spelled(called))
        assert held is not None
        found(held.record.id)
        return int(news)

    def record(draft: Draft) -> str:
        held = draft.find_called(spelled(called))
        if held is None:
            raise InvalidInput(f"{where} was not taken in")
        return held.record.id

    steps = [Step("experiments", where, make, vital=True)]
    if changed:
        steps += tags("experiment tags", where, dict(given.tags), record)
        steps.append(facet(where, translate.experiment_facet(given), record))
    expected = Expected(names={"experiment": {(given.name,)}}, called={spelled(called)})
    return Bundle(f"experiment {given.id}", steps, expected)


def of_run(given: Run, experiment: str, parent: str | None, intake: Intake) -> Bundle:
    """A run with its params, tags and datasets.

    Args:
        given: the run.
        experiment: id of its experiment here.
        parent: the run that it is part of, if that is here.
        intake: is told of fields that cannot be kept.
    """
    where = f"run {given.id}"
    new = _sound(translate.run_of(given, experiment, parent), where, intake)

    def record(draft: Draft) -> str:
        del draft
        return given.id

    steps = [
        Step("runs", where, lambda draft: int(mirrors.run_in(draft, new)), vital=True),
        *params(where, given.id, given.params),
        *tags("tags", where, translate.tags_of(given), record),
        *(_input(where, given.id, item) for item in given.inputs),
        _run_facet(where, given),
    ]
    ids = {given.id, experiment, *([parent] if parent else [])}
    names = {("default", item.dataset.name) for item in given.inputs}
    return Bundle(where, steps, Expected(names={"dataset": names} if names else {}, ids=ids))


def _sound(new: NewRun, where: str, intake: Intake) -> NewRun:
    """A run without the fields that cannot be kept."""
    while True:
        try:
            runs.check_new(new)
        except MunimentError as error:
            field = (error.field or "").partition(".")[0]
            if getattr(new, field, None) is None or field in {"id", "experiment"}:
                raise
            intake.refuse(where, "runs", f"{where}: {field}", error)
            new = msgspec.structs.replace(new, **{field: None})
        else:
            return new


def params(where: str, run: str, given: dict[str, str]) -> Iterator[Step]:
    """Params of a run; one that is refused does not keep the others."""
    for part in _parts(given):

        def act(draft: Draft, part: dict[str, Any] = part) -> int:
            return draft.add_params(runs.writable(draft, run), runs.texts(part))

        def alone(part: dict[str, Any] = part) -> list[Step]:
            return [
                step for key, value in part.items() for step in params(f"{where}: param {key!r}", run, {key: value})
            ]

        yield Step("params", where, act, alone if len(part) > 1 else None)


def tags(kind: str, where: str, given: dict[str, str | None], record: Callable[[Draft], str]) -> Iterator[Step]:
    """Tags of a record; one that is refused does not keep the others."""
    for part in _parts(given):

        def act(draft: Draft, part: dict[str, Any] = part) -> int:
            records.check_tags(part)
            return records.set_tags_in(draft, record(draft), part).changed

        def alone(part: dict[str, Any] = part) -> list[Step]:
            return [
                step
                for key, value in part.items()
                for step in tags(kind, f"{where}: tag {key!r}", {key: value}, record)
            ]

        yield Step(kind, where, act, alone if len(part) > 1 else None)


def _parts(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    items = iter(given.items())
    while part := dict(islice(items, ITEMS)):
        yield part


def facet(where: str, value: dict[str, Any], record: Callable[[Draft], str], name: str = mlflow.FACET) -> Step:
    """What is kept of a record word for word, if it is anything."""

    def act(draft: Draft) -> int:
        if value:
            facets.check_facet(name, value)
            facets.set_facet_in(draft, record(draft), name, _placed(draft, record(draft), value))
        return 0

    return Step("facets", where, act)


def _placed(draft: Draft, record: str, value: dict[str, Any]) -> dict[str, Any]:
    """A facet that says where artifacts are; if they were brought here, where they came from."""
    held = draft.find_any(record)
    kept = None if held is None else draft.belonging("facets", held, mlflow.FACET)
    if kept is None or kept["value"].get(BROUGHT) != value.get(PLACE):
        return value
    return {BROUGHT if name == PLACE else name: said for name, said in value.items()}


def of_brought(name: str, record: str, location: str) -> Step:
    """That the artifacts of a record, which lay at a location, are here."""

    def act(draft: Draft) -> int:
        held = draft.find_any(record)
        kept = None if held is None else draft.belonging("facets", held, mlflow.FACET)
        value = {key: said for key, said in (kept or {}).get("value", {}).items() if key != PLACE}
        if location:
            facets.set_facet_in(draft, record, mlflow.FACET, {**value, BROUGHT: location})
        return 0

    return Step("artifacts", name, act)


def _input(where: str, run: str, given: Input) -> Step:
    """That a run read a dataset; tags of that other than its role are a facet of the run."""

    def act(draft: Draft) -> int:
        dataset, new = translate.dataset_of(given.dataset)
        datasets.check_new(dataset)
        datasets.check_version(new)
        said = translate.dataset_facet(given.dataset)
        version = mirrors.dataset_version_in(draft, dataset, new, (mlflow.FACET, said))
        tags = {key: value for key, value in given.tags.items() if key != mlflow.CONTEXT}
        if tags:
            facets.set_facet_in(draft, run, f"{INPUT}{version.record.id}", dict(tags))
        kept = draft.belonging("facets", version, mlflow.FACET)
        if kept is None or kept["value"] != said:  # another run has said it otherwise
            facets.set_facet_in(draft, run, f"{mlflow.FACET}/{version.record.id}", said)
        return int(mirrors.used_in(draft, version, run, translate.role_of(given.tags)))

    return Step("inputs", f"{where}: dataset {given.dataset.name!r}", act)


def _run_facet(where: str, given: Run) -> Step:
    """What is kept of a run word for word, and at which steps it wrote models."""

    def act(draft: Draft) -> int:
        value = translate.run_facet(given)
        if value:
            facets.check_facet(mlflow.FACET, value)
            facets.set_facet_in(draft, given.id, mlflow.FACET, _placed(draft, given.id, value))
        for link in given.models_out:
            name = f"{OUTPUT}{mlflow.version_id(link.model) or link.model}"
            facets.set_facet_in(draft, given.id, name, {"model_id": link.model, "step": link.step})
        return 0

    return Step("facets", where, act)


def of_model_input(run: str, model: str) -> Step:
    """That a run read a logged model. If that is not here, or descends from the run itself, a facet says so."""

    def act(draft: Draft) -> int:
        found = mlflow.version_id(model)
        held = None if found is None else draft.find("model_version", found)
        if held is not None:
            try:
                return int(mirrors.used_in(draft, held, run, ""))
            except InvalidInput:  # MLflow notes a model's metrics as read by the run that made it
                pass
        name = f"{USED}{found or model}"
        return int(facets.set_facet_in(draft, run, name, {"model_id": model}).changed)

    return Step("inputs", f"run {run}: model {model}", act)


def of_points(run: str, batch: PointsBatch) -> Step:
    """Points of a run."""

    def act(draft: Draft) -> int:
        written = metrics.log_in(draft, run, batch)
        return 0 if written.replayed else written.points

    return Step("points", f"run {run}", act)


def of_parent(run: str, parent: str) -> Step:
    """That a run is part of another, which came after it."""

    def act(draft: Draft) -> int:
        if draft.find("run", parent) is not None:
            runs.update_in(draft, run, RunChange(parent=parent))
        return 0

    return Step("runs", f"run {run}: parent", act)


def of_deletion(kind: str, record: str) -> Step:
    """That a record is deleted."""

    def act(draft: Draft) -> int:
        records.delete_in(draft, record)
        return 0

    return Step(kind, f"{record}: deletion", act)


def of_experiment_deletion(identity: str, given: Experiment) -> Bundle:
    """That an experiment is deleted, after all of its runs were brought."""
    called = spelled(translate.experiment_name(identity, given.id))

    def act(draft: Draft) -> int:
        held = draft.find_called(called)
        if held is not None:
            records.delete_in(draft, held.record.id)
        return 0

    where = f"experiment {given.id}"
    return Bundle(where, [Step("experiments", f"{where}: deletion", act)])
