"""A saved view: the state of a page that somebody wants to come back to, or to show to others."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """One view; its name is unique within the project."""

    id: Id
    name: str
    page: str
    """What it is a view of, such as ``runs``."""
    state: dict[str, Any]
    """The page's own: filter, order, columns, whatever it shows."""
    description: str | None = None
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewSavedView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one. With the name of one that exists and the same content, it is that one."""

    name: str
    page: str
    state: dict[str, Any]
    description: str | None = None


class SavedViewChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    state: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET
