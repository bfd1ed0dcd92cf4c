"""A dataset and its versions: what runs read and write."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id
from muniment.model.schema import Column

DEFAULT_NAMESPACE = "default"
"""Where names go whose producer has no namespace of its own."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset; its name is unique within its namespace."""

    id: Id
    namespace: str
    name: str
    description: str | None = None
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewDataset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one. With the name of one that exists and the same content, it is that one."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    description: str | None = None


class DatasetChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    description: str | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET


class Slice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A named part of a dataset version: a split, or what a filter lets through."""

    name: str
    filter: str | None = None
    """In the words of whoever made it, such as SQL."""
    rows: int | None = None
    digest: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the data of a version lies."""

    uri: str
    format: str | None = None
    """Such as ``parquet`` or ``table``."""
    version: str | None = None
    """The version that the place itself gives it: a snapshot, a commit, an object's generation."""


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a dataset. Its content never changes."""

    id: Id
    dataset: Id
    version: str
    digest: str | None = None
    """What its producer says that identifies the content, such as ``sha256:…``."""
    sources: list[Source] = []
    schema: list[Column] = []
    slices: list[Slice] = []
    rows: int | None = None
    bytes: int | None = None
    license: str | None = None
    """An SPDX id."""
    profile: dict[str, Any] | None = None
    """What its producer measured of it, column by column."""
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewDatasetVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to record a version.

    A `version` given by the producer names it; without one, the `digest` does: a version with that digest is that
    one. With neither, each call makes a new version, numbered on.
    """

    version: str | None = None
    digest: str | None = None
    sources: list[Source] = []
    schema: list[Column] = []
    slices: list[Slice] = []
    rows: int | None = None
    bytes: int | None = None
    license: str | None = None
    profile: dict[str, Any] | None = None
    run: Id | None = None
    """The run that wrote it: makes a link."""


CONTENT = ("digest", "sources", "schema", "slices", "rows", "bytes", "license", "profile")
"""The fields that make two versions the same."""
