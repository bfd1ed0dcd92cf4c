"""From what a caller says of a record to the record, for readers and writers alike."""

from __future__ import annotations

from typing import Any, Protocol

from muniment.model.errors import Conflict, Gone, InvalidInput, NotFound
from muniment.model.reference import Reference, parse_reference
from muniment_server.services.workspace import refuse_erased
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of

_VERSIONS = frozenset(("dataset_version", "model_version"))
LATEST = "latest"
"""The version that means the youngest one."""


class Finder(Protocol):
    """A draft or a reader."""

    @property
    def slug(self) -> str:
        """The slug of the project in which it finds."""
        ...

    def find(self, kind: str, record_id: str) -> Held | None:
        """The record with this id."""
        ...

    def find_any(self, record_id: str) -> Held | None:
        """The record with this id, of whatever kind."""
        ...

    def find_named(self, kind: str, *name: Any) -> Held | None:
        """The record with this key."""
        ...

    def was_erased(self, record_id: str) -> bool:
        """Whether there is a record with this id that cannot be found any more, since it was erased."""
        ...

    def find_alias(self, held: Held, name: str) -> Held | None:
        """The record that an alias of another means."""
        ...

    def belonging(self, family: str, held: Held, name: str) -> Any:
        """What a name of a record has: the id of a record or a document; None is nothing."""
        ...

    def latest(self, kind: str, owner: str) -> Held | None:
        """The youngest record of a kind that belongs to another."""
        ...


def resolve(finder: Finder, text: str, kind: str | None, field: str) -> Held:
    """The record that a reference means.

    Args:
        finder: who looks.
        text: the reference.
        kind: what it must be; None is any.
        field: where it came from.

    Raises:
        InvalidInput: it cannot mean such a record.
        NotFound: there is none.
        Gone: it was erased.
    """
    reference = parse_reference(text, kind, field)
    if reference.project is not None and reference.project != finder.slug:
        raise InvalidInput(
            f"{field} is a record of project {reference.project[:63]!r}, and this is project {finder.slug!r}",
            field=field,
        )
    found = _find(finder, reference)
    if found is None:
        if reference.id is not None and finder.was_erased(reference.id):
            raise Gone(f"{text[:120]} was erased, and its past with it", field=field)
        what = (reference.kind or "record").replace("_", " ")
        raise NotFound(f"{field}: {what} {text[:120]} does not exist in this project", field=field)
    refuse_erased(getattr(found.record, "lifecycle", "active"), f"{text[:120]}")
    return found


def _find(finder: Finder, reference: Reference) -> Held | None:
    if reference.id is not None:
        return finder.find_any(reference.id) if reference.kind is None else finder.find(reference.kind, reference.id)
    assert reference.kind is not None
    if reference.version is None:
        return finder.find_named(reference.kind, *reference.key)
    owner = reference.kind.removesuffix("_version")
    held = finder.find_named(owner, *reference.key)
    return None if held is None else version_of(finder, held, owner, reference.version)


def writable(finder: Finder, text: str, kind: str | None, field: str) -> Held:
    """The record that a reference means, if something may be written to it, or linked with it.

    Raises:
        InvalidInput, NotFound, Gone: as `resolve`.
        Conflict: it is deleted, or what it is a version of.
    """
    return refuse_deleted(finder, resolve(finder, text, kind, field), text, field)


def refuse_deleted(finder: Finder, held: Held, text: str, field: str) -> Held:
    """The record, if neither it nor what it is a version of is deleted.

    Raises:
        Conflict: one of them is; `text` is how the record was called.
    """
    kind = kind_of(held.record)
    what = text[:120]
    if getattr(held.record, "lifecycle", "active") == "deleted":
        raise Conflict(f"{field}: {what} is deleted; restore it first", field=field)
    if kind.name in _VERSIONS:
        owner = finder.find(kind.owner, getattr(held.record, kind.owner))
        if owner is not None and getattr(owner.record, "lifecycle", "active") == "deleted":
            raise Conflict(
                f"{field}: {what} is a version of {kind.owner} {owner.record.id}, which is deleted; "
                f"restore the {kind.owner} first",
                field=field,
            )
    return held


def resolve_version(finder: Finder, key: str, owner: str, version: str) -> tuple[Held, Held]:
    """A dataset or model, given by a reference, and its version that is called so, or that an alias means.

    Raises:
        NotFound: there is none.
        Gone: it was erased.
    """
    held = resolve(finder, key, owner, owner)
    found = version_of(finder, held, owner, version)
    if found is None:
        raise NotFound(f"{owner} {key[:100]} has no version {version[:100]!r}", field="version")
    refuse_erased(getattr(found.record, "lifecycle", "active"), f"version {version[:100]}")
    return held, found


def version_of(finder: Finder, held: Held, owner: str, version: str) -> Held | None:
    """A version of a dataset or model: the one that is called so, or that an alias means, or the latest."""
    kind, name = f"{owner}_version", held.record.id
    if owner == "dataset":
        found = finder.find_named(kind, name, version)
    elif version.isascii() and version.isdigit() and len(version) < 16:
        found = finder.find_named(kind, name, int(version))
    else:
        found = finder.find_alias(held, version)
    if found is None and version == LATEST:
        found = finder.latest(kind, name)
    return found
