"""What clients ask of the server itself: what it can do, and which workspaces it has. Those are our projects."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from muniment.model.errors import Conflict, NotFound
from muniment.model.project import SYSTEM, NewProject, Project
from muniment_server.api.mlflow.wire.addresses import address_of
from muniment_server.api.mlflow.wire.exchange import TRACKING_3, Endpoint, Given
from muniment_server.api.mlflow.wire.message import STRING
from muniment_server.api.mlflow.wire.refusals import Refusal, missing
from muniment_server.api.routing import Call, Sent
from muniment_server.policy.access import Permission
from muniment_server.services import projects

_INFO = {
    "store_type": "SqlStore",
    "workspaces_enabled": True,
    "trace_archival_enabled": False,
    "multipart_downloads_enabled": False,
    "artifact_serving_enabled": True,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "model_artifact_presigned_downloads_supported": False,
    "features_enabled": {"gateway": False, "scheduled_issue_detection": False},
    "tracking_auth": "",
    "artifacts_presigned_only": False,
}
"""Uploads in parts are told of a request at a time: the parts are sent to this server, whose address only a proxy that
tells of itself lets us know. Presigned addresses lead past the server; here all bytes go through it, as they come, so
that their digest is known."""


async def get_server_info(call: Call, given: Given) -> dict[str, Any]:
    """What this server can do."""
    del given
    return {**_INFO, "multipart_uploads_enabled": address_of(call.headers) is not None}


async def list_workspaces(call: Call, given: Given) -> dict[str, Any]:
    """All projects that the caller may see."""
    del given
    found = await asyncio.to_thread(projects.every, call.workspace, call.scope)
    made = [_workspace(project) for project in found if project.slug != SYSTEM]
    return {"workspaces": made} if made else {}


def _workspace(project: Project) -> dict[str, str]:
    return {"name": project.slug, **({"description": project.description} if project.description else {})}


async def get_workspace(call: Call, given: Given) -> dict[str, Any]:
    """One project."""
    del given
    name = call.path["workspace"]
    try:
        found = await asyncio.to_thread(projects.get, call.workspace, call.scope, name)
    except NotFound:
        raise missing(f"Workspace '{name}' not found") from None
    return {"workspace": _workspace(found)}


async def create_workspace(call: Call, given: Given) -> Sent:
    """Create a project."""
    new = NewProject(slug=given["name"], description=given.get("description") or None)
    known = await asyncio.to_thread(projects.every, call.workspace, call.scope)
    taken = Refusal("RESOURCE_ALREADY_EXISTS", f"Workspace '{new.slug}' already exists.")
    if any(project.slug == new.slug for project in known):
        raise taken
    try:
        made = await call.commit(projects.create(call.scope, new))
    except Conflict:
        raise taken from None
    return Sent(201, msgspec.json.encode({"workspace": _workspace(made)}))


ENDPOINTS = [
    Endpoint(
        method="GET", path="/server-info", handler=get_server_info, permission=Permission.PUBLIC, prefixes=TRACKING_3
    ),
    Endpoint(
        method="GET", path="/workspaces", handler=list_workspaces, permission=Permission.READ, prefixes=TRACKING_3
    ),
    Endpoint(
        method="POST", path="/workspaces", handler=create_workspace, permission=Permission.ADMIN, prefixes=TRACKING_3,
        message={"name": STRING, "description": STRING}, checks=(("name", ("required", "string")),),
    ),
    Endpoint(
        method="GET", path="/workspaces/{workspace}", handler=get_workspace, permission=Permission.READ,
        prefixes=TRACKING_3,
    ),
]  # fmt: skip
