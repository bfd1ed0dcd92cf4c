"""Questions to all projects."""

from __future__ import annotations

import asyncio

from muniment.model.link import WorkspaceLineage, WorkspaceLineageQuery
from muniment.model.search import WorkspacePage, WorkspaceQuery
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission
from muniment_server.services import across


async def search_workspace(call: Call) -> WorkspacePage:
    """Search the records of one kind in all projects that the caller may read."""
    return await asyncio.to_thread(across.search_all, call.workspace, call.scope, call.body)


async def get_workspace_lineage(call: Call) -> WorkspaceLineage:
    """What a record descends from, or what descends from it, over all projects that the caller may read."""
    return await asyncio.to_thread(across.lineage_of, call.workspace, call.scope, call.query)


ROUTES = [
    Route(
        method="POST", path="/v1/search", handler=search_workspace, permission=Permission.READ, body=WorkspaceQuery,
        answer=WorkspacePage,
    ),
    Route(
        method="GET", path="/v1/lineage", handler=get_workspace_lineage, permission=Permission.READ,
        query=WorkspaceLineageQuery, answer=WorkspaceLineage,
    ),
]  # fmt: skip
