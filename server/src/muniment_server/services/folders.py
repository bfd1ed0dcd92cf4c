"""Artifacts of a record as a tree: its paths are files, and what stands before a slash in them is a folder."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.artifact import check_path
from muniment.model.errors import Conflict
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.artifacts import FIXED, holder_of, keeper_of
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import belongings
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of
from muniment_server.store.reader import Reader

AT_ONCE = 1_000
"""Artifacts taken away in one transaction."""


class Entry(msgspec.Struct, frozen=True):
    """Something in a folder.

    Attributes:
        name: of it alone.
        size: bytes of a file; None is a folder.
    """

    name: str
    size: int | None


def holder(workspace: Workspace, scope: Scope, project: str, record: str) -> Any:
    """The record that has artifacts, or may have.

    Raises:
        NotFound, Gone, InvalidInput: as `artifacts.holder_of`.
    """
    return catalog.read(workspace, scope, project, None, lambda reader: holder_of(reader, record).record)


def entries(workspace: Workspace, scope: Scope, project: str, record: str, folder: str = "") -> list[Entry]:
    """What lies in a folder of a record's artifacts, by name; nothing if there is no such folder.

    Args:
        workspace: the store.
        scope: who asks.
        project: where.
        record: whose.
        folder: its path; empty is all of them.
    """

    def ask(reader: Reader) -> list[Entry]:
        held = holder_of(reader, record)
        begin = f"{folder}/" if folder else ""
        found = belongings.level(reader.connection, reader.project_id, "artifacts", held.no, begin)
        known = reader.by_ids("artifact", {content.said for content in found.values() if content is not None})
        return [Entry(name, None if content is None else known[content.said].size) for name, content in found.items()]

    return catalog.read(workspace, scope, project, None, ask)


def check_free(workspace: Workspace, scope: Scope, project: str, record: str, path: str) -> None:
    """Check that a record may be given a file at a path: that no folder is there, and no file where its folders are.

    Raises:
        Conflict: one is, or the record is deleted.
        NotFound, Gone, InvalidInput: as `artifacts.holder_of`.
    """
    workspace.project(scope, project, Permission.WRITE)
    check_path(path)

    def ask(reader: Reader) -> None:
        held = keeper_of(reader, record)
        if _below(reader, held, path, 1):
            raise Conflict(f"{path[:200]!r} is a folder already, so it cannot be a file", field="path")
        above = path
        while "/" in above:
            above = above.rpartition("/")[0]
            if reader.belonging("artifacts", held, above) is not None:
                raise Conflict(f"{above[:200]!r} is a file already, so it cannot be a folder", field="path")

    catalog.read(workspace, scope, project, None, ask)


def _below(where: Reader | Draft, held: Held, folder: str, limit: int) -> list[str]:
    begin = f"{folder}/" if folder else ""
    return list(belongings.all_of(where.connection, where.project_id, "artifacts", held.no, prefix=begin, limit=limit))


def clear(workspace: Workspace, scope: Scope, project: str, record: str, path: str) -> Change[int]:
    """Prepare that a record loses the file at a path, and what lies below it, some thousand at a time.

    The past keeps them; the answer is how many there were.
    """
    ref = workspace.project(scope, project, Permission.WRITE)

    def act(draft: Draft) -> int:
        held = keeper_of(draft, record)
        there = [path] if path and draft.belonging("artifacts", held, path) is not None else []
        paths = (there + _below(draft, held, path, AT_ONCE))[:AT_ONCE]
        if paths and kind_of(held.record).name in FIXED:
            raise Conflict(f"{record[:100]} is a version, and a version never changes", field="path")
        for one in paths:
            draft.set_belonging("artifacts", held, one, None)
        return len(paths)

    return Change(ref.no, scope.principal, "artifact.detach", act, alone=True)
