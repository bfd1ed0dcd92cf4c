"""A note: what people know of a record or of the project, such as a lesson learned or a section of a model card."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One note, in Markdown. Its earlier texts stay in its history."""

    id: Id
    subject: Id | None = None
    """The record that it is about; None is the project."""
    title: str | None = None
    text: str
    author: Id
    """The principal who began it; the history says who changed it."""
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one."""

    id: Id | None = None
    """Give one to make the request repeatable."""
    subject: str | None = None
    """A reference to the record, such as its id, ``model:risk`` or ``dataset:customers@3``."""
    title: str | None = None
    text: str


class NoteChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    title: str | msgspec.UnsetType | None = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET
