"""A run: one execution, with the code, environment and seeds that make it repeatable."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id
from muniment.model.metric import Number, Summary

RunKind = Literal["training", "evaluation", "processing", "ingestion"]
RunState = Literal["scheduled", "running", "finished", "failed", "killed"]

TERMINAL: frozenset[str] = frozenset(("finished", "failed", "killed"))
"""States in which nothing more is expected; points that come late are still kept."""

REPRODUCES, REPRODUCTION = "muniment.reproduces", "muniment.reproduction"
"""Tags of a run that is begun to reproduce another: the other's id, and what all runs of that attempt share."""
REPRODUCES_VARIABLE = "MUNIMENT_REPRODUCES"
"""The variable that tells a program so: ``RUN:TOKEN``."""


CHANGES, PROGRAM, LEFT_OUT = "code/changes.diff", "code/program.py", "code/left-out.txt"
"""Artifacts of a run that belong to its code: uncommitted changes, a program in no repository, what is in neither."""
PACKAGES = "environment/packages.txt"
"""The artifact that lists the packages of a run's environment."""


class Code(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was run."""

    repository: str | None = None
    commit: str | None = None
    branch: str | None = None
    entry_point: str | None = None
    folder: str | None = None
    """Where it was run, from the top of the repository; ``.`` is the top."""
    command: list[str] | None = None
    diff_digest: str | None = None
    """sha256 of the uncommitted difference, in hex."""


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What it was run in."""

    python: str | None = None
    packages_digest: str | None = None
    """sha256 of the sorted ``name==version`` lines, in hex."""
    image: str | None = None
    hardware: dict[str, Any] | None = None
    variables: dict[str, str] | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run, without its params, tags and metrics."""

    id: Id
    experiment: Id
    name: str
    kind: RunKind = "training"
    state: RunState = "running"
    attempt: int = 1
    parent: Id | None = None
    lifecycle: Lifecycle = "active"
    description: str | None = None
    user: str | None = None
    code: Code | None = None
    environment: Environment | None = None
    seeds: dict[str, int] | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    job: Id | None = None
    """The job of which this is an execution."""
    position: int
    """The position at which this version of the record was written."""


class RunData(msgspec.Struct, frozen=True, kw_only=True):
    """A run with what was logged to it; a search fills only the columns it was asked for."""

    run: Run
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: dict[str, Summary] = {}


class NewRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to start one. An `id` given by the producer makes the call repeatable."""

    experiment: str
    """Name or id of the experiment."""
    id: Id | None = None
    name: str | None = None
    kind: RunKind = "training"
    state: RunState = "running"
    parent: Id | None = None
    description: str | None = None
    user: str | None = None
    code: Code | None = None
    environment: Environment | None = None
    seeds: dict[str, int] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    job: str | None = None
    """A reference to the job of which it is an execution: an id, or ``namespace/name``."""
    params: dict[str, str | int | float | bool] = {}
    tags: dict[str, str] = {}


class RunChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays, what is null is cleared."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    state: RunState | msgspec.UnsetType = msgspec.UNSET
    parent: Id | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    user: str | msgspec.UnsetType | None = msgspec.UNSET
    code: Code | msgspec.UnsetType | None = msgspec.UNSET
    environment: Environment | msgspec.UnsetType | None = msgspec.UNSET
    seeds: dict[str, int] | msgspec.UnsetType | None = msgspec.UNSET
    started_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    ended_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


def param_text(value: str | float | bool) -> str:
    """The text under which a param is kept: as a Python or JSON user would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def param_number(text: str) -> Number | None:
    """The finite number that a param's text spells, for comparisons with numbers; None for anything else."""
    if len(text) > 32 or not text or text[0] not in "+-.0123456789" or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
