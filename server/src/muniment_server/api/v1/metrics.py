"""Metrics: points in, series and charts out."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from muniment.model.metric import Chart, NewPoints, PointsWritten, Series
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission
from muniment_server.services import metrics

_POINTS = "/v1/projects/{project}/runs/{run}/points"
_SERIES = "/v1/projects/{project}/runs/{run}/series"
_Int = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class SeriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which points of which metric."""

    key: str
    from_step: _Int | None = None
    to_step: _Int | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=metrics.SERIES_PAGE)] = metrics.SERIES_PAGE
    page: str | None = None
    as_of: str | None = None


class ChartQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which metric, and how finely it is drawn."""

    key: str
    buckets: int = 500
    from_step: _Int | None = None
    to_step: _Int | None = None
    as_of: str | None = None


async def log_points(call: Call) -> PointsWritten:
    """Log points of one run, of any number of metrics, as columns. One request is one entry of the history."""
    return await call.commit(
        metrics.log(call.workspace, call.scope, call.project, call.path["run"], call.body, call.receipt)
    )


async def get_series(call: Call) -> Series:
    """The points of one metric, in order; columns are packed 64-bit little-endian in MessagePack."""
    query: SeriesQuery = call.query
    return await asyncio.to_thread(
        metrics.series, call.workspace, call.scope, call.project, call.path["run"], query.key,
        steps=(query.from_step, query.to_step), limit=query.limit, page=query.page,
        as_of=query.as_of, packed=call.packed,
    )  # fmt: skip


async def get_chart(call: Call) -> Chart:
    """One metric as it is drawn: exact, or in buckets that keep the first, last, least and greatest points."""
    query: ChartQuery = call.query
    return await asyncio.to_thread(
        metrics.chart, call.workspace, call.scope, call.project, call.path["run"], query.key,
        buckets=query.buckets, steps=(query.from_step, query.to_step), as_of=query.as_of,
    )  # fmt: skip


ROUTES = [
    Route(
        method="POST", path=_POINTS, handler=log_points, permission=Permission.WRITE, body=NewPoints,
        answer=PointsWritten,
    ),
    Route(
        method="GET", path=_SERIES, handler=get_series, permission=Permission.READ, query=SeriesQuery, answer=Series
    ),
    Route(
        method="GET", path=f"{_SERIES}/chart", handler=get_chart, permission=Permission.READ, query=ChartQuery,
        answer=Chart,
    ),
]  # fmt: skip
