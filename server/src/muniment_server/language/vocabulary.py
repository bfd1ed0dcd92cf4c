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
    relations: dict[str, Attribute] = {}
    """What may be asked of records that belong to one, such as the data a run used; any of them may meet it."""
    scores: bool = False
    """Whether ``evaluation.METRIC`` may be asked: of the evaluation itself, or of any that judged the record."""


_COMMON: tuple[tuple[str, AttributeType, tuple[str, ...]], ...] = (
    ("id", "id", ()),
    ("lifecycle", "text", ()),
    ("created_at", "time", ()),
    ("position", "integer", ()),
)
_TAGGED = frozenset(("tag",))


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
        ("job", "id", ("job_id",)),
        ("position", "integer", ()),
    ),
    frozenset(("metric", "param", "tag")),
    _attributes(
        ("dataset.name", "text", ()),
        ("dataset.namespace", "text", ()),
        ("dataset.version", "text", ()),
        ("dataset.digest", "text", ()),
        ("dataset.role", "text", ("dataset.context",)),
        ("job.name", "text", ()),
        ("job.namespace", "text", ()),
    ),
    scores=True,
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
    _TAGGED,
)

JOBS = Vocabulary(
    "job",
    _attributes(
        *_COMMON,
        ("namespace", "text", ()),
        ("name", "text", ()),
        ("type", "text", ()),
        ("description", "text", ()),
    ),
    _TAGGED,
)

DATASETS = Vocabulary(
    "dataset",
    _attributes(*_COMMON, ("namespace", "text", ()), ("name", "text", ()), ("description", "text", ())),
    _TAGGED,
)

_OF_DATASETS = _attributes(
    ("dataset.name", "text", ()), ("dataset.namespace", "text", ()), ("dataset.version", "text", ())
)
_OF_MODELS = _attributes(
    ("model.name", "text", ()),
    ("model.lifecycle", "text", ()),
    ("model.version", "integer", ()),
    ("model.alias", "text", ()),
)

DATASET_VERSIONS = Vocabulary(
    "dataset_version",
    _attributes(
        *_COMMON,
        ("dataset", "id", ()),
        ("version", "text", ()),
        ("digest", "text", ()),
        ("rows", "integer", ()),
        ("bytes", "integer", ()),
        ("license", "text", ()),
    ),
    _TAGGED,
    {name: of for name, of in _OF_DATASETS.items() if name != "dataset.version"},
    scores=True,
)

MODELS = Vocabulary(
    "model",
    _attributes(*_COMMON, ("name", "text", ()), ("description", "text", ())),
    _TAGGED,
)

MODEL_VERSIONS = Vocabulary(
    "model_version",
    _attributes(
        *_COMMON,
        ("model", "id", ()),
        ("version", "integer", ()),
        ("run", "id", ("run_id",)),
        ("uri", "text", ("source_path",)),
        ("digest", "text", ()),
        ("stage", "text", ("current_stage",)),
        ("description", "text", ()),
    ),
    _TAGGED,
    {name: of for name, of in _OF_MODELS.items() if name != "model.version"},
    scores=True,
)

EVALUATIONS = Vocabulary(
    "evaluation",
    _attributes(
        *_COMMON,
        ("model_version", "id", ()),
        ("dataset_version", "id", ()),
        ("slice", "text", ()),
        ("run", "id", ()),
        ("verdict", "text", ()),
    ),
    _TAGGED,
    {**_OF_DATASETS, **_OF_MODELS},
    scores=True,
)

NOTES = Vocabulary(
    "note",
    _attributes(*_COMMON, ("subject", "id", ()), ("title", "text", ()), ("text", "text", ()), ("author", "id", ())),
    _TAGGED,
)

SAVED_VIEWS = Vocabulary(
    "saved_view",
    _attributes(*_COMMON, ("name", "text", ()), ("page", "text", ()), ("description", "text", ())),
    _TAGGED,
)

FACET_TYPES = Vocabulary(
    "facet_type",
    _attributes(
        *_COMMON, ("name", "text", ()), ("version", "integer", ()), ("mode", "text", ()), ("description", "text", ())
    ),
    _TAGGED,
)

ARTIFACTS = Vocabulary(
    "artifact",
    _attributes(*_COMMON, ("digest", "text", ()), ("size", "integer", ()), ("media_type", "text", ())),
    _TAGGED,
)

KINDS = {
    vocabulary.kind: vocabulary
    for vocabulary in (
        RUNS, EXPERIMENTS, JOBS, DATASETS, DATASET_VERSIONS, MODELS, MODEL_VERSIONS, EVALUATIONS, ARTIFACTS, NOTES,
        SAVED_VIEWS, FACET_TYPES,
    )
}  # fmt: skip
