"""Projects."""

from __future__ import annotations

import asyncio

import msgspec

from muniment.model.project import NewProject, Project, ProjectChange
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission
from muniment_server.services import projects


class ProjectList(msgspec.Struct, frozen=True):
    """All projects that the caller may see."""

    projects: list[Project]


async def create_project(call: Call) -> Project:
    """Create a project; one that exists with the same content is answered as it is."""
    return await call.commit(projects.create(call.scope, call.body, call.receipt))


async def list_projects(call: Call) -> ProjectList:
    """All projects."""
    return ProjectList(await asyncio.to_thread(projects.every, call.workspace, call.scope))


async def get_project(call: Call) -> Project:
    """One project."""
    return await asyncio.to_thread(projects.get, call.workspace, call.scope, call.project)


async def update_project(call: Call) -> Project:
    """Change a project's description."""
    return await call.commit(projects.update(call.workspace, call.scope, call.project, call.body, call.receipt))


ROUTES = [
    Route(
        method="POST", path="/v1/projects", handler=create_project, permission=Permission.ADMIN,
        body=NewProject, answer=Project, status=201,
    ),
    Route(method="GET", path="/v1/projects", handler=list_projects, permission=Permission.READ, answer=ProjectList),
    Route(
        method="GET", path="/v1/projects/{project}", handler=get_project, permission=Permission.READ, answer=Project
    ),
    Route(
        method="PATCH", path="/v1/projects/{project}", handler=update_project, permission=Permission.ADMIN,
        body=ProjectChange, answer=Project,
    ),
]  # fmt: skip
