"""What operators and programs ask of a server: health, version, measurements, the description of its API."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST

from muniment_server.api import telemetry
from muniment_server.api.routing import Call, Plain, Route
from muniment_server.policy.access import Permission
from muniment_server.services import health

_RELEASE = version("muniment")


async def get_health(call: Call) -> Plain:
    """`OK` if this server can serve; otherwise a problem that says why not."""
    await asyncio.to_thread(health.check, call.workspace)
    return Plain("OK")


async def get_version(call: Call) -> Plain:
    """The release of this server."""
    del call
    return Plain(_RELEASE)


async def get_metrics(call: Call) -> Plain:
    """What Prometheus scrapes."""
    return Plain(telemetry.exposition(call.workspace), CONTENT_TYPE_LATEST)


_TEXT = "text/plain"

ROUTES = [
    Route(method="GET", path="/health", handler=get_health, permission=Permission.PUBLIC, answer=str, media=_TEXT),
    Route(method="GET", path="/version", handler=get_version, permission=Permission.PUBLIC, answer=str, media=_TEXT),
    Route(method="GET", path="/metrics", handler=get_metrics, permission=Permission.READ, answer=str, media=_TEXT),
]  # fmt: skip
