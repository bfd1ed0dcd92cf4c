"""Links between records, and the lineage that they make."""

from __future__ import annotations

import asyncio

import msgspec

from muniment.model.link import Lineage, LineageQuery, NewLink
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission
from muniment_server.services import lineage, links

_LINKS = "/v1/projects/{project}/links"


class Links(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Links to record or to end, all of them or none."""

    links: list[NewLink]


async def add_links(call: Call) -> links.Linked:
    """Record links. Those that hold already stay; one that would close a circle is refused, and all with it.

    An end may be the URN of a record of another project; the link is then written in both.
    """
    common = (call.workspace, call.scope, call.project, call.body.links)
    for change in await asyncio.to_thread(list, links.mirrored(*common)):
        await call.commit(change)
    return await call.commit(await asyncio.to_thread(links.add, *common, call.receipt))


async def remove_links(call: Call) -> links.Linked:
    """End links; the past keeps them."""
    change = await asyncio.to_thread(
        links.remove, call.workspace, call.scope, call.project, call.body.links, call.receipt
    )
    return await call.commit(change)


async def get_lineage(call: Call) -> Lineage:
    """What a record descends from, or what descends from it, nearest first, now or as of the past."""
    return await asyncio.to_thread(
        lineage.asked, call.workspace, call.scope, call.project, call.path["record"], call.query
    )


ROUTES = [
    Route(
        method="POST", path=_LINKS, handler=add_links, permission=Permission.WRITE, body=Links, answer=links.Linked
    ),
    Route(
        method="POST", path=f"{_LINKS}/remove", handler=remove_links, permission=Permission.WRITE, body=Links,
        answer=links.Linked,
    ),
    Route(
        method="GET", path="/v1/projects/{project}/lineage/{record}", handler=get_lineage,
        permission=Permission.READ, query=LineageQuery, answer=Lineage,
    ),
]  # fmt: skip
