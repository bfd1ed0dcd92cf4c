"""Use cases of notes."""

from __future__ import annotations

from muniment.model.errors import Conflict, InvalidInput
from muniment.model.ids import new_id
from muniment.model.names import TEXT_LIMIT, check_name, check_text
from muniment.model.note import NewNote, Note, NoteChange
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.experiments import changed
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Change, Workspace, refuse_erased
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.receipts import Receipt


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewNote, receipt: Receipt | None = None
) -> Change[Note]:
    """Prepare a note."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    return Change(ref.no, scope.principal, "note.create", lambda draft: create_in(draft, new), receipt)


def check_new(new: NewNote) -> None:
    """Check what can be checked without the store."""
    _check(new.title, new.text)


def _check(title: object, text: object) -> None:
    if isinstance(title, str):
        check_name(title, "title")
    if isinstance(text, str):
        check_text(text, "text", TEXT_LIMIT)
        if not text.strip():
            raise InvalidInput("text is empty: there is nothing to note", field="text")


def create_in(draft: Draft, new: NewNote) -> Note:
    """Create a note in a draft."""
    subject = None if new.subject is None else resolve(draft, new.subject, None, "subject").record.id
    there = None if new.id is None else draft.find_any(new.id)
    if there is not None:
        if not isinstance(there.record, Note):
            raise Conflict(f"id {new.id} is taken by a record of another kind", field="id")
        refuse_erased(there.record.lifecycle, f"note {new.id}")
        if (there.record.subject, there.record.title, there.record.text) != (subject, new.title, new.text):
            raise Conflict(f"note {new.id} exists with other content; PATCH it, or use a new id", field="id")
        return there.record
    return of(
        draft.create(
            "note",
            lambda position: Note(
                id=new.id or new_id(), subject=subject, title=new.title, text=new.text, author=draft.actor,
                created_at=draft.time, position=position,
            ),
        )
    )  # fmt: skip


def of(held: Held) -> Note:
    """The note of a held record."""
    assert isinstance(held.record, Note)
    return held.record


def update(
    workspace: Workspace, scope: Scope, project: str, note: str, change: NoteChange, receipt: Receipt | None = None
) -> Change[Note]:
    """Prepare a change of a note; its earlier texts stay in its history."""
    ref = workspace.project(scope, project, Permission.WRITE)
    _check(change.title, change.text)

    def act(draft: Draft) -> Note:
        held = resolve(draft, note, "note", "note")
        return of(draft.replace("note", held, changed(of(held), change)))

    return Change(ref.no, scope.principal, "note.update", act, receipt)


def get(workspace: Workspace, scope: Scope, project: str, note: str, as_of: int | str | None = None) -> Note:
    """One note, now or as of the past."""
    found: Note = catalog.get(workspace, scope, project, "note", note, as_of)
    return found
