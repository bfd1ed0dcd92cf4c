"""Level 1: some 64k points of many entries and runs, sorted by (run, key, step), as one Parquet file.

The file stands for itself: DuckDB, Spark or pandas read it without Muniment. Every point keeps the position, commit
time and actor of its entry, so that any entry's digest can be computed again from where its points now lie.
Entries that were erased have no points; the file's metadata keeps their hashes under ``muniment.erased``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from muniment.model.errors import MunimentError
from muniment_server.segments.columns import Columns, Floats, Ints, build

TARGET = 65_536
"""Points at which a segment is full."""
_ERASED = b"muniment.erased"
_FORMAT = b"muniment.format"
_TEXTS = ["run", "key", "actor"]
_KINDS = {
    **dict.fromkeys(_TEXTS, pa.dictionary(pa.int32(), pa.string())),
    **dict.fromkeys(("step", "timestamp", "position"), pa.int64()),
    "value": pa.float64(),
    "time": pa.timestamp("us", tz="UTC"),
}
_DELTAS = dict.fromkeys(("step", "timestamp", "position", "time"), "DELTA_BINARY_PACKED")
_FEW = 4
"""A dictionary of values pays where there are at least this many points to each distinct value."""


class EntryPoints(msgspec.Struct, frozen=True):
    """One points entry: who gave which points to which run, and when. `time` is epoch microseconds."""

    position: int
    time: int
    actor: str
    run: str
    columns: Columns


class ErasedEntry(msgspec.Struct, frozen=True):
    """What is left of an entry whose points were erased; `payload_hash` is hex."""

    position: int
    time: int
    actor: str
    run: str
    payload_hash: str


class SeriesColumns(msgspec.Struct, frozen=True):
    """Points of one series.

    Attributes:
        step, timestamp, value: shape (n,).
        position: that each came at, shape (n,); of shape (0,) where nobody asked for it.
    """

    step: Ints
    timestamp: Ints
    value: Floats
    position: Ints


NOWHERE: Ints = np.empty(0, np.int64)
"""The positions of points where nobody asked for them."""


def encode(entries: Iterable[EntryPoints], erased: Iterable[ErasedEntry] = ()) -> bytes:
    """The file of these entries."""
    given = list(entries)
    runs = sorted({entry.run for entry in given})
    names = sorted({name for entry in given for name in entry.columns.series}, key=str.encode)
    actors = sorted({entry.actor for entry in given})
    run_at, name_at, actor_at = ({text: at for at, text in enumerate(texts)} for texts in (runs, names, actors))
    sizes = [len(entry.columns) for entry in given]

    def spread(values: list[int], kind: type) -> np.ndarray:
        return np.repeat(np.array(values, kind), sizes)

    run = spread([run_at[entry.run] for entry in given], np.int32)
    actor = spread([actor_at[entry.actor] for entry in given], np.int32)
    position = spread([entry.position for entry in given], np.int64)
    time = spread([entry.time for entry in given], np.int64)
    key = _concatenate(
        [np.array([name_at[n] for n in entry.columns.series], np.int32)[entry.columns.key] for entry in given], np.int32
    )
    step = _concatenate([entry.columns.step for entry in given], np.int64)
    timestamp = _concatenate([entry.columns.timestamp for entry in given], np.int64)
    value = _concatenate([entry.columns.value for entry in given], np.float64)
    order = np.lexsort((position, step, key, run))
    table = pa.table(
        {
            "run": _dictionary(run[order], runs),
            "key": _dictionary(key[order], names),
            "step": _column(step[order], pa.int64()),
            "timestamp": _column(timestamp[order], pa.int64()),
            "value": _column(value[order], pa.float64()),
            "position": _column(position[order], pa.int64()),
            "time": _column(time[order], pa.timestamp("us", tz="UTC")),
            "actor": _dictionary(actor[order], actors),
        }
    ).replace_schema_metadata({_FORMAT: b"1", _ERASED: msgspec.json.encode(list(erased))})
    ordered = np.sort(value.view(np.int64))  # np.unique hashes, which takes several times as long
    few = len(value) == 0 or (1 + np.count_nonzero(ordered[1:] != ordered[:-1])) * _FEW <= len(value)
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=3,
        use_dictionary=[*_TEXTS, "value"] if few else _TEXTS,
        column_encoding=_DELTAS if few else {**_DELTAS, "value": "BYTE_STREAM_SPLIT"},
        row_group_size=max(len(value), 1),
        write_statistics=False,
        data_page_version="2.0",
    )
    return sink.getvalue()


def _concatenate(parts: list[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _column(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Numbers as they are, without a copy. `pa.array` would import pandas to see whether they are one of its own."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _dictionary(indices: np.ndarray, texts: list[str]) -> pa.DictionaryArray:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    words = pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))
    return pa.DictionaryArray.from_arrays(_column(indices, pa.int32()), words)


def _read(payload: bytes, columns: list[str]) -> pa.Table:
    wanted = [name for name in _TEXTS if name in columns]
    try:
        table = pq.ParquetFile(pa.BufferReader(payload), read_dictionary=wanted).read(
            columns=columns, use_threads=False
        )
        table.validate()  # that all columns have as many rows as the table
    except (pa.ArrowException, OSError, KeyError) as error:  # the last is what a missing column is
        raise ValueError(f"the segment cannot be read: {error}") from None
    found = dict(zip(table.schema.names, table.schema.types, strict=True))
    for name in columns:
        if found.get(name) != _KINDS[name]:
            raise ValueError(f"the segment cannot be read: {name} is {found.get(name, 'missing')}, not {_KINDS[name]}")
    return table


def _codes(table: pa.Table, name: str) -> tuple[np.ndarray, list[str]]:
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    codes, texts = _plain(column.indices, np.int32), column.dictionary.to_pylist()
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(texts):
        raise ValueError(f"the segment cannot be read: {name} has numbers of texts that it does not hold")
    return codes, texts


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    kind = np.float64 if name == "value" else np.int64
    parts = [_plain(chunk, kind) for chunk in table.column(name).chunks]
    return parts[0] if len(parts) == 1 else _concatenate(parts, kind)


def _plain(column: pa.Array, kind: type) -> np.ndarray:
    """Numbers without a copy; see `_column`.

    Raises:
        ValueError: some are missing.
    """
    if column.null_count:
        raise ValueError("the segment cannot be read: a column has no value in some row")
    if len(column) == 0:  # which may have no buffer
        return np.empty(0, kind)
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * np.dtype(kind).itemsize)


def erased_entries(payload: bytes) -> list[ErasedEntry]:
    """The entries of which only the hash is left.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        metadata = pq.read_schema(pa.BufferReader(payload)).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"the segment cannot be read: {error}") from None
    return msgspec.json.decode(metadata.get(_ERASED, b"[]"), type=list[ErasedEntry])


