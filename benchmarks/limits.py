"""What the machine does with the same bytes and rows when nobody keeps records of them."""

from __future__ import annotations

import hashlib
import io
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bodies import EPOCH
from benchmarks.stores import Bare, Place
from benchmarks.wire import MSGPACK
from muniment.model.metric import NewPoints
from muniment_server.segments import columns, level0

TABLES = ("records", "runs", "revisions", "ledger", "params", "points", "summaries")
"""What a run with params and metrics is written to."""
_COUNTED = {
    "records": "no", "runs": "no", "revisions": "record", "ledger": "position", "params": "run", "points": "run",
    "summaries": "run",
}  # fmt: skip
"""By what the rows of a table are counted: the run, or the position."""
_ENCODINGS = {"step": "DELTA_BINARY_PACKED", "timestamp": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}
_POINTS = "INSERT INTO bare_points VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_SUMMARIES = (
    "INSERT INTO bare_summaries VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (project_id, run, key) DO UPDATE "
    "SET count = excluded.count, last = excluded.last, last_step = excluded.last_step, position = excluded.position"
)


def decode(bodies: Sequence[bytes], media: str) -> float:
    """Seconds of processor time to decode the bodies, and nothing else."""
    decoder: Any = msgspec.msgpack.Decoder(NewPoints) if media == MSGPACK else msgspec.json.Decoder(NewPoints)
    started = time.process_time()
    for body in bodies:
        decoder.decode(body)
    return time.process_time() - started


def append(folder: Path, bodies: Sequence[bytes], together: int) -> float:
    """Seconds to append the bodies to a file, with one fsync for as many as are written together."""
    path = folder / "append.bin"
    started = time.perf_counter()
    with path.open("wb", buffering=0) as out:
        for start in range(0, len(bodies), together):
            out.write(b"".join(bodies[start : start + together]))
            os.fsync(out.fileno())
    seconds = time.perf_counter() - started
    path.unlink()
    return seconds


def prepare(bodies: Sequence[bytes], media: str) -> tuple[float, list[tuple[Any, ...]]]:
    """Seconds of processor time of Muniment's own work on the bodies before any lock, and the batches made."""
    decoder: Any = msgspec.msgpack.Decoder(NewPoints) if media == MSGPACK else msgspec.json.Decoder(NewPoints)
    made = []
    started = time.process_time()
    for body in bodies:
        batch = columns.from_request(decoder.decode(body), EPOCH)
        order = columns.arranged(batch)
        made.append((batch, columns.digest(batch, order), columns.folds(batch, order), level0.encode_body(batch)))
    return time.process_time() - started, made


def insert_points(place: Place, batches: Sequence[tuple[Any, ...]], together: int, runs: int) -> float:
    """Seconds of the bare driver for the rows that Muniment writes for these batches, so many to a transaction."""
    groups = []
    actor = bytes(16) if place.home.engine == "sqlite" else uuid.UUID(int=0)
    for start in range(0, len(batches), together):
        rows: tuple[list[Any], list[Any]] = ([], [])
        for at, (batch, digest, folds, body) in enumerate(batches[start : start + together], start):
            run = at % runs
            payload = level0.payload_of(len(batch), list(range(len(batch.series))), body)
            low, high = int(batch.step.min()), int(batch.step.max())
            rows[0].append((1, at, run, EPOCH, actor, len(batch), low, high, digest, payload, None))
            rows[1].extend((1, run, key, *fold, at) for key, fold in enumerate(folds))
        groups.append(rows)
    bare = place.bare()
    _copy_tables(bare, ("points", "summaries"))
    started = time.perf_counter()
    for points, summaries in groups:
        bare.run("BEGIN")
        bare.many(_POINTS, points)
        bare.many(_SUMMARIES, summaries)
        bare.run("COMMIT")
    seconds = time.perf_counter() - started
    _drop_tables(bare, ("points", "summaries"))
    bare.close()
    return seconds


