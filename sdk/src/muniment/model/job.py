"""A job: a recurring process, such as a pipeline step, whose executions are runs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from muniment.model.dataset import DEFAULT_NAMESPACE
from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job; its name is unique within its namespace."""

    id: Id
    namespace: str
    name: str
    type: str | None = None
    """As its producer calls it, such as ``airflow task`` or ``dbt model``."""
    description: str | None = None
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one. With the name of one that exists and the same content, it is that one."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    type: str | None = None
    description: str | None = None


class JobChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    type: str | msgspec.UnsetType | None = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET


class JobDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as a job reads or writes it."""

    dataset: Id
    name: str
    runs: int
    """Runs of the job that did."""
    position: int
    """Since when the latest of their links holds."""


class JobData(msgspec.Struct, frozen=True, kw_only=True):
    """What a job reads and writes, rolled up from the links of its runs."""

    job: Job
    runs: int
    """Runs that were looked at."""
    truncated: bool
    """Whether there are more, which are older."""
    inputs: list[JobDataset]
    outputs: list[JobDataset]
