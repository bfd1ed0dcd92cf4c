"""What holds for a record of every kind: tags, deletion and restoring, erasure."""

from __future__ import annotations

import asyncio

from muniment.model.record import LifecycleSet, NewErasure, NewTags, Tags, TagsSet
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import erasure, records

_ONE = "/v1/projects/{project}/records/{record}"


async def set_record_tags(call: Call) -> TagsSet:
    """Set tags of a record of any kind, or remove those given as null."""
    return await call.commit(
        records.set_tags(call.workspace, call.scope, call.project, call.path["record"], call.body.tags, call.receipt)
    )


async def list_record_tags(call: Call) -> Tags:
    """The tags of a record, now or as of the past."""
    return await asyncio.to_thread(
        records.tags_of, call.workspace, call.scope, call.project, call.path["record"], call.query.as_of
    )


async def delete_record(call: Call) -> LifecycleSet:
    """Delete a record of any kind: searches pass it over and nothing is written to it. Its name stays taken."""
    return await call.commit(
        records.delete(call.workspace, call.scope, call.project, call.path["record"], call.receipt)
    )


async def restore_record(call: Call) -> LifecycleSet:
    """Restore a record that was deleted."""
    return await call.commit(
        records.restore(call.workspace, call.scope, call.project, call.path["record"], call.receipt)
    )


async def erase_record(call: Call) -> LifecycleSet:
    """Erase the content of a record for good; its entries and their proofs stay. This cannot be undone."""
    return await call.commit(
        erasure.erase(call.workspace, call.scope, call.project, call.path["record"], call.body.reason, call.receipt)
    )


ROUTES = [
    Route(
        method="POST", path=f"{_ONE}/tags", handler=set_record_tags, permission=Permission.WRITE, body=NewTags,
        answer=TagsSet,
    ),
    Route(
        method="GET", path=f"{_ONE}/tags", handler=list_record_tags, permission=Permission.READ, query=AsOf, answer=Tags
    ),
    Route(method="DELETE", path=_ONE, handler=delete_record, permission=Permission.WRITE, answer=LifecycleSet),
    Route(
        method="POST", path=f"{_ONE}/restore", handler=restore_record, permission=Permission.WRITE, answer=LifecycleSet
    ),
    Route(
        method="POST", path=f"{_ONE}/erase", handler=erase_record, permission=Permission.ADMIN, body=NewErasure,
        answer=LifecycleSet,
    ),
]  # fmt: skip
