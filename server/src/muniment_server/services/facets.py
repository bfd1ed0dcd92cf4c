"""Use cases of facets and their types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from muniment.model.canonical import alike
from muniment.model.errors import Conflict, InvalidInput, TooLarge
from muniment.model.facet import Facet, Facets, FacetSet, FacetType, FacetTypeChange, NewFacetType
from muniment.model.ids import new_id
from muniment.model.names import check_document, check_name
from muniment_server.policy import schemas
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.experiments import changed
from muniment_server.services.references import Finder, resolve, writable
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import belongings
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt

DOCUMENT_LIMIT = 1_048_576
"""Bytes of a facet or schema as JSON."""
WARNINGS = 10
"""Warnings that are told of one facet."""


def create_type(
    workspace: Workspace, scope: Scope, project: str, new: NewFacetType, receipt: Receipt | None = None
) -> Change[FacetType]:
    """Prepare a version of a facet type."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new_type(new)
    return Change(ref.no, scope.principal, "facet_type.create", lambda draft: create_type_in(draft, new), receipt)


def check_new_type(new: NewFacetType) -> None:
    """Check what can be checked without the store, the schema itself above all."""
    catalog.check_fields(new, names=("name",), texts=("description",))
    if new.version is not None and not 0 < new.version < 2**31:
        raise InvalidInput(f"version must be 1 or more, not {new.version}", field="version")
    _check_size(new.schema, "schema")
    schemas.check(new.schema)


def _check_size(document: Any, field: str) -> None:
    check_document(document, field)
    size = len(msgspec.json.encode(document))
    if size > DOCUMENT_LIMIT:
        raise TooLarge(f"{field} has {size:,} bytes as JSON; the limit is {DOCUMENT_LIMIT:,}", field=field)


def create_type_in(draft: Draft, new: NewFacetType) -> FacetType:
    """Create a version of a facet type in a draft."""
    version = new.version or draft.last_number("facet_type", new.name) + 1
    there = draft.find_named("facet_type", new.name, version)
    if there is None:
        there = draft.create(
            "facet_type",
            lambda position: FacetType(
                id=new_id(), name=new.name, version=version, schema=new.schema, mode=new.mode,
                description=new.description, created_at=draft.time, position=position,
            ),
        )  # fmt: skip
    elif not alike(type_of(there).schema, new.schema):
        raise Conflict(
            f"facet type {new.name!r} has a version {version} with another schema; leave version out for the next one",
            field="schema",
        )
    return type_of(there)


def type_of(held: Held) -> FacetType:
    """The facet type of a held record."""
    assert isinstance(held.record, FacetType)
    return held.record


def update_type(
    workspace: Workspace,
    scope: Scope,
    project: str,
    name: str,
    version: str,
    change: FacetTypeChange,
    receipt: Receipt | None = None,
) -> Change[FacetType]:
    """Prepare a change of how a version of a facet type is applied."""
    ref = workspace.project(scope, project, Permission.WRITE)
    catalog.check_fields(change, texts=("description",))

    def act(draft: Draft) -> FacetType:
        held = _typed(draft, name, version)
        return type_of(draft.replace("facet_type", held, changed(type_of(held), change)))

    return Change(ref.no, scope.principal, "facet_type.update", act, receipt)


def _typed(finder: Finder, name: str, version: str) -> Held:
    held = None
    if version == "latest":
        held = finder.latest("facet_type", name)
    elif version.isascii() and version.isdigit() and len(version) < 16:
        held = finder.find_named("facet_type", name, int(version))
    return catalog.present(held, f"facet type {name[:100]!r} has no version {version[:100]!r}", "version")


def get_type(
    workspace: Workspace, scope: Scope, project: str, name: str, version: str, as_of: int | str | None = None
) -> FacetType:
    """A version of a facet type, now or as of the past; ``latest`` is the youngest."""
    return catalog.read(workspace, scope, project, as_of, lambda reader: type_of(_typed(reader, name, version)))


def set_facet(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    name: str,
    value: dict[str, Any] | None,
    receipt: Receipt | None = None,
) -> Change[FacetSet]:
    """Prepare that a record has a facet; None removes it."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_facet(name, value)
    act = "facet.remove" if value is None else "facet.set"
    return Change(ref.no, scope.principal, act, lambda draft: set_facet_in(draft, record, name, value), receipt)


def check_facet(name: str, value: dict[str, Any] | None) -> None:
    """Check what can be checked without the store."""
    check_name(name, "name")
    if value is not None:
        _check_size(value, "value")


def amend(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    name: str,
    change: Callable[[dict[str, Any], datetime], dict[str, Any]],
) -> Change[FacetSet]:
    """Prepare that a facet becomes something else, which depends on what it is then.

    Args:
        workspace: the store.
        scope: who writes.
        project: where.
        record: whose facet.
        name: the facet's.
        change: the new document from the one that there is, an empty one if there is none, and the time. It must not
            change what it is given.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    check_facet(name, None)

    def act(draft: Draft) -> FacetSet:
        before = draft.belonging("facets", writable(draft, record, None, "record"), name)
        value = change(before["value"] if before else {}, draft.time)
        check_facet(name, value)
        return set_facet_in(draft, record, name, value)

    return Change(ref.no, scope.principal, "facet.set", act)


def set_facet_in(draft: Draft, record: str, name: str, value: dict[str, Any] | None) -> FacetSet:
    """Let a record have a facet in a draft.

    Raises:
        InvalidInput: it is not what its type says, and the type's mode is ``enforce``.
    """
    held = writable(draft, record, None, "record")
    facet, warnings = (None, []) if value is None else _judged(draft.latest("facet_type", name), name, value)
    said = None if facet is None else msgspec.to_builtins(facet)
    done = draft.set_belonging("facets", held, name, said)
    return FacetSet(
        record=held.record.id, name=name, facet=facet, warnings=warnings, changed=done, position=draft.last_position
    )


def _judged(held: Held | None, name: str, value: dict[str, Any]) -> tuple[Facet, list[str]]:
    kind = None if held is None else type_of(held)
    if kind is None or kind.lifecycle != "active" or kind.mode == "off":
        return Facet(value=value), []
    warnings = schemas.wrong(kind.schema, value, WARNINGS)
    if warnings and kind.mode == "enforce":
        raise InvalidInput(
            f"facet {name[:100]!r} is not what version {kind.version} of its type says: {warnings[0]}", field="value"
        )
    return Facet(value=value, type_version=kind.version, valid=not warnings), warnings


def of_record(workspace: Workspace, scope: Scope, project: str, record: str, as_of: int | str | None = None) -> Facets:
    """The facets of a record, now or as of the past."""

    def ask(reader: Reader) -> Facets:
        held = resolve(reader, record, None, "record")
        found = belongings.all_of(reader.connection, reader.project_id, "facets", held.no, reader.as_of)
        return Facets(facets={name: msgspec.convert(item.said, Facet) for name, item in found.items()})

    return catalog.read(workspace, scope, project, as_of, ask)
