"""A batch of points as four columns, checked, with the digest that names it and the folds that summarise it."""

from __future__ import annotations

import hashlib
import math
import struct
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.metric import NewPoints, WireNumber
from muniment.model.names import check_name

POINTS_LIMIT = 200_000
"""Points in one request."""
SERIES_LIMIT = 20_000
"""Distinct metrics in one request."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint32]

_TUPLE = np.dtype([("key", ">u4"), ("step", ">i8"), ("timestamp", ">i8"), ("value", ">u8")])
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Columns(msgspec.Struct, frozen=True):
    """Points of one run.

    Attributes:
        series: distinct metric names, sorted by their UTF-8 bytes; every one has a point.
        key: shape (n,), index into `series`.
        step: shape (n,).
        timestamp: shape (n,), epoch milliseconds.
        value: shape (n,), NaN and ±Infinity included.
    """

    series: tuple[str, ...]
    key: Keys
    step: Ints
    timestamp: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.step)


Fold = tuple[int, float | None, int, int, float | None, int, int, float | None, int | None, float | None, int | None]
"""What a batch says of one of its series, as the columns of a summary: count; last with its step and timestamp; first
with its step and timestamp; min with its step; max with its step. NaN is None, as the store keeps it."""


def from_request(request: NewPoints, now: int) -> Columns:
    """The columns of a request.

    Args:
        request: as it came over the wire.
        now: epoch milliseconds, for points without a timestamp.

    Raises:
        InvalidInput: lengths differ, an index is out of range, a name or number is not acceptable.
    """
    value = _floats(request.value)
    count = len(value)
    if count == 0:
        raise InvalidInput("value is empty: there is nothing to record", field="value")
    if count > POINTS_LIMIT:
        raise TooLarge(f"{count:,} points in one request; the limit is {POINTS_LIMIT:,}: send several", field="value")
    step = _ints(request.step, count, 0, "step")
    timestamp = _ints(request.timestamp, count, now, "timestamp")
    if timestamp.min() < 0:
        raise InvalidInput("timestamp holds a time before 1970; it is in epoch milliseconds", field="timestamp")
    return build(request.series, _keys(request, count), step, timestamp, value)


def build(series: list[str], key: npt.NDArray[Any], step: Ints, timestamp: Ints, value: Floats) -> Columns:
    """Columns with names in order and none unused.

    Raises:
        InvalidInput: a name is empty, too long, given twice or without a point.
    """
    if not 0 < len(series) <= SERIES_LIMIT:
        raise TooLarge(f"series lists {len(series):,} metrics; it takes 1 to {SERIES_LIMIT:,}", field="series")
    for name in series:
        check_name(name, "a name in series")
    if len(set(series)) != len(series):
        twice = next(name for name in series if series.count(name) > 1)
        raise InvalidInput(f"series lists {twice!r} twice", field="series")
    if len(series) == 1:
        return Columns(tuple(series), key.astype(np.uint32, copy=False), step, timestamp, value)
    used = np.zeros(len(series), bool)
    used[key] = True
    if not used.all():
        raise InvalidInput(f"series lists {series[int(np.argmin(used))]!r}, which has no point", field="series")
    order = sorted(range(len(series)), key=lambda at: series[at].encode())
    rank = np.empty(len(series), np.uint32)
    rank[order] = np.arange(len(series), dtype=np.uint32)
    return Columns(tuple(series[at] for at in order), rank[key], step, timestamp, value)


def _floats(values: list[WireNumber] | bytes) -> Floats:
    if isinstance(values, bytes):
        return _packed(values, "<f8", "value").astype(np.float64)
    try:
        return np.array(values, dtype=np.float64)
    except ValueError:
        return np.array([_SPECIAL[v] if isinstance(v, str) else v for v in values], dtype=np.float64)


def _ints(values: list[int] | bytes | None, count: int, default: int, field: str) -> Ints:
    if values is None:
        return np.full(count, default, np.int64)
    column = _packed(values, "<i8", field) if isinstance(values, bytes) else np.array(values, dtype=np.int64)
    if len(column) != count:
        raise InvalidInput(f"{field} has {len(column):,} items and value has {count:,}", field=field)
    return column.astype(np.int64, copy=False)


def _packed(data: bytes, kind: str, field: str) -> npt.NDArray[Any]:
    if len(data) % 8:
        raise InvalidInput(f"{field} has {len(data):,} bytes, which is no whole number of 64-bit items", field=field)
    return np.frombuffer(data, dtype=kind)


def _keys(request: NewPoints, count: int) -> npt.NDArray[Any]:
    if request.key is None:
        if len(request.series) != 1:
            raise InvalidInput(
                f"series lists {len(request.series)} metrics, so key must say which is meant", field="key"
            )
        return np.zeros(count, np.uint32)
    if len(request.key) != count:
        raise InvalidInput(f"key has {len(request.key):,} items and value has {count:,}", field="key")
    try:
        key = np.array(request.key, dtype=np.int64)
    except OverflowError:
        raise InvalidInput("key holds an index that is out of range", field="key") from None
    if key.min() < 0 or key.max() >= len(request.series):
        raise InvalidInput(
            f"key holds {int(key.min() if key.min() < 0 else key.max())}, and series has {len(request.series)} names",
            field="key",
        )
    return key


def arranged(columns: Columns) -> Any:
    """The rows by series and step, as an index, if no two have both alike; then nothing else decides their order."""
    step = columns.step
    if len(columns.series) == 1:
        return slice(None) if bool((step[1:] > step[:-1]).all()) else None
    key = columns.key.astype(np.uint16) if len(columns.series) <= 0x10000 else columns.key  # which sort faster
    order = np.argsort(key, kind="stable")
    key, step = key[order], step[order]
    return order if bool(((step[1:] > step[:-1]) | (key[1:] != key[:-1])).all()) else None


def digest(columns: Columns, order: Any = None) -> bytes:
    """The 32 bytes that name these points, whatever order they came in.

    SHA-256 over the number of series, each name (UTF-8, length first), and the tuples (index of the name u32, step
    i64, timestamp i64, value's bits u64), all big-endian, sorted by these four.

    Args:
        columns: the points.
        order: what `arranged` says of them, if it was asked already.
    """
    made = hashlib.sha256(struct.pack(">I", len(columns.series)))
    for name in columns.series:
        encoded = name.encode()
        made.update(struct.pack(">I", len(encoded)) + encoded)
    bits = columns.value.view(np.uint64)
    tuples = np.empty(len(columns), _TUPLE)
    if order is None:
        order = np.lexsort((bits, columns.timestamp, columns.step, columns.key))
    tuples["key"] = columns.key[order]
    tuples["step"] = columns.step[order]
    tuples["timestamp"] = columns.timestamp[order]
    tuples["value"] = bits[order]
    made.update(tuples.tobytes())
    return made.digest()


def ordinal(value: Floats) -> Ints:
    """An integer for each double that sorts as summaries do: NaN first, then by value, zeros of both signs alike."""
    bits = (value + 0.0).view(np.int64)  # adding 0.0 turns -0.0 into 0.0
    ordered = np.where(bits < 0, bits ^ np.int64(0x7FFFFFFFFFFFFFFF), bits)
    ordered[np.isnan(value)] = np.iinfo(np.int64).min
    return ordered


def folds(columns: Columns, order: Any = None) -> list[Fold]:
    """One fold for each name in `series`, in its order.

    Args:
        columns: the points.
        order: what `arranged` says of them, if it was asked already.
    """
    if len(columns) == 1:
        return [_single(columns)]
    if order is None:
        order = np.lexsort((ordinal(columns.value), columns.timestamp, columns.step, columns.key))
    key = columns.key[order]
    step = columns.step[order]
    timestamp = columns.timestamp[order]
    value = columns.value[order] + 0.0
    starts = _starts(key)
    ends = np.append(starts[1:], len(key)) - 1
    low, low_step, high, high_step = _extremes(key, step, value, len(columns.series))
    return list(
        zip(
            (ends - starts + 1).tolist(),
            _nullable(value[ends]), step[ends].tolist(), timestamp[ends].tolist(),
            _nullable(value[starts]), step[starts].tolist(), timestamp[starts].tolist(),
            low, low_step, high, high_step,
            strict=True,
        )
    )  # fmt: skip


def _starts(key: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Where each run of equal items begins; `key` is not empty."""
    return np.append(0, np.flatnonzero(key[1:] != key[:-1]) + 1)


def _single(columns: Columns) -> Fold:
    step, timestamp, value = int(columns.step[0]), int(columns.timestamp[0]), float(columns.value[0]) + 0.0
    kept = None if math.isnan(value) else value
    finite: tuple[float | None, int | None] = (value, step) if math.isfinite(value) else (None, None)
    return (1, kept, step, timestamp, kept, step, timestamp, *finite, *finite)


def _extremes(key: Keys, step: Ints, value: Floats, series: int) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Least finite value, its least step, greatest finite value, its least step, of each series; None without one."""
    finite = np.isfinite(value)
    if not finite.all():
        key, step, value = key[finite], step[finite], value[finite]
    if len(key) == 0:
        return [None] * series, [None] * series, [None] * series, [None] * series
    starts = _starts(key)
    sizes = np.diff(starts, append=len(key))
    made: list[list[Any]] = []
    for extreme in (np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)):
        # within a series steps ascend, so the first row that equals the extreme has the least step
        at = np.flatnonzero(value == np.repeat(extreme, sizes))
        first = at[_starts(key[at])]
        made += [extreme.tolist(), step[first].tolist()]
    if len(starts) < series:  # some have nothing finite
        present = key[starts].tolist()
        for at_, found in enumerate(made):
            whole: list[Any] = [None] * series
            for name, item in zip(present, found, strict=True):
                whole[name] = item
            made[at_] = whole
    return made[0], made[1], made[2], made[3]


def _nullable(value: Floats) -> list[float | None]:
    return [None if v != v else v for v in value.tolist()]  # noqa: PLR0124 - NaN is what differs from itself
