"""All doors of a server, in one table, which describes itself."""

from __future__ import annotations

import msgspec

from muniment_server.api import mlflow, openapi, operations, v1
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
    *mlflow.ROUTES,
]


def document() -> bytes:
    """The OpenAPI document of our own API; foreign protocols are described by those whose they are."""
    return openapi.document(tuple(route for route in ROUTES if route.protocol is None))
