"""What other systems call a record."""

from __future__ import annotations

import asyncio

from muniment.model.othername import NamedRecord, NameSet, NewOtherName, OtherName, OtherNames
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import othernames

_ALL = "/v1/projects/{project}/names"


class NameQuery(OtherName, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name of another system."""

    as_of: str | None = None


async def give_name(call: Call) -> NameSet:
    """Let a name of another system mean a record; importing it again finds the record by this name."""
    return await call.commit(othernames.give(call.workspace, call.scope, call.project, call.body, call.receipt))


async def take_name(call: Call) -> NameSet:
    """Let a name of another system mean nothing any more; the past keeps it."""
    return await call.commit(othernames.take(call.workspace, call.scope, call.project, call.body, call.receipt))


async def find_by_name(call: Call) -> NamedRecord:
    """The record that a name of another system means, now or as of the past."""
    return await asyncio.to_thread(
        othernames.find, call.workspace, call.scope, call.project, call.query, call.query.as_of
    )


async def list_names(call: Call) -> OtherNames:
    """What other systems call a record, now or as of the past."""
    return await asyncio.to_thread(
        othernames.of_record, call.workspace, call.scope, call.project, call.path["record"], call.query.as_of
    )


ROUTES = [
    Route(method="POST", path=_ALL, handler=give_name, permission=Permission.WRITE, body=NewOtherName, answer=NameSet),
    Route(
        method="POST", path=f"{_ALL}/remove", handler=take_name, permission=Permission.WRITE, body=OtherName,
        answer=NameSet,
    ),
    Route(
        method="GET", path=_ALL, handler=find_by_name, permission=Permission.READ, query=NameQuery,
        answer=NamedRecord,
    ),
    Route(
        method="GET", path="/v1/projects/{project}/records/{record}/names", handler=list_names,
        permission=Permission.READ, query=AsOf, answer=OtherNames,
    ),
]  # fmt: skip
