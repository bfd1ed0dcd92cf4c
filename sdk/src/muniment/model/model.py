"""A model and its versions: what training makes and deployment takes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id
from muniment.model.schema import Column

Stage = Literal["none", "development", "staging", "production", "archived"]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model; its name is unique within the project."""

    id: Id
    name: str
    description: str | None = None
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one. With the name of one that exists and the same content, it is that one."""

    name: str
    description: str | None = None


class ModelChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays. A rename keeps the id, the versions and the links."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model version takes and gives."""

    inputs: list[Column] = []
    outputs: list[Column] = []
    params: list[Column] = []


class Framework(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model version was made with."""

    name: str
    version: str | None = None


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model. What it is never changes once it is said; where it stands does."""

    id: Id
    model: Id
    version: int
    run: Id | None = None
    """The run that made it."""
    uri: str | None = None
    """Where its files lie."""
    digest: str | None = None
    """Of its files, such as ``sha256:…``."""
    signature: Signature | None = None
    framework: Framework | None = None
    metadata: dict[str, Any] | None = None
    stage: Stage = "none"
    description: str | None = None
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewModelVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to register one.

    Without a `version` it is the next; with one that exists and the same content, it is that one. An `id` given by the
    producer makes the call repeatable, too.
    """

    version: int | None = None
    id: Id | None = None
    run: Id | None = None
    uri: str | None = None
    digest: str | None = None
    signature: Signature | None = None
    framework: Framework | None = None
    metadata: dict[str, Any] | None = None
    stage: Stage = "none"
    description: str | None = None
    aliases: list[str] = []
    """Names that shall mean this version from now on."""


class ModelVersionChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    stage: Stage | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET


class ModelData(msgspec.Struct, frozen=True, kw_only=True):
    """A model with its versions, oldest first, and what its aliases mean."""

    model: Model
    versions: list[ModelVersion]
    aliases: dict[str, int]


CONTENT = ("run", "uri", "digest", "signature", "framework", "metadata")
"""The fields that make two versions the same."""
