"""What must be askable in one call: the answers, each with its reasons."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from muniment.model.dataset import DatasetVersion
from muniment.model.evaluation import Evaluation
from muniment.model.ids import Id
from muniment.model.link import Link, Node
from muniment.model.metric import Number
from muniment.model.model import ModelVersion
from muniment.model.run import Run

HITS_LIMIT = 1_000
"""Hits in one answer."""
COMPARED_LIMIT = 50
"""Records in one comparison."""


class BestQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which run scored best on some data."""

    metric: str
    dataset: str
    """A dataset version, such as ``customers@3``."""
    slice: str | None = None
    """A slice of it; then only evaluations can tell."""
    order: Literal["greatest", "least"] = "greatest"
    limit: Annotated[int, msgspec.Meta(ge=1, le=HITS_LIMIT)] = 10
    as_of: str | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How good a run was on some data, and who says so."""

    value: Number
    run: Run | None
    """The run that made what was evaluated; None if it is not known."""
    model_version: Id | None = None
    evaluation: Id | None = None
    """The evaluation that says so; None if it is the run's own metric."""


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best runs on some data, best first."""

    metric: str
    dataset_version: Id
    slice: str | None
    scores: list[Score]
    position: int
    """Everything up to this position was considered."""


Reason = Literal["same version", "same dataset", "overlapping slice", "shared ancestor", "similar schema"]


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One reason for which two runs' data are alike."""

    reason: Reason
    mine: str
    """The data of the run that was asked about, such as ``customers@3``."""
    theirs: str
    """That of the other run."""
    detail: str = ""


class Similar(msgspec.Struct, frozen=True, kw_only=True):
    """A run on similar data."""

    run: Run
    score: float
    """0 to 1: that of its best reason, where the same version is 1."""
    reasons: list[Why]


class SimilarRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Runs on similar data, most similar first."""

    run: Id
    similar: list[Similar]
    truncated: bool
    position: int


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Data that went into something."""

    name: str
    role: str
    version: DatasetVersion


class Reproducibility(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that made a model version, and what is missing to make it again."""

    name: str
    model_version: ModelVersion
    run: Run | None
    params: dict[str, str]
    inputs: list[Input]
    """Data that the run used itself."""
    ancestors: list[Node]
    """Everything that it descends from."""
    evaluations: list[Evaluation]
    missing: list[str]
    """What is not recorded, one line each; empty if it can be made again."""
    position: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What tells some records apart."""

    records: list[Node]
    different: dict[str, list[Any]]
    """One value for each record, by field; None where a record has none."""
    same: int
    """Fields that all of them share."""
    position: int


class Compare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records to compare, all of one kind."""

    records: list[str]
    as_of: int | str | None = None


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field, before and after."""

    field: str
    before: Any
    after: Any


class HistoryStep(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a record."""

    position: int
    time: datetime
    actor: Id
    action: str
    changes: list[FieldChange]
    erased: bool = False
    """Whether what was said then has been erased."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened to a record, oldest first."""

    record: Id
    kind: str
    steps: list[HistoryStep]
    next: int | None
    """Pass as ``after`` to go on."""


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """How data came from one record to another, by the fewest links; empty if it did not."""

    nodes: list[Node]
    links: list[Link]
    truncated: bool
    position: int


class AncestryDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What only one of two records descends from."""

    only_first: list[Node]
    only_second: list[Node]
    common: int
    truncated: bool
    position: int
