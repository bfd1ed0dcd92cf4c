"""All doors of a server, in one table."""

from muniment_server.api import operations, v1
from muniment_server.api.routing import Route

ROUTES: list[Route] = [*operations.ROUTES, *v1.ROUTES]
