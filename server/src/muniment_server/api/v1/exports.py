"""What is recorded, in the forms that others read."""

from __future__ import annotations

import asyncio
from typing import Any

from muniment.model.link import LineageQuery
from muniment_server.api.routing import Call, Plain, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import exports

_LINEAGE = "/v1/projects/{project}/lineage/{record}"
_DOT = "text/vnd.graphviz; charset=utf-8"
_MARKDOWN = "text/markdown; charset=utf-8"


async def export_prov(call: Call) -> dict[str, Any]:
    """A record's lineage as W3C PROV-JSON."""
    return await asyncio.to_thread(
        exports.as_prov, call.workspace, call.scope, call.project, call.path["record"], call.query
    )


async def export_graphviz(call: Call) -> Plain:
    """A record's lineage as a Graphviz picture."""
    text = await asyncio.to_thread(
        exports.as_picture, call.workspace, call.scope, call.project, call.path["record"], call.query
    )
    return Plain(text, _DOT)


async def export_croissant(call: Call) -> dict[str, Any]:
    """A dataset version as Croissant (MLCommons)."""
    return await asyncio.to_thread(
        exports.as_croissant,
        call.workspace, call.scope, call.project, call.path["dataset"], call.path["version"], call.query.as_of,
    )  # fmt: skip


async def export_model_card(call: Call) -> Plain:
    """A model version's card in Markdown, generated from what is recorded."""
    text = await asyncio.to_thread(
        exports.as_card,
        call.workspace, call.scope, call.project, call.path["model"], call.path["version"], call.query.as_of,
    )  # fmt: skip
    return Plain(text, _MARKDOWN)


ROUTES = [
    Route(
        method="GET", path=f"{_LINEAGE}/prov", handler=export_prov, permission=Permission.READ, query=LineageQuery,
        answer=dict,
    ),
    Route(
        method="GET", path=f"{_LINEAGE}/graphviz", handler=export_graphviz, permission=Permission.READ,
        query=LineageQuery, answer=str, media="text/vnd.graphviz",
    ),
    Route(
        method="GET", path="/v1/projects/{project}/datasets/{dataset}/versions/{version}/croissant",
        handler=export_croissant, permission=Permission.READ, query=AsOf, answer=dict,
    ),
    Route(
        method="GET", path="/v1/projects/{project}/models/{model}/versions/{version}/card",
        handler=export_model_card, permission=Permission.READ, query=AsOf, answer=str, media="text/markdown",
    ),
]  # fmt: skip
