"""Links: what was made from what, in the direction in which data flows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from muniment.model.ids import Id

LinkType = Literal[
    "used", "generated", "derived_from", "computed_from", "consumes_feature", "evaluates", "evaluated_on",
    "deploys", "parent_of", "member_of", "approved_by", "supersedes", "same_as",
]  # fmt: skip
LinkSource = Literal["explicit", "column", "implicit", "manual", "inferred"]
"""How it is known: said by its producer, found in columns, implied by another record, said by a person, guessed."""
Direction = Literal["upstream", "downstream"]
NODES_LIMIT = 100_000
"""Records in one answer about lineage."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link; data flowed from `upstream` to `downstream`."""

    upstream: Id
    downstream: Id
    type: LinkType
    role: str = ""
    """Such as ``training`` or ``test``."""
    run: Id | None = None
    """The run through which it came about, where that is neither end."""
    source: LinkSource = "explicit"
    position: int
    """The position from which it holds."""


class NewLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link to record. Ends are ids or names of records, such as ``customers@3``; see the reference."""

    upstream: str
    downstream: str
    type: LinkType
    role: str = ""
    run: Id | None = None
    source: LinkSource = "explicit"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A record as a graph shows it."""

    id: Id
    kind: str
    name: str
    depth: int
    """Links between it and the record that was asked about."""
    created_at: datetime | None = None
    project: str | None = None
    """The project that it is of, in an answer about several."""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a record descends from, or what descends from it."""

    root: Id
    direction: Direction
    nodes: list[Node]
    links: list[Link]
    truncated: bool
    """Whether there is more than was asked for."""
    position: int
    """Everything up to this position was considered."""


class LineageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to go, and what to show."""

    direction: Direction = "upstream"
    depth: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    kinds: str | None = None
    """Kinds to show, separated by commas; others are passed through."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=NODES_LIMIT)] = 10_000
    as_of: str | None = None


class WorkspaceLineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a record descends from, or what descends from it, over all projects that the caller may read.

    A record of another project is an opaque node of kind ``foreign``.
    """

    root: Id
    direction: Direction
    nodes: list[Node]
    links: list[Link]
    truncated: bool
    positions: dict[str, int]
    """By project: everything up to this position was considered."""


class WorkspaceLineageQuery(LineageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which record, how far to go, and what to show. `as_of` is a time."""

    record: str
    """Its URN, such as ``urn:muniment:PROJECT:model:risk@3``."""
