"""An experiment: what a question is asked under."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from muniment.model.ids import Id

Lifecycle = Literal["active", "deleted", "erased"]
"""``deleted`` hides a record and can be undone; ``erased`` removes its content for good and leaves its proof."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment; its name is unique among the project's experiments, deleted ones included."""

    id: Id
    name: str
    description: str | None = None
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewExperiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one. With the name of one that exists and the same content, it is that one."""

    name: str
    description: str | None = None


class ExperimentChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET
