"""Notes: what people know of a record or of the project."""

from __future__ import annotations

import asyncio

from muniment.model.note import NewNote, Note, NoteChange
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import notes

_ALL = "/v1/projects/{project}/notes"
_ONE = f"{_ALL}/{{note}}"


async def create_note(call: Call) -> Note:
    """Write a note on a record or on the project; `search` finds them by `subject`."""
    return await call.commit(notes.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_note(call: Call) -> Note:
    """One note, now or as of the past."""
    return await asyncio.to_thread(
        notes.get, call.workspace, call.scope, call.project, call.path["note"], call.query.as_of
    )


async def update_note(call: Call) -> Note:
    """Change a note; its earlier texts stay in its history."""
    return await call.commit(
        notes.update(call.workspace, call.scope, call.project, call.path["note"], call.body, call.receipt)
    )


ROUTES = [
    Route(
        method="POST", path=_ALL, handler=create_note, permission=Permission.WRITE, body=NewNote, answer=Note,
        status=201,
    ),
    Route(method="GET", path=_ONE, handler=get_note, permission=Permission.READ, query=AsOf, answer=Note),
    Route(method="PATCH", path=_ONE, handler=update_note, permission=Permission.WRITE, body=NoteChange, answer=Note),
]  # fmt: skip
