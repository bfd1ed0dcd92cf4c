"""A project: the unit of permission, of partition and of history."""

from __future__ import annotations

from datetime import datetime

import msgspec

from muniment.model.ids import Id

SYSTEM = "_"
"""The project that holds what belongs to no project: projects and principals themselves."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """One project; its slug is its name in URLs."""

    id: Id
    slug: str
    description: str | None = None
    created_at: datetime
    position: int
    """The position in `_` at which this version of the record was written."""


class NewProject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one."""

    slug: str
    description: str | None = None


class ProjectChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    description: str | msgspec.UnsetType | None = msgspec.UNSET


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: a person or a service account. Entries carry only the id."""

    id: Id
    name: str
    kind: str
    created_at: datetime
    position: int
