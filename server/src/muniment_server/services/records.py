"""Use cases of what holds for a record of every kind: tags, deletion, restoring."""

from __future__ import annotations

from typing import Literal

import msgspec

from muniment.model.errors import InvalidInput
from muniment.model.names import check_map
from muniment.model.record import LifecycleSet, Tags, TagsSet
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.references import resolve, writable
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import runs, tables
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt

_STAY = {
    "artifact": "an artifact goes when no record has it any more; take it from them, and collect",
    "foreign": "it stands for a record of another project; delete or erase that one there",
    "project": "projects are neither deleted nor erased",
    "principal": "principals are neither deleted nor erased",
}
"""Kinds that cannot be deleted or erased, and what to do instead."""


def set_tags(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    tags: dict[str, str | None],
    receipt: Receipt | None = None,
) -> Change[TagsSet]:
    """Prepare tags of a record; null removes one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_tags(tags)
    return Change(ref.no, scope.principal, "record.tags", lambda draft: set_tags_in(draft, record, tags), receipt)


def check_tags(tags: dict[str, str | None]) -> None:
    """Check what can be checked without the store."""
    check_map({key: value or "" for key, value in tags.items()}, "tags")


def set_tags_in(draft: Draft, record: str, tags: dict[str, str | None]) -> TagsSet:
    """Set tags of a record in a draft, or remove those that are null."""
    held = writable(draft, record, None, "record")
    count = draft.change_tags(held, tags)
    return TagsSet(record=held.record.id, changed=count, position=draft.last_position)


def tags_of(workspace: Workspace, scope: Scope, project: str, record: str, as_of: int | str | None = None) -> Tags:
    """The tags of a record, now or as of the past."""

    def ask(reader: Reader) -> Tags:
        held = resolve(reader, record, None, "record")
        found = runs.items(reader.connection, tables.tags, reader.project_id, [held.no], None, reader.as_of)
        return Tags(tags=found.get(held.no, {}))

    return catalog.read(workspace, scope, project, as_of, ask)


def delete(
    workspace: Workspace, scope: Scope, project: str, record: str, receipt: Receipt | None = None
) -> Change[LifecycleSet]:
    """Prepare that a record is deleted. It can be restored."""
    ref = workspace.project(scope, project, Permission.WRITE)
    return Change(ref.no, scope.principal, "record.delete", lambda draft: delete_in(draft, record), receipt)


def delete_in(draft: Draft, record: str) -> LifecycleSet:
    """Delete a record in a draft; one that is deleted stays so."""
    return _set_lifecycle(draft, record, "deleted")


def restore(
    workspace: Workspace, scope: Scope, project: str, record: str, receipt: Receipt | None = None
) -> Change[LifecycleSet]:
    """Prepare that a record is deleted no more."""
    ref = workspace.project(scope, project, Permission.WRITE)
    return Change(ref.no, scope.principal, "record.restore", lambda draft: restore_in(draft, record), receipt)


def restore_in(draft: Draft, record: str) -> LifecycleSet:
    """Restore a record in a draft; one that is not deleted stays so."""
    return _set_lifecycle(draft, record, "active")


def _set_lifecycle(draft: Draft, record: str, lifecycle: Literal["active", "deleted"]) -> LifecycleSet:
    held = removable(resolve(draft, record, None, "record"))
    kind, before = kind_of(held.record).name, held.record
    made = draft.replace(kind, held, msgspec.structs.replace(before, lifecycle=lifecycle))
    changed = made.record.lifecycle != before.lifecycle  # type: ignore[union-attr]
    return LifecycleSet(record=before.id, kind=kind, lifecycle=lifecycle, changed=changed, position=draft.last_position)


def removable(held: Held) -> Held:
    """The record, if it is of a kind that can be deleted and erased.

    Raises:
        InvalidInput: it is not; the message says what to do instead.
    """
    kind = kind_of(held.record).name
    if kind in _STAY:
        raise InvalidInput(f"{kind} {held.record.id}: {_STAY[kind]}", field="record")
    return held
