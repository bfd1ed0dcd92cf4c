"""The use case of a batch: prepare every command, carry all of them out in one draft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from muniment.model import batch as commands
from muniment.model.artifact import Attached
from muniment.model.errors import InvalidInput, MunimentError, TooLarge
from muniment.model.facet import FacetSet
from muniment.model.metric import PointsWritten
from muniment.model.names import TEXT_LIMIT, check_map, check_text, check_title
from muniment.model.othername import NameSet
from muniment.model.record import LifecycleSet, TagsSet
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import (
    artifacts,
    datasets,
    evaluations,
    experiments,
    facets,
    jobs,
    links,
    metrics,
    models,
    notes,
    othernames,
    records,
    runs,
    views,
)
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store.draft import Draft
from muniment_server.store.receipts import Receipt

Act = Callable[[Draft], Any]


def run(
    workspace: Workspace, scope: Scope, project: str, given: commands.Batch, receipt: Receipt | None = None
) -> Change[commands.BatchDone]:
    """Prepare a batch."""
    ref = workspace.project(scope, project, Permission.WRITE)
    if not given.commands:
        raise InvalidInput("commands is empty: there is nothing to do", field="commands")
    if len(given.commands) > commands.COMMANDS_LIMIT:
        raise TooLarge(
            f"{len(given.commands):,} commands in one batch; the limit is {commands.COMMANDS_LIMIT:,}", field="commands"
        )
    acts: list[Act] = []
    for index, command in enumerate(given.commands):
        try:
            acts.append(prepared(command))
        except MunimentError as error:
            raise _at(index, error) from None

    def act(draft: Draft) -> commands.BatchDone:
        results = []
        for index, step in enumerate(acts):
            try:
                results.append(step(draft))
            except MunimentError as error:
                raise _at(index, error) from None
        before, last = draft.position - 1, draft.last_position
        return commands.BatchDone(position=last, results=[_settled(result, before, last) for result in results])

    return Change(ref.no, scope.principal, "batch", act, receipt)


def prepared(command: commands.Command) -> Act:
    """What a command does in a draft.

    Raises:
        InvalidInput: it cannot be carried out, whatever is recorded.
    """
    return _PREPARE[type(command)](command)


def _at(index: int, error: MunimentError) -> MunimentError:
    return type(error)(
        f"commands[{index}]: {error.message}", field=f"commands[{index}].{error.field or ''}".rstrip(".")
    )


def _settled(result: Any, before: int, last: int) -> Any:
    """Positions of this batch's own points are known only when all commands are."""
    if isinstance(result, PointsWritten) and result.position > before:
        return msgspec.structs.replace(result, position=last)
    if isinstance(result, _POSITIONED):
        return msgspec.structs.replace(result, position=last)
    return result


_POSITIONED = runs.Logged | links.Linked | FacetSet | NameSet | models.AliasSet | Attached | TagsSet | LifecycleSet
"""Answers that say by which position something is so."""


def _create_experiment(command: commands.CreateExperiment) -> Act:
    experiments.check_new(command)
    return lambda draft: experiments.create_in(draft, command)


def _update_experiment(command: commands.UpdateExperiment) -> Act:
    if isinstance(command.name, str):
        check_title(command.name, "name")
    if isinstance(command.description, str):
        check_text(command.description, "description", TEXT_LIMIT)
    return lambda draft: experiments.update_in(draft, command.experiment, command)


def _create_run(command: commands.CreateRun) -> Act:
    params = runs.check_new(command)
    return lambda draft: runs.create_in(draft, command, params)


def _update_run(command: commands.UpdateRun) -> Act:
    runs.check_change(command)
    return lambda draft: runs.update_in(draft, command.run, command)


def _begin_attempt(command: commands.BeginAttempt) -> Act:
    return lambda draft: runs.begin_attempt_in(draft, command.run)


def _log_params(command: commands.LogParams) -> Act:
    params = runs.texts(command.params)

    def act(draft: Draft) -> runs.Logged:
        return runs.Logged(changed=draft.add_params(runs.writable(draft, command.run), params), position=0)

    return act


def _set_tags(command: commands.SetTags) -> Act:
    check_map({key: value or "" for key, value in command.tags.items()}, "tags")

    def act(draft: Draft) -> runs.Logged:
        return runs.Logged(changed=draft.change_tags(runs.writable(draft, command.run), command.tags), position=0)

    return act


