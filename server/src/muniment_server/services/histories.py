"""Series that were read lately, so that the second page of one need not read it again.

A series up to a position never changes, so what is remembered cannot become wrong. Whether the reader may see the run,
and whether it was erased since, is asked of the store each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, TypeVar

import numpy.typing as npt

from muniment_server.segments.level1 import NOWHERE, SeriesColumns

BYTES_LIMIT = 64 * 1024 * 1024
"""Of all series that are remembered."""
_POINT_BYTES = 24
_LEAST = 10_000
"""Points below which a series is read faster than it is worth remembering."""

Array = TypeVar("Array", bound="npt.NDArray[Any]")
Key = tuple[int, int, str, int]
"""(project, number of the run, metric, the position since which the series is so)."""


class Histories:
    """The series that were asked for last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, SeriesColumns] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key) -> SeriesColumns | None:
        """A series, if it is remembered."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Key, series: SeriesColumns) -> None:
        """Remember a series without its positions; the oldest are forgotten for it."""
        size = len(series.step) * _POINT_BYTES
        if not _LEAST * _POINT_BYTES <= size <= BYTES_LIMIT:
            return
        # a slice of a segment would keep all points of that in memory, which nobody counts
        copied = SeriesColumns(_own(series.step), _own(series.timestamp), _own(series.value), NOWHERE)
        with self._lock:
            if key not in self._kept:
                self._bytes += size
            self._kept[key] = copied
            while self._bytes > BYTES_LIMIT:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone.step) * _POINT_BYTES


def _own(values: Array) -> Array:
    return values if values.base is None else values.copy()
