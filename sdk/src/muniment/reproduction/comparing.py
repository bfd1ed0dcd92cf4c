"""Comparing what two runs logged; pure, and in little memory however long a series is."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from muniment.model.metric import to_wire
from muniment.reproduction.certificate import MetricComparison, Verdict

SYSTEM = "system."
"""Metrics of the machine, which are not what a program computes."""
BLOCK = 4_096
"""Points that are compared at once, by their bytes."""


class Chunk(NamedTuple):
    """A stretch of a series, ordered by step."""

    steps: array[int]
    values: array[float]


class Tolerance(NamedTuple):
    """How far two values may be apart: relative to the greater, or absolutely; whichever is more."""

    relative: float = 0.0
    absolute: float = 0.0

    def holds(self, first: float, second: float) -> bool:
        """Whether two values are near enough. NaN is near to NaN alone, an infinity to itself."""
        if math.isnan(first) or math.isnan(second):
            return math.isnan(first) and math.isnan(second)
        return math.isclose(first, second, rel_tol=self.relative, abs_tol=self.absolute)


class _Side:
    """The points of one run that were read and not compared yet."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self.steps, self.values = array("q"), array("d")
        self.at = 0
        self.ended = False
        self.points = 0

    def fill(self) -> None:
        """Have a whole step at hand, with the first point of the next one, unless this is the end."""
        while not self.ended and (self.at >= len(self.steps) or self.steps[self.at] == self.steps[-1]):
            chunk = next(self._chunks, None)
            if chunk is None:
                self.ended = True
                return
            self.steps, self.values = self.steps[self.at :] + chunk.steps, self.values[self.at :] + chunk.values
            self.at = 0

    def here(self) -> int | None:
        """The step that comes next; None at the end."""
        self.fill()
        return self.steps[self.at] if self.at < len(self.steps) else None

    def take(self) -> list[float]:
        """The values of the step that comes next: each once, in order.

        The order within a step is not compared, nor how often a value comes there: the store orders the points of a
        step by time, and keeps two that were logged in the same millisecond once.
        """
        start, step = self.at, self.steps[self.at]
        while self.at < len(self.steps) and self.steps[self.at] == step:
            self.at += 1
        if self.at == start + 1:  # as nearly every step is
            found = [self.values[start]]
        else:
            found = list({_bits(value): value for value in self.values[start : self.at]}.values())
            found.sort(key=lambda value: (not math.isnan(value), value, math.copysign(1.0, value)))
        self.points += len(found)
        return found


def _bits(value: float) -> bytes:
    """What makes a value the same: its bits; every NaN is one."""
    return struct.pack("<d", math.nan if math.isnan(value) else value)


def _same(first: list[float], second: list[float]) -> bool:
    return len(first) == len(second) and all(_bits(a) == _bits(b) for a, b in zip(first, second, strict=True))


def _skip_equal(first: _Side, second: _Side) -> bool:
    """Pass over a block that is the same on both sides, up to its last whole step; whether there is one."""
    count = min(len(first.steps) - first.at, len(second.steps) - second.at, BLOCK)
    end, other = first.at + count, second.at + count
    last = first.steps[end - 1]
    while end > first.at and first.steps[end - 1] == last:  # it may go on behind the block
        end, other = end - 1, other - 1
    if end == first.at or second.steps[other] == first.steps[end - 1]:  # the other side has more at its last step
        return False
    if first.steps[first.at : end].tobytes() != second.steps[second.at : other].tobytes():
        return False
    if first.values[first.at : end].tobytes() != second.values[second.at : other].tobytes():
        return False
    points = _distinct(first, end)
    first.points, second.points = first.points + points, second.points + points
    first.at, second.at = end, other
    return True


def _distinct(side: _Side, end: int) -> int:
    """How many points of the next ones count: repetitions of a step and value count once."""
    steps = side.steps[side.at : end]
    if len(set(steps)) == len(steps):
        return len(steps)
    return len({(step, _bits(value)) for step, value in zip(steps, side.values[side.at : end], strict=True)})


def compare_series(original: Iterator[Chunk], reproduction: Iterator[Chunk], tolerance: Tolerance) -> MetricComparison:
    """How one metric of two runs differs.

    Args:
        original: its points in one run, by step, in chunks; only a few of these are held at a time.
        reproduction: its points in the other run.
        tolerance: what is allowed.
    """
    first, second = _Side(original), _Side(reproduction)
    found = _Found(tolerance)
    singly = 0
    while True:
        one, other = first.here(), second.here()
        if one is None and other is None:
            break
        if one == other and not singly and _skip_equal(first, second):
            continue
        singly = (singly or BLOCK // 16) - 1  # where something differs, blocks are not tried again at once
        step = min(step for step in (one, other) if step is not None)
        found.see(step, first.take() if one == step else [], second.take() if other == step else [])
    return found.comparison([first.points, second.points])


class _Found:
    """What was seen so far."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._differing = 0
        self._beyond: tuple[int, float | None, float | None] | None = None
        self._near: tuple[int, float | None, float | None] | None = None
        self._largest = 0.0

    def see(self, step: int, original: list[float], reproduction: list[float]) -> None:
        """The values of both at one step."""
        if _same(original, reproduction):
            return
        self._differing += 1
        pairs = _pairs(original, reproduction)
        for one, other in pairs:
            if one is not None and other is not None and math.isfinite(one) and math.isfinite(other):
                size = max(abs(one), abs(other))
                self._largest = max(self._largest, abs(one / size - other / size) if size else 0.0)
        if self._beyond is not None:
            return
        for one, other in pairs:
            if one is None or other is None or not self._tolerance.holds(one, other):
                self._beyond = (step, one, other)
                return
        if self._near is None:
            self._near = next(
                (step, one, other)
                for one, other in zip(original, reproduction, strict=True)
                if _bits(one) != _bits(other)
            )

    def comparison(self, points: list[int]) -> MetricComparison:
        """The verdict."""
        if not self._differing:
            return MetricComparison(verdict="equal", points=points)
        step, original, reproduction = self._beyond or self._near or (None, None, None)
        return MetricComparison(
            verdict="different" if self._beyond else "within_tolerance",
            points=points,
            differing=self._differing,
            step=step,
            original=None if original is None else to_wire(original),
            reproduction=None if reproduction is None else to_wire(reproduction),
            largest=self._largest,
        )


def _pairs(original: list[float], reproduction: list[float]) -> list[tuple[float | None, float | None]]:
    """Values of one step side by side: in order if there are as many, else what only one of them has."""
    if len(original) == len(reproduction):
        return list(zip(original, reproduction, strict=True))
    ours, theirs = {_bits(value) for value in original}, {_bits(value) for value in reproduction}
    alone: list[tuple[float | None, float | None]] = [(value, None) for value in original if _bits(value) not in theirs]
    return alone + [(None, value) for value in reproduction if _bits(value) not in ours]


def compare_texts(original: Mapping[str, str], reproduction: Mapping[str, str]) -> dict[str, list[str | None]]:
    """Names whose values differ, with both; None where there is none."""
    names = sorted(original.keys() | reproduction.keys())
    pairs = {name: [original.get(name), reproduction.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def verdict_of(metrics: Mapping[str, MetricComparison]) -> Verdict:
    """The verdict over all metrics: the worst of them. Params do not count; many name a file or a folder."""
    said = {found.verdict for found in metrics.values()}
    if said <= {"equal"}:
        return "equal"
    return "within_tolerance" if said <= {"equal", "within_tolerance"} else "different"
