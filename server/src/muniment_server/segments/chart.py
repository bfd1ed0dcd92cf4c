"""From the points of a series to what is drawn: order, collapse, buckets that keep every extreme."""

from __future__ import annotations

import numpy as np

from muniment.model.metric import Bucket, Point, to_wire
from muniment_server.segments.columns import Floats, Ints, ordinal
from muniment_server.segments.level1 import SeriesColumns


def concatenated(parts: list[SeriesColumns]) -> SeriesColumns:
    """The points of all parts, one part after the other."""
    if not parts:
        nothing = np.empty(0, np.int64)
        return SeriesColumns(nothing, nothing, np.empty(0, np.float64), nothing)
    if len(parts) == 1:
        return parts[0]
    return SeriesColumns(
        np.concatenate([part.step for part in parts]),
        np.concatenate([part.timestamp for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.position for part in parts]),
    )


def joined(parts: list[SeriesColumns]) -> SeriesColumns:
    """One series from its parts, ordered by (step, timestamp, value), repetitions collapsed to the earliest."""
    whole = concatenated(parts)
    step, timestamp, value, position = whole.step, whole.timestamp, whole.value, whole.position
    if len(step) < 2:
        return whole
    if not bool(np.all(step[1:] > step[:-1])):  # strictly ascending is the rule, and then there is nothing to do
        known = len(position) > 0
        order = np.lexsort(((position,) if known else ()) + (value.view(np.int64), ordinal(value), timestamp, step))
        step, timestamp, value = step[order], timestamp[order], value[order]
        bits = value.view(np.int64)
        same = (step[1:] == step[:-1]) & (timestamp[1:] == timestamp[:-1]) & (bits[1:] == bits[:-1])
        keep = np.r_[True, ~same]
        step, timestamp, value = step[keep], timestamp[keep], value[keep]
        position = position[order][keep] if known else position
    return SeriesColumns(step, timestamp, value, position)


def points(series: SeriesColumns) -> list[Point]:
    """Every point."""
    return [
        Point(step, timestamp, to_wire(value))
        for step, timestamp, value in zip(
            series.step.tolist(), series.timestamp.tolist(), series.value.tolist(), strict=True
        )
    ]


def buckets(series: SeriesColumns, count: int) -> list[Bucket]:
    """The series in at most `count` stretches of equal step range; empty stretches are left out.

    The edges depend only on the first and last step, so the same question always gets the same answer.
    """
    low, high = int(series.step[0]), int(series.step[-1])
    edges = [low + -(-(high - low + 1) * at // count) for at in range(count)]  # in Python, since it may pass 64 bits
    starts = np.unique(np.searchsorted(series.step, np.array([edge for edge in edges if edge <= high], np.int64)))
    ends = np.r_[starts[1:], len(series.step)]
    return [_bucket(series, start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _bucket(series: SeriesColumns, start: int, end: int) -> Bucket:
    value: Floats = series.value[start:end]
    finite = np.isfinite(value)
    low = high = None
    if finite.all():
        low, high = start + int(np.argmin(value)), start + int(np.argmax(value))
    elif finite.any():
        where: Ints = np.flatnonzero(finite)
        low = start + int(where[np.argmin(value[where])])
        high = start + int(where[np.argmax(value[where])])
    return Bucket(
        count=end - start,
        first=_point(series, start),
        last=_point(series, end - 1),
        min=None if low is None else _point(series, low),
        max=None if high is None else _point(series, high),
    )


def _point(series: SeriesColumns, at: int) -> Point:
    return Point(int(series.step[at]), int(series.timestamp[at]), to_wire(float(series.value[at])))
