"""Facets and their types."""

from __future__ import annotations

import asyncio

from muniment.model.facet import Facets, FacetSet, FacetType, FacetTypeChange, NewFacet, NewFacetType
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import facets

_TYPES = "/v1/projects/{project}/facet-types"
_VERSION = f"{_TYPES}/{{facet}}/versions/{{version}}"
_OF = "/v1/projects/{project}/records/{record}/facets"
_ONE = f"{_OF}/{{facet}}"


async def create_facet_type(call: Call) -> FacetType:
    """Say what facets of a name must be, as the next version of their type."""
    return await call.commit(facets.create_type(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_facet_type(call: Call) -> FacetType:
    """A version of a facet type, by number or `latest`, now or as of the past."""
    path = call.path
    return await asyncio.to_thread(
        facets.get_type, call.workspace, call.scope, call.project, path["facet"], path["version"], call.query.as_of
    )


async def update_facet_type(call: Call) -> FacetType:
    """Change whether a version of a facet type is enforced, warned of, or off."""
    path = call.path
    return await call.commit(
        facets.update_type(
            call.workspace, call.scope, call.project, path["facet"], path["version"], call.body, call.receipt
        )
    )


async def set_facet(call: Call) -> FacetSet:
    """Set a facet of a record, checked against the latest version of its type if there is one."""
    path, value = call.path, call.body.value
    return await call.commit(
        facets.set_facet(call.workspace, call.scope, call.project, path["record"], path["facet"], value, call.receipt)
    )


async def remove_facet(call: Call) -> FacetSet:
    """Remove a facet of a record; the past keeps it."""
    path = call.path
    return await call.commit(
        facets.set_facet(call.workspace, call.scope, call.project, path["record"], path["facet"], None, call.receipt)
    )


async def list_facets(call: Call) -> Facets:
    """The facets of a record, now or as of the past."""
    return await asyncio.to_thread(
        facets.of_record, call.workspace, call.scope, call.project, call.path["record"], call.query.as_of
    )


ROUTES = [
    Route(
        method="POST", path=_TYPES, handler=create_facet_type, permission=Permission.WRITE, body=NewFacetType,
        answer=FacetType, status=201,
    ),
    Route(
        method="GET", path=_VERSION, handler=get_facet_type, permission=Permission.READ, query=AsOf, answer=FacetType
    ),
    Route(
        method="PATCH", path=_VERSION, handler=update_facet_type, permission=Permission.WRITE, body=FacetTypeChange,
        answer=FacetType,
    ),
    Route(method="GET", path=_OF, handler=list_facets, permission=Permission.READ, query=AsOf, answer=Facets),
    Route(method="PUT", path=_ONE, handler=set_facet, permission=Permission.WRITE, body=NewFacet, answer=FacetSet),
    Route(method="DELETE", path=_ONE, handler=remove_facet, permission=Permission.WRITE, answer=FacetSet),
]  # fmt: skip
