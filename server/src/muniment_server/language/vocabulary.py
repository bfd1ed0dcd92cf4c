"""The attributes that can be asked of each kind of record, their types and their other spellings."""

from __future__ import annotations

from typing import Literal

import msgspec

AttributeType = Literal["text", "integer", "time", "id"]


class Attribute(msgspec.Struct, frozen=True):
    """One attribute; `name` is the record's own field, or ``experiment.name``, a field of the run's experiment."""

    name: str
    type: AttributeType


class Vocabulary(msgspec.Struct, frozen=True):
    """What a condition over one kind may mention; attributes may be prefixed by the kind itself."""

    kind: str
    attributes: dict[str, Attribute]
    """By every accepted spelling."""
    families: frozenset[str]
    """Which of metric, param and tag the kind has."""


def _attributes(*rows: tuple[str, AttributeType, tuple[str, ...]]) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name, kind, others in rows:
        for spelling in (name, *others):
            found[spelling] = Attribute(name, kind)
    return found


RUNS = Vocabulary(
    "run",
    _attributes(
        ("id", "id", ("run_id",)),
        ("name", "text", ("run_name",)),
        ("experiment", "id", ("experiment_id",)),
        ("experiment.name", "text", ("experiment_name",)),
        ("kind", "text", ()),
        ("state", "text", ("status",)),
        ("attempt", "integer", ()),
        ("parent", "id", ("parent_id",)),
        ("lifecycle", "text", ()),
        ("description", "text", ()),
        ("user", "text", ("user_id",)),
        ("created_at", "time", ()),
        ("started_at", "time", ("start_time",)),
        ("ended_at", "time", ("end_time",)),
        ("position", "integer", ()),
    ),
    frozenset(("metric", "param", "tag")),
)

EXPERIMENTS = Vocabulary(
    "experiment",
    _attributes(
        ("id", "id", ("experiment_id",)),
        ("name", "text", ()),
        ("description", "text", ()),
        ("lifecycle", "text", ()),
        ("created_at", "time", ("creation_time",)),
        ("position", "integer", ()),
    ),
    frozenset(),
)

KINDS = {vocabulary.kind: vocabulary for vocabulary in (RUNS, EXPERIMENTS)}
