"""What holds for a record of every kind: tags, deletion and restoring, erasure."""

from __future__ import annotations

from typing import Literal

import msgspec

from muniment.model.ids import Id


class NewTags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags to set; null removes one."""

    tags: dict[str, str | None]


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of a record."""

    tags: dict[str, str]


class TagsSet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to setting or removing tags."""

    record: Id
    changed: int
    """How many were new or different, or are gone."""
    position: int
    """It is so since this position, or an earlier one if nothing changed."""


class NewErasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why content is erased; the reason stays in the history, so it must not repeat the content."""

    reason: str


class LifecycleSet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to deleting, restoring or erasing a record."""

    record: Id
    kind: str
    lifecycle: Literal["active", "deleted", "erased"]
    changed: bool
    position: int
    """It is so since this position, or an earlier one if nothing changed."""
