"""Bulk onboarding."""

from __future__ import annotations

import msgspec

from muniment.model.bulk import Imported
from muniment_server.api.routing import Call, Incoming, Route
from muniment_server.policy.access import Permission
from muniment_server.services import bulk
from muniment_server.services.arrows import MEDIA_TYPE as ARROW


class ImportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands for the stream."""

    writer: str | None = None
    """32 hex digits; sent again with the same, a stream goes on where it broke off."""
    after: int | None = None
    """How far the writer must have come, or the stream is refused; then every line says where it is `at`."""


async def import_lines(call: Call) -> Imported:
    """Take in a stream of commands, a line or row each; what is refused is reported, and the others go on."""
    media = (call.body.media or "").partition(";")[0].strip().lower()
    return await bulk.take_in(
        call.workspace, call.scope, call.project, call.body.chunks, call.query.writer, call.query.after,
        arrow=media == ARROW,
    )  # fmt: skip


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/import", handler=import_lines, permission=Permission.WRITE,
        body=Incoming, takes=("application/x-ndjson", ARROW), query=ImportQuery, answer=Imported,
    ),
]  # fmt: skip
