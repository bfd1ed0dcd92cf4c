"""What the use cases of named records share: make one or find it made, change it, read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from muniment.model.canonical import alike
from muniment.model.errors import Conflict, NotFound
from muniment.model.names import TEXT_LIMIT, check_name, check_text
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import moments
from muniment_server.services.experiments import changed
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Workspace, refuse_erased
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import Record
from muniment_server.store.reader import Reader

T = TypeVar("T")


def check_fields(
    given: msgspec.Struct, *, names: Iterable[str] = (), texts: Iterable[str] = (), within: str = ""
) -> None:
    """Check fields that are names or texts, where they are given.

    Args:
        given: what has the fields.
        names: fields that name something.
        texts: fields that say something.
        within: the path of `given`, such as ``slices.``.

    Raises:
        InvalidInput: one of them is not acceptable.
    """
    for field in names:
        value = getattr(given, field)
        if isinstance(value, str):
            check_name(value, within + field)
    for field in texts:
        value = getattr(given, field)
        if isinstance(value, str):
            check_text(value, within + field, TEXT_LIMIT)


def same(there: Any, given: msgspec.Struct, fields: Iterable[str]) -> bool:
    """Whether a record has what is given; what is left out (None) is not asked about."""
    return all(getattr(given, field) is None or alike(getattr(given, field), getattr(there, field)) for field in fields)


def create_named(
    draft: Draft, kind: str, name: tuple[Any, ...], given: msgspec.Struct, make: Callable[[int], Record]
) -> Held:
    """A new record, or the one that has its name and the same content.

    Raises:
        Conflict: one with the name and other content is there.
    """
    there = draft.find_named(kind, *name)
    if there is None:
        return draft.create(kind, make)
    fields = [field for field in given.__struct_fields__ if field in there.record.__struct_fields__]
    if not same(there.record, given, fields):
        spelled = "/".join(map(str, name))
        raise Conflict(f"{kind} {spelled[:200]!r} exists with other content; PATCH it instead", field="name")
    return there


def check_same_version(there: Any, given: msgspec.Struct, content: Iterable[str], instead: str) -> None:
    """Check that a version is recorded with the content that is given; what is left out is not asked about.

    Args:
        there: the version.
        given: what it is said to be.
        content: the fields that make two versions the same.
        instead: what to do if it is not.

    Raises:
        Gone: it was erased.
        Conflict: it has other content.
    """
    refuse_erased(there.lifecycle, f"version {there.version}")
    for field in content:
        value = getattr(given, field)
        if value not in (None, []) and not alike(value, getattr(there, field)):
            raise Conflict(
                f"version {there.version!r} exists with another {field}; a version never changes: {instead}",
                field=field,
            )


def present(held: Held | None, missing: str, field: str) -> Held:
    """A record that was looked for.

    Raises:
        NotFound: it was not found; `missing` is what to say then.
        Gone: it was erased.
    """
    if held is None:
        raise NotFound(missing, field=field)
    refuse_erased(getattr(held.record, "lifecycle", "active"), f"record {held.record.id}")
    return held


def change_named(draft: Draft, kind: str, text: str, change: msgspec.Struct) -> Record:
    """Change a record that is given by a reference."""
    held = resolve(draft, text, kind, kind)
    return draft.replace(kind, held, changed(held.record, change)).record


def read(
    workspace: Workspace,
    scope: Scope,
    project: str,
    as_of: int | str | None,
    ask: Callable[[Reader], T],
) -> T:
    """Ask something of a project as it was at a moment."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        at = moments.position(connection, ref.no, as_of)
        return ask(Reader(connection, scope, ref.no, at))


def get(workspace: Workspace, scope: Scope, project: str, kind: str, text: str, as_of: int | str | None = None) -> Any:
    """One record by a reference, now or as of the past."""
    return read(workspace, scope, project, as_of, lambda reader: resolve(reader, text, kind, kind).record)
