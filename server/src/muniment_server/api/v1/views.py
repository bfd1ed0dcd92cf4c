"""Saved views."""

from __future__ import annotations

import asyncio

from muniment.model.view import NewSavedView, SavedView, SavedViewChange
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import views

_ALL = "/v1/projects/{project}/views"
_ONE = f"{_ALL}/{{view}}"


async def create_view(call: Call) -> SavedView:
    """Save the state of a page under a name."""
    return await call.commit(views.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_view(call: Call) -> SavedView:
    """One saved view, by id or name, now or as of the past."""
    return await asyncio.to_thread(
        views.get, call.workspace, call.scope, call.project, call.path["view"], call.query.as_of
    )


async def update_view(call: Call) -> SavedView:
    """Change a saved view."""
    return await call.commit(
        views.update(call.workspace, call.scope, call.project, call.path["view"], call.body, call.receipt)
    )


ROUTES = [
    Route(
        method="POST", path=_ALL, handler=create_view, permission=Permission.WRITE, body=NewSavedView,
        answer=SavedView, status=201,
    ),
    Route(method="GET", path=_ONE, handler=get_view, permission=Permission.READ, query=AsOf, answer=SavedView),
    Route(
        method="PATCH", path=_ONE, handler=update_view, permission=Permission.WRITE, body=SavedViewChange,
        answer=SavedView,
    ),
]  # fmt: skip
