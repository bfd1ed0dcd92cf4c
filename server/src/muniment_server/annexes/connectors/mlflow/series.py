"""Points of one run as entries of its history, and which of them are there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from muniment_server.annexes.connectors.mlflow.shapes import Portion
from muniment_server.segments import columns
from muniment_server.segments.columns import SERIES_LIMIT
from muniment_server.segments.level1 import SeriesColumns
from muniment_server.services import metrics
from muniment_server.store.repeats import PointsBatch

ENTRY = 65_536
"""Points in one entry."""
Mask = npt.NDArray[np.bool_]


def batches(portion: Portion, kept: Mask) -> Iterator[PointsBatch]:
    """The points that are kept, in entries."""
    rows = np.flatnonzero(kept)
    key = portion.key[rows]
    if len(key) > 1 and bool((key[1:] < key[:-1]).any()):
        order = np.argsort(key, kind="stable")
        rows, key = rows[order], key[order]
    start = 0
    while start < len(rows):
        end = min(start + ENTRY, int(np.searchsorted(key, key[start] + SERIES_LIMIT)))
        part = rows[start:end]
        used, own = np.unique(key[start:end], return_inverse=True)
        yield metrics.of_columns(
            columns.build(
                [portion.keys[at] for at in used.tolist()], own, portion.step[part], portion.timestamp[part],
                portion.value[part],
            )
        )  # fmt: skip
        start = end


def known(portion: Portion, recorded: Mapping[str, SeriesColumns]) -> Mask:
    """Which points of a portion are recorded already."""
    found = np.zeros(len(portion.key), np.bool_)
    for at, name in enumerate(portion.keys):
        there = recorded.get(name)
        if there is not None and len(there.step):
            rows = np.flatnonzero(portion.key == at)
            found[rows] = _among(
                (portion.step[rows], portion.timestamp[rows], _bits(portion.value[rows])),
                (there.step, there.timestamp, _bits(there.value)),
            )
    return found


def _bits(value: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """An integer for each double: one for all that are no number, one for both zeros."""
    bits = (value + 0.0).view(np.int64)
    bits[np.isnan(value)] = np.iinfo(np.int64).max
    return bits


def _among(given: tuple[Any, ...], there: tuple[Any, ...]) -> Mask:
    """Which of the given triples are among others."""
    both = [np.concatenate(pair) for pair in zip(there, given, strict=True)]
    mine = np.arange(len(both[0])) >= len(there[0])
    order = np.lexsort((mine, *both))  # of equal ones, those that are there come first
    same = np.ones(len(order), np.bool_)
    same[0] = False
    for column in both:
        ordered = column[order]
        same[1:] &= ordered[1:] == ordered[:-1]
    group = np.cumsum(~same) - 1
    first_is_there = ~mine[order][np.flatnonzero(~same)]
    known_at = np.empty(len(order), np.bool_)
    known_at[order] = first_is_there[group]
    return known_at[len(there[0]) :]
