"""Search."""

from __future__ import annotations

import asyncio

from muniment.model.search import Page, Query
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission
from muniment_server.services import search


async def search_records(call: Call) -> Page:
    """Search the records of one kind, in the search language, now or as of the past."""
    return await asyncio.to_thread(search.search, call.workspace, call.scope, call.project, call.body)


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/search", handler=search_records, permission=Permission.READ,
        body=Query, answer=Page,
    ),
]  # fmt: skip
