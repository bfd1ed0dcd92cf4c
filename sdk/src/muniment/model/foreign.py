"""A foreign reference: how a record of one project stands in another, where it is only known to be there."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from muniment.model.ids import Id


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """A record of another project. What it is, only that project says."""

    id: Id
    urn: str
    """``urn:muniment:PROJECT:KIND:ID``."""
    project: Id
    """The other project."""
    kind: str
    record: Id
    """The record there."""
    lifecycle: Literal["active"] = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""
