"""Use cases of projects."""

from __future__ import annotations

import msgspec

from muniment.model.errors import Conflict
from muniment.model.names import TEXT_LIMIT, check_slug, check_text
from muniment.model.project import SYSTEM, NewProject, Project, ProjectChange
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.workspace import Change, Workspace, create_project
from muniment_server.store import projects
from muniment_server.store.draft import Draft
from muniment_server.store.receipts import Receipt
from muniment_server.store.tables import SYSTEM_PROJECT


def create(scope: Scope, new: NewProject, receipt: Receipt | None = None) -> Change[Project]:
    """Prepare a new project. One that exists with the same content is that one."""
    scope.require(Permission.ADMIN)
    check_slug(new.slug)
    if new.description is not None:
        check_text(new.description, "description", TEXT_LIMIT)

    def act(draft: Draft) -> Project:
        there = draft.find_named("project", new.slug)
        if there is None:
            return create_project(draft, new.slug, new.description)
        record = there.record
        assert isinstance(record, Project)
        if record.description != new.description:
            raise Conflict(f"project {new.slug!r} exists with another description; PATCH it instead", field="slug")
        return record

    return Change(SYSTEM_PROJECT, scope.principal, "project.create", act, receipt)


def get(workspace: Workspace, scope: Scope, slug: str) -> Project:
    """One project."""
    scope.require(Permission.READ)
    with workspace.store.read() as connection:
        return projects.find(connection, scope, slug)[1]


def every(workspace: Workspace, scope: Scope) -> list[Project]:
    """All projects that the caller may see."""
    scope.require(Permission.READ)
    with workspace.store.read() as connection:
        return [record for _, record in projects.every(connection, scope)]


def update(
    workspace: Workspace, scope: Scope, slug: str, change: ProjectChange, receipt: Receipt | None = None
) -> Change[Project]:
    """Prepare a change of a project."""
    project = workspace.project(scope, slug, Permission.ADMIN)
    if isinstance(change.description, str):
        check_text(change.description, "description", TEXT_LIMIT)
    if slug == SYSTEM:
        raise Conflict("the system project _ cannot be changed", field="project")

    def act(draft: Draft) -> Project:
        held = draft.find("project", project.id)
        assert held is not None
        assert isinstance(held.record, Project)
        record = held.record
        if change.description is not msgspec.UNSET:
            record = msgspec.structs.replace(record, description=change.description)
        made = draft.replace("project", held, record).record
        assert isinstance(made, Project)
        return made

    return Change(SYSTEM_PROJECT, scope.principal, "project.update", act, receipt)