def insert_runs(place: Place, project: str, transactions: int, youngest: int | None = None) -> float:
    """Seconds of the bare driver for the very rows that a project holds, spread over so many transactions.

    Args:
        place: the store.
        project: its slug.
        transactions: how many.
        youngest: the rows of the runs that were made last, so many; None is all rows.
    """
    bare = place.bare()
    number = bare.rows("SELECT no FROM projects WHERE slug = ?", project)[0][0]
    since = dict.fromkeys(TABLES, 0)
    if youngest is not None:
        ordered = "SELECT no, min(valid_from) FROM runs WHERE project_id = ? GROUP BY no ORDER BY no DESC LIMIT ?"
        since = dict.fromkeys(TABLES, (oldest := bare.rows(ordered, number, youngest)[-1])[0])
        since["ledger"] = oldest[1]
    held = {
        table: bare.rows(f"SELECT * FROM {table} WHERE project_id = ? AND {_COUNTED[table]} >= ?", number, since[table])
        for table in TABLES
    }
    _copy_tables(bare, TABLES)
    statements = {
        table: f"INSERT INTO bare_{table} VALUES ({','.join('?' * len(rows[0]))})"
        for table, rows in held.items()
        if rows
    }
    started = time.perf_counter()
    for at in range(transactions):
        bare.run("BEGIN")
        for table, statement in statements.items():
            rows = held[table]
            bare.many(statement, rows[len(rows) * at // transactions : len(rows) * (at + 1) // transactions])
        bare.run("COMMIT")
    seconds = time.perf_counter() - started
    _drop_tables(bare, TABLES)
    bare.close()
    return seconds


def _copy_tables(bare: Bare, tables: Sequence[str]) -> None:
    """Empty copies of tables with their indexes, but without triggers and partitions."""
    for table in tables:
        bare.run(f"DROP TABLE IF EXISTS bare_{table}")
        if not bare.is_sqlite:
            bare.run(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
            continue
        listed = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC"
        for kind, name, text in bare.rows(listed, table):
            if kind == "table":
                bare.run(text.replace(f"TABLE {table}", f"TABLE bare_{table}", 1))
            elif kind == "index":
                bare.run(text.replace(f" {name} ON {table}", f" bare_{name} ON bare_{table}", 1))


def _drop_tables(bare: Bare, tables: Sequence[str]) -> None:
    for table in tables:
        bare.run(f"DROP TABLE bare_{table}")


def write_parquet(run: str, key: str, step: Any, timestamp: Any, value: Any) -> tuple[float, int]:
    """(seconds of processor time, bytes) of points written by pyarrow alone, as Parquet files of a segment's size."""
    size, total = 65_536, 0
    started = time.process_time()
    for start in range(0, len(step), size):
        rows = slice(start, start + size)
        count = len(step[rows])
        zeros = pa.array(np.zeros(count, np.int32))
        sink = io.BytesIO()
        table = pa.table({
            "run": pa.DictionaryArray.from_arrays(zeros, pa.array([run])),
            "key": pa.DictionaryArray.from_arrays(zeros, pa.array([key])),
            "step": pa.array(step[rows]), "timestamp": pa.array(timestamp[rows]),
            "value": pa.array(value[rows]),
        })  # fmt: skip
        pq.write_table(
            table, sink, compression="zstd", compression_level=3, use_dictionary=["run", "key"], write_statistics=False,
            column_encoding=_ENCODINGS,
        )  # fmt: skip
        total += len(sink.getvalue())
    return time.process_time() - started, total


def read_stored(place: Place, project: str) -> float:
    """Seconds to fetch a project's stored points by the bare driver and unpack their three columns, nothing else."""
    bare = place.bare()
    number = bare.rows("SELECT no FROM projects WHERE slug = ?", project)[0][0]
    started = time.perf_counter()
    for (payload,) in bare.rows("SELECT payload FROM points WHERE project_id = ?", number):
        level0.decode(payload)
    for (payload,) in bare.rows("SELECT payload FROM segments WHERE project_id = ?", number):
        pq.read_table(pa.BufferReader(payload), columns=["step", "timestamp", "value"], use_threads=False)
    seconds = time.perf_counter() - started
    bare.close()
    return seconds


def hashing(entries: int) -> float:
    """Seconds of processor time to hash three times 100 bytes for each entry: payload, leaf and node."""
    block = bytes(100)
    started = time.process_time()
    for _ in range(entries * 3):
        hashlib.sha256(block).digest()
    return time.process_time() - started


def hash_points(count: int) -> float:
    """Seconds of processor time to hash the 28 bytes of each point once."""
    data = bytes(28 * 1_000)
    started = time.process_time()
    for _ in range(count // 1_000):
        hashlib.sha256(data).digest()
    return time.process_time() - started
