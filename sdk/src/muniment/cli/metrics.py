"""Metrics of a run as they are drawn: latest values, extremes and a sparkline each."""

from __future__ import annotations

from muniment.cli.runs import numbers
from muniment.cli.screen import Screen
from muniment.cli.sparkline import buckets_for, sparkline
from muniment.cli.spelling import number
from muniment.cli.tables import Column
from muniment.client import Client
from muniment.model.metric import Summary

COUNT = 40
"""Sparklines that are drawn at the most; each is a question to the store."""
WIDTH = 40
"""Columns of a sparkline at the most."""
BESIDE = 56
"""Columns that the rest of a line takes."""


def line_width(screen: Screen) -> int:
    """Columns of a sparkline on this screen."""
    return min(WIDTH, max(10, screen.width - BESIDE))


def sparklines(
    client: Client, screen: Screen, run: str, metrics: dict[str, Summary], as_of: str | None = None, *, log: bool
) -> dict[str, str]:
    """The lines of those metrics that have more than one point."""
    width = line_width(screen)
    wanted = [name for name, summary in metrics.items() if summary.count > 1][:COUNT]
    return {
        name: sparkline(
            client.chart(run, name, buckets=buckets_for(width), as_of=as_of),
            blocks=screen.glyphs.blocks, log=log,
        )
        for name in wanted
    }  # fmt: skip


def drawn(metrics: dict[str, Summary], lines: dict[str, str]) -> list[Column]:
    """A table of metrics: the latest value, its step, the least and greatest, and the line."""
    summaries = list(metrics.values())
    columns = [
        Column(head="", cells=list(metrics), least=16, within=True),
        numbers("last", [number(found.last) for found in summaries]),
        Column(head="step", cells=[str(found.last_step) for found in summaries], right=True, rank=4),
    ]
    if not any(found.count > 1 for found in summaries):
        return columns
    many = [found if found.count > 1 else None for found in summaries]
    columns.append(Column(head="", cells=[lines.get(name, "") for name in metrics], rank=1, style="cyan"))
    for rank, (head, cells) in enumerate(
        {
            "min": ["" if found is None else number(found.min) for found in many],
            "max": ["" if found is None else number(found.max) for found in many],
            "points": ["" if found is None else str(found.count) for found in many],
        }.items(),
        start=2,
    ):
        columns.append(numbers(head, cells, rank if head != "points" else 5))
    return columns
