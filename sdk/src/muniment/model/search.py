"""Asking: a query over the records of one kind, and its page of answers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from muniment.model.artifact import Artifact
from muniment.model.dataset import Dataset, DatasetVersion
from muniment.model.evaluation import Evaluation
from muniment.model.experiment import Experiment
from muniment.model.facet import FacetType
from muniment.model.job import Job
from muniment.model.model import Model, ModelVersion
from muniment.model.note import Note
from muniment.model.run import RunData
from muniment.model.view import SavedView

PAGE_LIMIT = 10_000
"""Records in one page."""


Kind = Literal[
    "run", "experiment", "job", "dataset", "dataset_version", "model", "model_version", "evaluation", "artifact",
    "note", "saved_view", "facet_type",
]  # fmt: skip
"""Kinds that can be searched."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search over one project.

    `where` is a condition and `order_by` a list such as ``["metrics.auc DESC", "started_at"]``, both in the search
    language (see the reference). `columns` chooses what comes with each run: ``params``, ``tags``, ``metrics``, or a
    single one such as ``metrics.auc``; None is everything. `as_of` is a position or an RFC 3339 time.
    """

    kind: Kind = "run"
    where: str = ""
    order_by: list[str] = []
    limit: Annotated[int, msgspec.Meta(ge=0, le=PAGE_LIMIT)] = 100
    page: str | None = None
    columns: list[str] | None = None
    as_of: int | str | None = None
    lifecycle: Literal["active", "deleted", "any"] = "active"
    count: bool = False
    """Whether to count all matches, which reads them all."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of answers; the list of the query's kind is filled."""

    runs: list[RunData] = []
    experiments: list[Experiment] = []
    jobs: list[Job] = []
    datasets: list[Dataset] = []
    dataset_versions: list[DatasetVersion] = []
    models: list[Model] = []
    model_versions: list[ModelVersion] = []
    evaluations: list[Evaluation] = []
    artifacts: list[Artifact] = []
    notes: list[Note] = []
    saved_views: list[SavedView] = []
    facet_types: list[FacetType] = []
    next: str | None = None
    total: int | None = None
    position: int
    """Everything up to this position was considered."""


class WorkspaceQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search over many projects, each asked by itself. `as_of` is a time."""

    projects: list[str] | None = None
    """Which; all that the caller may read if it is left out."""


class WorkspacePage(msgspec.Struct, frozen=True, kw_only=True):
    """The first page of answers of each project; to go on, ask that project with its `next`."""

    pages: dict[str, Page]