def _set_record_tags(command: commands.SetRecordTags) -> Act:
    records.check_tags(command.tags)
    return lambda draft: records.set_tags_in(draft, command.record, command.tags)


def _delete_record(command: commands.DeleteRecord) -> Act:
    return lambda draft: records.delete_in(draft, command.record)


def _restore_record(command: commands.RestoreRecord) -> Act:
    return lambda draft: records.restore_in(draft, command.record)


def _log_points(command: commands.LogPoints) -> Act:
    if command.writer is not None or command.sequence is not None:
        raise InvalidInput("writer and sequence belong to single requests of points, not to a batch", field="writer")
    prepared = metrics.prepared(command)
    return lambda draft: metrics.log_in(draft, command.run, prepared)


def _create_job(command: commands.CreateJob) -> Act:
    jobs.check_new(command)
    return lambda draft: jobs.create_in(draft, command)


def _create_dataset(command: commands.CreateDataset) -> Act:
    datasets.check_new(command)
    return lambda draft: datasets.create_in(draft, command)


def _create_dataset_version(command: commands.CreateDatasetVersion) -> Act:
    datasets.check_version(command)
    return lambda draft: datasets.create_version_in(draft, command.dataset, command)


def _create_model(command: commands.CreateModel) -> Act:
    models.check_new(command)
    return lambda draft: models.create_in(draft, command)


def _create_model_version(command: commands.CreateModelVersion) -> Act:
    models.check_version(command)
    return lambda draft: models.create_version_in(draft, command.model, command)


def _create_evaluation(command: commands.CreateEvaluation) -> Act:
    evaluations.check_new(command)
    return lambda draft: evaluations.create_in(draft, command)


def _create_note(command: commands.CreateNote) -> Act:
    notes.check_new(command)
    return lambda draft: notes.create_in(draft, command)


def _create_facet_type(command: commands.CreateFacetType) -> Act:
    facets.check_new_type(command)
    return lambda draft: facets.create_type_in(draft, command)


def _set_facet(command: commands.SetFacet) -> Act:
    facets.check_facet(command.name, command.value)
    return lambda draft: facets.set_facet_in(draft, command.record, command.name, command.value)


def _create_view(command: commands.CreateSavedView) -> Act:
    views.check_new(command)
    return lambda draft: views.create_in(draft, command)


def _give_name(command: commands.GiveName) -> Act:
    othernames.check(command)
    return lambda draft: othernames.give_in(draft, command)


def _set_alias(command: commands.SetAlias) -> Act:
    models.check_alias(command.alias)
    return lambda draft: models.set_alias_in(draft, command.model, command.alias, command.version)


def _attach(command: commands.AttachArtifact) -> Act:
    artifacts.check_attach(command)
    return lambda draft: artifacts.attach_known_in(draft, command.record, command)


def _add_link(command: commands.AddLink) -> Act:
    links.check([command])
    return lambda draft: links.Linked(changed=int(links.add_in(draft, command)), position=0)


_PREPARE: dict[type, Callable[[Any], Act]] = {
    commands.CreateExperiment: _create_experiment,
    commands.UpdateExperiment: _update_experiment,
    commands.CreateRun: _create_run,
    commands.UpdateRun: _update_run,
    commands.BeginAttempt: _begin_attempt,
    commands.LogParams: _log_params,
    commands.SetTags: _set_tags,
    commands.LogPoints: _log_points,
    commands.CreateJob: _create_job,
    commands.CreateDataset: _create_dataset,
    commands.CreateDatasetVersion: _create_dataset_version,
    commands.CreateModel: _create_model,
    commands.CreateModelVersion: _create_model_version,
    commands.CreateEvaluation: _create_evaluation,
    commands.AddLink: _add_link,
    commands.CreateNote: _create_note,
    commands.CreateFacetType: _create_facet_type,
    commands.SetFacet: _set_facet,
    commands.CreateSavedView: _create_view,
    commands.GiveName: _give_name,
    commands.SetAlias: _set_alias,
    commands.AttachArtifact: _attach,
    commands.SetRecordTags: _set_record_tags,
    commands.DeleteRecord: _delete_record,
    commands.RestoreRecord: _restore_record,
}
