"""Bulk onboarding: a stream of commands, one a line, taken in as far as it goes and reported on."""

from __future__ import annotations

from typing import Annotated

import msgspec

from muniment.model.batch import Command
from muniment.model.othername import OtherName

REFUSALS = 1_000
"""Refused lines that a report describes."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the stream."""

    command: Command
    """As in a batch."""
    called: OtherName | None = None
    """What the system that it comes from calls the record. If the name means a record already, the line is not carried
    out again; otherwise it means the one that is made."""
    at: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    """How far its writer has come with it: more than the line before. Counted in lines if it is left out."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was not carried out."""

    line: int
    """Counted from 1; of lines that say where they are `at`, that."""
    code: str
    detail: str
    field: str | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The report on a stream."""

    lines: int
    """Lines read, those included that an earlier try had carried out."""
    skipped: int
    """Lines that an earlier try of the same `writer` had carried out."""
    new: int
    """Lines that changed something."""
    equal: int
    """Lines whose content was recorded already."""
    refused: int
    refused_before: int
    """Lines among those skipped that were refused then."""
    refusals: list[Refusal]
    """The first thousand of those refused."""
    mark: int
    """How far the writer has come: lines up to here are not carried out again. 0 without a writer."""
    position: int
    """Everything is recorded at or before this position."""
