"""Use cases of what other systems call a record."""

from __future__ import annotations

from muniment.model.errors import Conflict, NotFound
from muniment.model.names import TEXT_LIMIT, check_text
from muniment.model.othername import (
    NamedRecord,
    NameSet,
    NewOtherName,
    OtherName,
    OtherNames,
    parts_of,
    spelled,
)
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.references import refuse_deleted, resolve, writable
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import belongings
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt


def give(
    workspace: Workspace, scope: Scope, project: str, new: NewOtherName, receipt: Receipt | None = None
) -> Change[NameSet]:
    """Prepare that another system's name means a record."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check(new)
    return Change(ref.no, scope.principal, "name.give", lambda draft: give_in(draft, new), receipt)


def check(new: NewOtherName) -> None:
    """Check what can be checked without the store."""
    spelled(new)
    if new.url is not None:
        check_text(new.url, "url", TEXT_LIMIT)


def give_in(draft: Draft, new: NewOtherName) -> NameSet:
    """Let another system's name mean a record in a draft.

    Raises:
        Conflict: it means another record.
    """
    held = writable(draft, new.record, None, "record")
    return name_in(draft, held, new, new.url)


def name_in(draft: Draft, held: Held, name: OtherName, url: str | None) -> NameSet:
    """Let another system's name mean a record that is at hand."""
    whole = spelled(name)
    there = draft.find_called(whole)
    if there is not None and there.no != held.no:
        raise Conflict(
            f"{name.system[:60]} {name.name[:120]!r} means {kind_of(there.record).name} {there.record.id} already; "
            "take the name from it first",
            field="name",
        )
    done = draft.set_belonging("names", held, whole, {"url": url})
    return NameSet(record=held.record.id, changed=done, position=draft.last_position)


def take(
    workspace: Workspace, scope: Scope, project: str, name: OtherName, receipt: Receipt | None = None
) -> Change[NameSet]:
    """Prepare that another system's name means nothing any more. The past keeps it."""
    ref = workspace.project(scope, project, Permission.WRITE)
    whole = spelled(name)

    def act(draft: Draft) -> NameSet:
        there = draft.find_called(whole)
        if there is not None:
            refuse_deleted(draft, there, there.record.id, "record")
        done = there is not None and draft.set_belonging("names", there, whole, None)
        record = None if there is None else there.record.id
        return NameSet(record=record, changed=done, position=draft.last_position)

    return Change(ref.no, scope.principal, "name.take", act, receipt)


def _of(held: Held, whole: str, said: dict[str, str | None]) -> NamedRecord:
    system, namespace, name = parts_of(whole)
    return NamedRecord(
        system=system, namespace=namespace, name=name, url=said["url"], record=held.record.id,
        kind=kind_of(held.record).name,
    )  # fmt: skip


def find(
    workspace: Workspace, scope: Scope, project: str, name: OtherName, as_of: int | str | None = None
) -> NamedRecord:
    """What another system's name means, now or as of the past."""
    whole = spelled(name)

    def ask(reader: Reader) -> NamedRecord:
        held = reader.find_called(whole)
        if held is None:
            raise NotFound(f"{name.system[:60]} {name.name[:120]!r} means no record of this project", field="name")
        return _of(held, whole, reader.belonging("names", held, whole))

    return catalog.read(workspace, scope, project, as_of, ask)


def of_record(
    workspace: Workspace, scope: Scope, project: str, record: str, as_of: int | str | None = None
) -> OtherNames:
    """What other systems call a record, now or as of the past."""

    def ask(reader: Reader) -> OtherNames:
        held = resolve(reader, record, None, "record")
        found = belongings.all_of(reader.connection, reader.project_id, "names", held.no, reader.as_of)
        return OtherNames(names=[_of(held, whole, item.said) for whole, item in found.items()])

    return catalog.read(workspace, scope, project, as_of, ask)
