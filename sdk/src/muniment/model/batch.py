"""A batch: many commands in one request, all of them or none."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.artifact import Attach
from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.evaluation import NewEvaluation
from muniment.model.experiment import ExperimentChange, NewExperiment
from muniment.model.facet import NewFacet, NewFacetType
from muniment.model.ids import Id
from muniment.model.job import NewJob
from muniment.model.link import NewLink
from muniment.model.metric import NewPoints
from muniment.model.model import NewModel, NewModelVersion
from muniment.model.note import NewNote
from muniment.model.othername import NewOtherName
from muniment.model.record import NewTags
from muniment.model.run import NewRun, RunChange
from muniment.model.view import NewSavedView

COMMANDS_LIMIT = 10_000
"""Commands in one batch."""


class CreateExperiment(NewExperiment, frozen=True, kw_only=True, tag_field="do", tag="experiment.create"):
    """Create an experiment."""


class UpdateExperiment(ExperimentChange, frozen=True, kw_only=True, tag_field="do", tag="experiment.update"):
    """Change an experiment, given by id or name."""

    experiment: str


class CreateRun(NewRun, frozen=True, kw_only=True, tag_field="do", tag="run.create"):
    """Start a run. Give it an `id` to speak of it in later commands of the batch."""


class UpdateRun(RunChange, frozen=True, kw_only=True, tag_field="do", tag="run.update"):
    """Change a run."""

    run: Id


class BeginAttempt(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="run.attempt"
):
    """Begin the next attempt of a run that has ended."""

    run: Id


class LogParams(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="run.params"
):
    """Log params of a run."""

    run: Id
    params: dict[str, str | int | float | bool]


class SetTags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="run.tags"):
    """Set tags of a run; null removes one."""

    run: Id
    tags: dict[str, str | None]


class LogPoints(NewPoints, frozen=True, kw_only=True, tag_field="do", tag="run.log"):
    """Log points of a run. They are an entry of their own, after that of the other commands."""

    run: Id


class CreateJob(NewJob, frozen=True, kw_only=True, tag_field="do", tag="job.create"):
    """Create a job."""


class CreateDataset(NewDataset, frozen=True, kw_only=True, tag_field="do", tag="dataset.create"):
    """Create a dataset."""


class CreateDatasetVersion(NewDatasetVersion, frozen=True, kw_only=True, tag_field="do", tag="dataset.version"):
    """Record a version of a dataset, given by id or name."""

    dataset: str


class CreateModel(NewModel, frozen=True, kw_only=True, tag_field="do", tag="model.create"):
    """Create a model."""


class CreateModelVersion(NewModelVersion, frozen=True, kw_only=True, tag_field="do", tag="model.version"):
    """Register a version of a model, given by id or name."""

    model: str


class CreateEvaluation(NewEvaluation, frozen=True, kw_only=True, tag_field="do", tag="evaluation.create"):
    """Record an evaluation."""


class AddLink(NewLink, frozen=True, kw_only=True, tag_field="do", tag="link.add"):
    """Record a link. Its ends may have been created by earlier commands of the batch."""


class CreateNote(NewNote, frozen=True, kw_only=True, tag_field="do", tag="note.create"):
    """Write a note."""


class CreateFacetType(NewFacetType, frozen=True, kw_only=True, tag_field="do", tag="facet_type.create"):
    """Say what facets of a name must be."""


class SetFacet(NewFacet, frozen=True, kw_only=True, tag_field="do", tag="facet.set"):
    """Set a facet of a record."""

    record: str
    name: str


class CreateSavedView(NewSavedView, frozen=True, kw_only=True, tag_field="do", tag="saved_view.create"):
    """Save the state of a page."""


class GiveName(NewOtherName, frozen=True, kw_only=True, tag_field="do", tag="name.give"):
    """Let a name of another system mean a record."""


class SetAlias(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="model.alias"
):
    """Let an alias of a model mean a version; null removes it."""

    model: str
    alias: str
    version: str | None


class AttachArtifact(Attach, frozen=True, kw_only=True, tag_field="do", tag="artifact.attach"):
    """Give a record an artifact whose bytes the store has already."""

    record: str


class SetRecordTags(NewTags, frozen=True, kw_only=True, tag_field="do", tag="record.tags"):
    """Set tags of a record of any kind; null removes one."""

    record: str


class DeleteRecord(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="record.delete"
):
    """Delete a record of any kind."""

    record: str


class RestoreRecord(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag="record.restore"
):
    """Restore a record that was deleted."""

    record: str


Command = (
    CreateExperiment
    | UpdateExperiment
    | CreateRun
    | UpdateRun
    | BeginAttempt
    | LogParams
    | SetTags
    | LogPoints
    | CreateJob
    | CreateDataset
    | CreateDatasetVersion
    | CreateModel
    | CreateModelVersion
    | CreateEvaluation
    | AddLink
    | CreateNote
    | CreateFacetType
    | SetFacet
    | CreateSavedView
    | GiveName
    | SetAlias
    | AttachArtifact
    | SetRecordTags
    | DeleteRecord
    | RestoreRecord
)


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Commands, carried out in order and committed together."""

    commands: list[Command]


class BatchDone(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a batch."""

    position: int
    """Everything is recorded at or before this position."""
    results: list[Any]
    """One for each command: what the single operation would have answered."""
