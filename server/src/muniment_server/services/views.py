"""Use cases of saved views."""

from __future__ import annotations

import msgspec

from muniment.model.errors import Conflict, TooLarge
from muniment.model.ids import new_id
from muniment.model.names import check_document
from muniment.model.view import NewSavedView, SavedView, SavedViewChange
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.experiments import changed
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.receipts import Receipt

STATE_LIMIT = 262_144
"""Bytes of a state as JSON."""


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewSavedView, receipt: Receipt | None = None
) -> Change[SavedView]:
    """Prepare a saved view. One that exists with the same content is that one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    return Change(ref.no, scope.principal, "saved_view.create", lambda draft: create_in(draft, new), receipt)


def check_new(new: NewSavedView) -> None:
    """Check what can be checked without the store."""
    catalog.check_fields(new, names=("name", "page"), texts=("description",))
    _check_state(new.state)


def _check_state(state: object) -> None:
    if isinstance(state, dict):
        check_document(state, "state")
        size = len(msgspec.json.encode(state))
        if size > STATE_LIMIT:
            raise TooLarge(f"state has {size:,} bytes as JSON; the limit is {STATE_LIMIT:,}", field="state")


def create_in(draft: Draft, new: NewSavedView) -> SavedView:
    """Create a saved view in a draft."""

    def make(position: int) -> SavedView:
        return SavedView(
            id=new_id(), name=new.name, page=new.page, state=new.state, description=new.description,
            created_at=draft.time, position=position,
        )  # fmt: skip

    return of(catalog.create_named(draft, "saved_view", (new.name,), new, make))


def of(held: Held) -> SavedView:
    """The saved view of a held record."""
    assert isinstance(held.record, SavedView)
    return held.record


def update(
    workspace: Workspace, scope: Scope, project: str, key: str, change: SavedViewChange, receipt: Receipt | None = None
) -> Change[SavedView]:
    """Prepare a change of a saved view."""
    ref = workspace.project(scope, project, Permission.WRITE)
    catalog.check_fields(change, names=("name",), texts=("description",))
    _check_state(change.state)

    def act(draft: Draft) -> SavedView:
        held = resolve(draft, key, "saved_view", "view")
        if isinstance(change.name, str):
            other = draft.find_named("saved_view", change.name)
            if other is not None and other.no != held.no:
                raise Conflict(f"another view is named {change.name!r}; choose another name", field="name")
        return of(draft.replace("saved_view", held, changed(of(held), change)))

    return Change(ref.no, scope.principal, "saved_view.update", act, receipt)


def get(workspace: Workspace, scope: Scope, project: str, key: str, as_of: int | str | None = None) -> SavedView:
    """One saved view by id or name, now or as of the past."""
    found: SavedView = catalog.get(workspace, scope, project, "saved_view", key, as_of)
    return found