def read_entries(payload: bytes) -> list[EntryPoints]:
    """Every entry of the file, by position, with its points as they were received but for their order.

    Raises:
        ValueError: the file is damaged.
    """
    table = _read(payload, ["run", "key", "step", "timestamp", "value", "position", "time", "actor"])
    position = _numbers(table, "position")
    if len(position) == 0:
        return []
    order = np.argsort(position, kind="stable")
    position = position[order]
    run_codes, runs = _codes(table, "run")
    key_codes, names = _codes(table, "key")
    actor_codes, actors = _codes(table, "actor")
    step, timestamp, value, time = (_numbers(table, name)[order] for name in ("step", "timestamp", "value", "time"))
    run_codes, key_codes, actor_codes = run_codes[order], key_codes[order], actor_codes[order]
    starts = np.flatnonzero(np.r_[True, position[1:] != position[:-1]])
    entries = []
    for start, end in zip(starts.tolist(), np.r_[starts[1:], len(position)].tolist(), strict=True):
        rows = slice(start, end)
        used, key = np.unique(key_codes[rows], return_inverse=True)
        try:
            columns = build(
                [names[code] for code in used.tolist()], key.astype(np.uint32), step[rows], timestamp[rows], value[rows]
            )
        except MunimentError as error:
            raise ValueError(f"the segment cannot be read: {error.message}") from None
        entries.append(
            EntryPoints(
                int(position[start]), int(time[start]), actors[actor_codes[start]], runs[run_codes[start]], columns
            )
        )
    return entries


def read_series(
    payload: bytes, run: str, keys: set[str] | None = None, *, positions: bool = True
) -> dict[str, SeriesColumns]:
    """The series of one run in the file, by metric name; all of them, or those in `keys`.

    Raises:
        ValueError: the file is damaged.
    """
    return read_all_series(payload, {run}, keys, positions=positions).get(run, {})


def read_all_series(
    payload: bytes, wanted: set[str], keys: set[str] | None = None, *, positions: bool = True
) -> dict[str, dict[str, SeriesColumns]]:
    """The series of some runs in the file, by run and metric name; all of them, or those in `keys`.

    Raises:
        ValueError: the file is damaged.
    """
    numbers = ["step", "timestamp", "value", *(["position"] if positions else [])]
    table = _read(payload, ["run", "key", *numbers])
    run_codes, runs = _codes(table, "run")
    key_codes, names = _codes(table, "key")
    columns = [_numbers(table, name) for name in numbers] + [NOWHERE] * (not positions)
    found: dict[str, dict[str, SeriesColumns]] = {}
    for code, run in enumerate(runs):
        if run not in wanted:
            continue
        # rows are sorted by run and then by key, so those of one series are a slice
        low, high = np.searchsorted(run_codes, [code, code + 1]).tolist()
        of_run = key_codes[low:high]
        starts = np.flatnonzero(np.r_[True, of_run[1:] != of_run[:-1]]) if high > low else np.empty(0, np.int64)
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), high - low], strict=False):
            name = names[of_run[start]]
            if keys is None or name in keys:
                rows = slice(low + start, low + end)
                found.setdefault(run, {})[name] = SeriesColumns(*(column[rows] for column in columns))
    return found


def entry_times(payload: bytes) -> list[tuple[int, int]]:
    """(position, commit time in epoch microseconds) of every entry, by position, erased ones included.

    Raises:
        ValueError: the file is damaged.
    """
    table = _read(payload, ["position", "time"])
    position, first = np.unique(_numbers(table, "position"), return_index=True)
    times = list(zip(position.tolist(), _numbers(table, "time")[first].tolist(), strict=True))
    return sorted(times + [(entry.position, entry.time) for entry in erased_entries(payload)])
