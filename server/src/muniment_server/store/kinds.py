"""The kinds of records: the struct and the table of each, and what names one within its project."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.artifact import Artifact
from muniment.model.dataset import Dataset, DatasetVersion
from muniment.model.evaluation import Evaluation
from muniment.model.experiment import Experiment
from muniment.model.facet import FacetType
from muniment.model.foreign import Foreign
from muniment.model.job import Job
from muniment.model.model import Model, ModelVersion
from muniment.model.note import Note
from muniment.model.project import Principal, Project
from muniment.model.run import Run
from muniment.model.view import SavedView
from muniment_server.store import tables

Record = (
    Run | Experiment | Project | Principal | Job | Dataset | DatasetVersion | Model | ModelVersion | Evaluation
    | Artifact | FacetType | Note | SavedView | Foreign
)  # fmt: skip
Key = tuple[Any, ...]
"""What names a record of a kind, besides its id."""


class Kind(msgspec.Struct, frozen=True):
    """One kind.

    Attributes:
        name: as it is spelled in history, URNs and queries.
        struct: the record.
        table: its versions.
        key: the columns that name one record among its kind; none if only its id does.
        owner: of versions, the field that says of what they are.
    """

    name: str
    struct: type[Any]
    table: sa.Table
    key: tuple[str, ...] = ()
    owner: str = ""

    def key_of(self, record: Any) -> Key | None:
        """What names a record."""
        return tuple([getattr(record, column) for column in self.key]) if self.key else None


KINDS = {
    kind.name: kind
    for kind in (
        Kind("run", Run, tables.runs),
        Kind("experiment", Experiment, tables.experiments, ("name",)),
        Kind("project", Project, tables.projects, ("slug",)),
        Kind("principal", Principal, tables.principals, ("name",)),
        Kind("job", Job, tables.jobs, ("namespace", "name")),
        Kind("dataset", Dataset, tables.datasets, ("namespace", "name")),
        Kind("dataset_version", DatasetVersion, tables.dataset_versions, ("dataset", "version"), "dataset"),
        Kind("model", Model, tables.models, ("name",)),
        Kind("model_version", ModelVersion, tables.model_versions, ("model", "version"), "model"),
        Kind("evaluation", Evaluation, tables.evaluations),
        Kind("artifact", Artifact, tables.artifacts, ("digest",)),
        Kind("facet_type", FacetType, tables.facet_types, ("name", "version"), "name"),
        Kind("note", Note, tables.notes),
        Kind("foreign", Foreign, tables.foreigns, ("urn",)),
        Kind("saved_view", SavedView, tables.saved_views, ("name",)),
    )
}
_BY_STRUCT = {kind.struct: kind for kind in KINDS.values()}


def kind_of(record: Record) -> Kind:
    """The kind of a record."""
    return _BY_STRUCT[type(record)]


def name_of(record: Record) -> tuple[str, Key] | None:
    """(kind, key) of a record whose kind has keys."""
    kind = kind_of(record)
    key = kind.key_of(record)
    return None if key is None else (kind.name, key)
