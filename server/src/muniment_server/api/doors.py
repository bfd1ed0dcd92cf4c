"""All doors of a server, in one table, which describes itself."""

from __future__ import annotations

import msgspec

from muniment_server.api import openapi, operations, v1
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission


async def get_openapi(call: Call) -> msgspec.Raw:
    """This description, as OpenAPI 3.1."""
    del call
    return msgspec.Raw(document())


ROUTES: list[Route] = [
    *operations.ROUTES,
    Route(method="GET", path="/v1/openapi.json", handler=get_openapi, permission=Permission.PUBLIC, answer=dict),
    *v1.ROUTES,
]


def document() -> bytes:
    """The OpenAPI document of everything that is served."""
    return openapi.document(tuple(ROUTES))
