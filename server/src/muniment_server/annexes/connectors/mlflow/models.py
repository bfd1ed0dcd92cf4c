"""What is done in a project for MLflow's registered and logged models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from muniment.model import mlflow
from muniment.model.dataset import DEFAULT_NAMESPACE
from muniment.model.errors import InvalidInput
from muniment.model.evaluation import NewEvaluation
from muniment.model.metric import WireNumber
from muniment.model.model import Model, NewModel
from muniment_server.annexes.connectors.mlflow import steps, translate
from muniment_server.annexes.connectors.mlflow.shapes import LoggedModel, RegisteredModel, Version
from muniment_server.services import evaluations, facets, mirrors, models, records
from muniment_server.services.intake import Bundle, Step
from muniment_server.store.draft import Draft
from muniment_server.store.expecting import Expected
from muniment_server.store.held import is_active


def of_model(given: RegisteredModel, versions: list[Version]) -> Bundle:
    """A registered model with its versions and aliases."""
    where, new = f"model {given.name}", translate.model_of(given)

    def make(draft: Draft) -> int:
        models.check_new(new)
        return int(mirrors.model_in(draft, new))

    made: list[Step] = [
        Step("models", where, make, vital=True),
        *steps.tags("model tags", where, dict(given.tags), lambda draft: _model(draft, given.name).id),
    ]
    for version in versions:
        made += _version(where, version)
    made += [_alias(where, given.name, alias, version) for alias, version in given.aliases.items()]
    made += [_no_alias(where, given), steps.facet(
        where, translate.model_facet(given), lambda draft: _model(draft, given.name).id
    )]  # fmt: skip
    ids = {version.run for version in versions if version.run}
    return Bundle(where, made, Expected(names={"model": {(given.name,)}}, ids=ids))


def _model(draft: Draft, name: str) -> Model:
    held = draft.find_named("model", name)
    if held is None:
        raise InvalidInput(f"model {name[:100]!r} was not taken in")
    return models.of(held)


def _version(model: str, given: Version) -> list[Step]:
    where, new = f"{model} version {given.version}", translate.version_of(given)

    def make(draft: Draft) -> int:
        models.check_version(new)
        return int(mirrors.model_version_in(draft, given.name, new)[1])

    def record(draft: Draft) -> str:
        held = draft.find_named("model_version", _model(draft, given.name).id, given.version)
        if held is None:
            raise InvalidInput(f"{where} was not taken in")
        return held.record.id

    return [
        Step("versions", where, make),
        *steps.tags("version tags", where, dict(given.tags), record),
        _version_facet(where, given, record),
    ]


def _version_facet(where: str, given: Version, record: Callable[[Draft], str]) -> Step:
    def act(draft: Draft) -> int:
        known = given.run is not None and draft.find("run", given.run) is not None
        value = translate.version_facet(given, known_run=known)
        if value:
            facets.set_facet_in(draft, record(draft), mlflow.FACET, value)
        return 0

    return Step("facets", where, act)


def _alias(where: str, model: str, alias: str, version: int) -> Step:
    def act(draft: Draft) -> int:
        models.check_alias(alias)
        return int(models.set_alias_in(draft, _model(draft, model).id, alias, str(version)).changed)

    return Step("aliases", f"{where}: alias {alias!r}", act)


def _no_alias(where: str, given: RegisteredModel) -> Step:
    """That aliases which were brought earlier mean nothing any more, where MLflow has taken them away."""

    def act(draft: Draft) -> int:
        model = _model(draft, given.name)
        held = draft.find("model", model.id)
        kept = None if held is None else draft.belonging("facets", held, mlflow.FACET)
        gone = set((kept or {}).get("value", {}).get("aliases", [])) - given.aliases.keys()
        return sum(models.set_alias_in(draft, model.id, alias, None).changed for alias in sorted(gone))

    return Step("aliases", f"{where}: aliases", act)


def of_logged_model(given: LoggedModel, experiment: str) -> Bundle:
    """A logged model as a version of the model of its name in its experiment.

    Args:
        given: the logged model.
        experiment: id of its experiment here.

    Raises:
        InvalidInput: its id is none of a logged model.
    """
    where, new = f"logged model {given.id}", translate.logged_model_of(given)
    family = NewModel(name=mlflow.family_name(experiment, given.name))

    def make(draft: Draft) -> int:
        models.check_new(family)
        models.check_version(new)
        mirrors.model_in(draft, family)
        records.set_tags_in(draft, _model(draft, family.name).id, {mlflow.FAMILY_TAG: experiment})
        return int(mirrors.model_version_in(draft, family.name, new)[1])

    def record(draft: Draft) -> str:
        del draft
        assert new.id is not None
        return new.id

    made = [
        Step("logged models", where, make, vital=True),
        *steps.tags("version tags", where, dict(given.tags), record),
        steps.facet(where, translate.logged_model_facet(given, experiment), record),
        *(
            steps.facet(where, document, record, f"{translate.METRICS}{run}")
            for run, document in translate.measured(given).items()
        ),
        *(_evaluation(where, new.id or "", *measured) for measured in translate.evaluated(given).items()),
    ]
    ids = {part for part in (new.id, new.run) if part}
    return Bundle(where, made, Expected(names={"model": {(family.name,)}}, ids=ids))


def _evaluation(where: str, version: str, on: tuple[str, str, str], values: dict[str, WireNumber]) -> Step:
    """What a run measured of a logged model on a dataset, if that is here: an evaluation that is there once.

    Args:
        where: for a report.
        version: the logged model.
        on: id of the run, name and digest of the dataset.
        values: of each metric the latest.
    """
    run, name, digest = on
    same = hashlib.sha256(msgspec.json.encode([version, *on, sorted(values.items())])).hexdigest()[:32]

    def act(draft: Draft) -> int:
        owner = draft.find_named("dataset", DEFAULT_NAMESPACE, name)
        dataset = None if owner is None else draft.find_digest(owner.record.id, digest)
        if dataset is None or draft.find("evaluation", same) is not None:
            return 0
        by = draft.find("run", run)
        new = NewEvaluation(
            id=same, model_version=version, dataset_version=dataset.record.id, metrics=values,
            run=run if by is not None and is_active(by) else None,
        )  # fmt: skip
        evaluations.check_new(new)
        evaluations.create_in(draft, new)
        return 0

    return Step("evaluations", f"{where}: measured on {name!r}", act)
