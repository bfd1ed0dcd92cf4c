"""Facets: named JSON documents on any record, and the types that say what such a document must be."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from muniment.model.experiment import Lifecycle
from muniment.model.ids import Id

Mode = Literal["off", "warn", "enforce"]
"""What becomes of a facet that is not what its type says: it is taken, taken with a warning, or refused."""


class FacetType(msgspec.Struct, frozen=True, kw_only=True):
    """One version of what facets of a name must be. Its schema never changes; its mode does."""

    id: Id
    name: str
    version: int
    schema: dict[str, Any]
    """JSON Schema, 2020-12 unless its ``$schema`` says otherwise. References to elsewhere are not followed."""
    mode: Mode = "enforce"
    description: str | None = None
    lifecycle: Lifecycle = "active"
    created_at: datetime
    position: int
    """The position at which this version of the record was written."""


class NewFacetType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make one. With the number of one that exists and the same schema, it is that one."""

    name: str
    version: int | None = None
    """Counted up if it is left out."""
    schema: dict[str, Any]
    mode: Mode = "enforce"
    description: str | None = None


class FacetTypeChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change; what is left out stays."""

    mode: Mode | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    lifecycle: Literal["active", "deleted"] | msgspec.UnsetType = msgspec.UNSET


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """A facet of a record."""

    value: Any
    """The document."""
    type_version: int | None = None
    """The version of the type that it was checked against; None if there was none, or its mode was off."""
    valid: bool | None = None
    """Whether it is what the type says; None if it was not checked."""


class NewFacet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A facet to set."""

    value: dict[str, Any]


class FacetSet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to setting or removing a facet."""

    record: Id
    name: str
    facet: Facet | None
    """None: removed."""
    warnings: list[str]
    """What is not as its type says."""
    changed: bool
    position: int
    """It is so since this position, or an earlier one if nothing changed."""


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """The facets of a record."""

    facets: dict[str, Facet]
