"""An artifact: bytes, known by their digest within a project, that records refer to by paths of their own."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.ids import Id
from muniment.model.names import check_text

PATH_LIMIT = 500
"""Characters of a path."""
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a project. They never change; once nothing refers to them they may be collected."""

    id: Id
    digest: str
    """``sha256:`` and 64 hex digits."""
    size: int
    """Bytes."""
    media_type: str | None = None
    location: str
    """Where the bytes lie in the artifact store."""
    lifecycle: Literal["active", "collected"] = "active"
    """``collected``: nothing referred to the bytes any more, and they were deleted. Uploading them again revives it."""
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact as a record has it."""

    path: str
    artifact: Artifact


class Attach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to give a record an artifact whose bytes the store has already."""

    path: str
    digest: str


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to giving a record an artifact, or taking it away."""

    record: Id
    path: str
    artifact: Artifact | None
    """None: taken away."""
    changed: bool
    position: int
    """It is so since this position, or an earlier one if nothing changed."""


class Attachments(msgspec.Struct, frozen=True, kw_only=True):
    """Artifacts of a record, by path."""

    artifacts: list[Attachment]
    next: str | None = None
    """Where the next page begins; None if this is the last."""


class Referrer(msgspec.Struct, frozen=True, kw_only=True):
    """A record that refers to an artifact."""

    record: Id
    kind: str
    path: str


class ArtifactData(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact and who refers to it."""

    artifact: Artifact
    references: int
    """How many references there are."""
    referrers: list[Referrer]
    """The first hundred of them."""


class Collect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to collect."""

    older_than: Annotated[int, msgspec.Meta(ge=0, le=10**10)] = 86_400
    """Seconds since the artifact was uploaded, or since its upload began if it never ended."""
    dry_run: bool = False
    """Say what would be collected, and change nothing."""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was collected."""

    artifacts: int
    bytes: int
    abandoned: int
    """Uploads that never ended, whose bytes are gone now."""


def parse_digest(text: str, field: str = "digest") -> str:
    """``sha256:`` and 64 hex digits, from that or the digits alone.

    Raises:
        InvalidInput: it is neither.
    """
    found = _DIGEST.match(text)
    if found is None:
        raise InvalidInput(f"{field} must be 64 hex digits of a SHA-256, not {text[:100]!r}", field=field)
    return f"sha256:{found[1].lower()}"


def check_path(path: str, field: str = "path") -> str:
    """`path`, if it can name an artifact within a record: relative, of plain parts joined by ``/``.

    Raises:
        InvalidInput: it is empty or absolute, leads elsewhere, or holds what no file system can keep.
        TooLarge: it is too long.
    """
    check_text(path, field, 8 * PATH_LIMIT)
    if len(path) > PATH_LIMIT:
        raise TooLarge(f"{field} has {len(path):,} characters; the limit is {PATH_LIMIT}", field=field)
    parts = path.split("/")
    if not path or any(part in {"", ".", ".."} for part in parts):
        raise InvalidInput(f"{field} must be parts joined by /, none empty, . or .., not {path[:100]!r}", field=field)
    if "\\" in path or _CONTROL.search(path):
        raise InvalidInput(f"{field} must not hold a backslash or control character: {path[:100]!r}", field=field)
    if re.match(r"[a-zA-Z]:", path):
        raise InvalidInput(f"{field} must not begin with a drive: {path[:100]!r}", field=field)
    if any(len(part.encode()) > 255 for part in parts):
        raise InvalidInput(f"a part of {field} has more than 255 bytes, which no file system keeps", field=field)
    return path
