"""Metrics: points, and the summary of a series.

A point is (step, timestamp, value): a 64-bit step, epoch milliseconds, and a double, NaN and ±Infinity included.
A summary is a fold over received points that does not care about their order or repetition, so that a retry cannot
spoil it (rule 9 of the contract of a position).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

Number = float
"""A double."""

WireNumber = float | Literal["NaN", "Infinity", "-Infinity"]
"""A double in JSON, which has no spelling for the three values that are no numbers."""

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def to_wire(value: float) -> WireNumber:
    """The JSON spelling of a double."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One point of a series."""

    step: int
    timestamp: int
    value: WireNumber


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one series without reading it.

    `last` is the point with the greatest (step, timestamp, value), `first` the one with the least (step, timestamp,
    value); NaN counts as less than every number. `min` and `max` are over finite values, with the least step at
    which they were reached; null when there was none. `count` is of points received, repetitions included.
    """

    count: int
    last: WireNumber
    last_step: int
    last_timestamp: int
    first: WireNumber
    first_step: int
    first_timestamp: int
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None
    position: int
    """The position of the latest entry that gave points to the series."""


class NewPoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points of one run, as columns of equal length.

    `series` names the distinct metrics and `key` says, point by point, which of them is meant; a single series needs
    no `key`. A missing `step` is 0, a missing `timestamp` is the server's time. In MessagePack, `step`, `timestamp`
    and `value` may be packed little-endian 64-bit columns (bytes), which costs nothing to read.
    """

    series: list[str]
    value: list[WireNumber] | bytes
    key: list[int] | None = None
    step: list[Int64] | bytes | None = None
    timestamp: list[Int64] | bytes | None = None
    writer: str | None = None
    """A writer's id, with `sequence`: the store remembers each writer's highest sequence for ever."""
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class PointsWritten(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to accepted points."""

    position: int
    points: int
    replayed: bool = False
    """Whether the store had them already and wrote nothing."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one series, as columns, ordered by (step, timestamp, value), repetitions collapsed."""

    key: str
    step: list[int] | bytes
    timestamp: list[int] | bytes
    value: list[WireNumber] | bytes
    position: int
    """Everything up to this position is in the answer."""
    next: str | None = None
    """The token of the next page."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of a chart: its first, last, least and greatest points, with their true steps."""

    count: int
    first: Point
    last: Point
    min: Point | None = None
    max: Point | None = None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A series drawn in at most `buckets` buckets, or exactly.

    When `exact`, `points` holds every point and `buckets` is empty; otherwise it is the other way round.
    """

    key: str
    exact: bool
    count: int
    points: list[Point] = []
    buckets: list[Bucket] = []
    position: int
