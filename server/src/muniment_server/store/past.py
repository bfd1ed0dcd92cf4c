"""Summaries as of the past (rule 10): the stored one where it is older than the moment, else folded again."""

from __future__ import annotations

import math

import numpy as np
import sqlalchemy as sa

from muniment.model.metric import Summary, to_wire
from muniment_server.segments.columns import ordinal
from muniment_server.segments.level1 import SeriesColumns
from muniment_server.store import points


def summaries_as_of(
    connection: sa.Connection, project_id: int, runs: dict[int, str], stored: dict[int, dict[str, Summary]], as_of: int
) -> dict[int, dict[str, Summary]]:
    """The summaries of runs at a position, from the present ones.

    Args:
        connection: a snapshot.
        project_id: the runs' project.
        runs: their ids by number.
        stored: the present summaries, by run number and metric.
        as_of: the position.
    """
    kept = {
        number: {name: summary for name, summary in metrics.items() if summary.position <= as_of}
        for number, metrics in stored.items()
    }
    younger = {
        number: {name for name in metrics if name not in kept[number]}
        for number, metrics in stored.items()
        if len(kept[number]) < len(metrics)
    }
    names = set().union(*younger.values()) if younger else set()
    received = points.received_of_runs(connection, project_id, {no: runs[no] for no in younger}, names, as_of)
    for number, found in received.items():
        again = {name: fold_again(series) for name, series in found.items() if name in younger[number]}
        kept[number] = dict(sorted({**kept[number], **again}.items()))
    return {number: metrics for number, metrics in kept.items() if metrics}


def fold_again(series: SeriesColumns) -> Summary:
    """The summary of received points, in whatever order, repetitions included."""
    rank = ordinal(series.value)
    order = np.lexsort((rank, series.timestamp, series.step))
    first, last = int(order[0]), int(order[-1])
    value = series.value[order] + 0.0
    step = series.step[order]
    finite = np.flatnonzero(np.isfinite(value))
    low = high = None
    if len(finite):
        # steps ascend, and argmin takes the first of equals, so these are the least steps
        low, high = int(finite[np.argmin(value[finite])]), int(finite[np.argmax(value[finite])])
    return Summary(
        count=len(order),
        last=to_wire(_normal(float(series.value[last]))),
        last_step=int(series.step[last]),
        last_timestamp=int(series.timestamp[last]),
        first=to_wire(_normal(float(series.value[first]))),
        first_step=int(series.step[first]),
        first_timestamp=int(series.timestamp[first]),
        min=None if low is None else float(value[low]),
        min_step=None if low is None else int(step[low]),
        max=None if high is None else float(value[high]),
        max_step=None if high is None else int(step[high]),
        position=int(series.position.max()),
    )


def _normal(value: float) -> float:
    """Zeros of both signs are one value to a summary."""
    return value if math.isnan(value) else value + 0.0
