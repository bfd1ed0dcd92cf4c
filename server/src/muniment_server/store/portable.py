"""A project as rows and segments that any store can take: what `services.portable` writes to files and reads back.

Rows are told without the project's number, in the order of their keys, so that the same project is the same bytes on
every engine. Points are told as level-1 segments, cut anew, so that it does not matter what was compacted when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.metric import to_wire
from muniment_server.language.words import words_of
from muniment_server.segments import level1
from muniment_server.store import compaction, current, heads, ledger, tables, words
from muniment_server.store.compaction import Planned
from muniment_server.store.kinds import KINDS
from muniment_server.store.statements import inserting
from muniment_server.store.types import Bytes, Double, Instant, Integer, Json

_ELSEWHERE = frozenset(
    ("heads", "points", "segments", "segment_runs", "tiles", "seals", "receipts", "uploads", "projects", "principals")
)
"""Tables that are told in another way, or belong to one store: its seals, and what it has yet to finish."""
_ROWS = 5_000
ENTRIES = 65_536
"""Entries in one segment at the most."""


_Entry = level1.EntryPoints | level1.ErasedEntry


class _Shape(msgspec.Struct, frozen=True):
    """A table as its rows are told: times as microseconds, documents as they lie there."""

    plain: sa.Table
    order: list[Any]
    hexed: frozenset[str]
    texts: frozenset[str]
    doubles: frozenset[str]
    documents: frozenset[str]


def _shape(table: sa.Table) -> _Shape:
    columns: list[sa.Column[Any]] = []
    hexed, texts, doubles, documents = set[str](), set[str](), set[str](), set[str]()
    for column in table.columns:
        kind: Any = column.type
        if isinstance(kind, Instant):
            kind = Integer
        elif isinstance(kind, Json):
            kind = sa.Text()
            documents.add(column.name)
        elif kind is Bytes:
            (texts if (table.name, column.name) == ("ledger", "payload") else hexed).add(column.name)
        elif kind is Double:
            doubles.add(column.name)
        columns.append(sa.Column(column.name, kind, primary_key=column.primary_key, autoincrement=False))
    plain = sa.Table(table.name, sa.MetaData(), *columns)
    order = [plain.c[column.name] for column in table.primary_key.columns if column.name != "project_id"]
    return _Shape(plain, order, frozenset(hexed), frozenset(texts), frozenset(doubles), frozenset(documents))


SHAPES = {
    str(table.name): _shape(table)
    for table in tables.metadata.sorted_tables
    if "project_id" in table.c and table.name not in _ELSEWHERE
}
"""The tables of a project, those that others point to first."""


def rows(connection: sa.Connection, project_id: int, name: str) -> Iterator[bytes]:
    """The rows of a table, each as a line of JSON, in the order of the key."""
    shape = SHAPES[name]
    query = sa.select(shape.plain).where(shape.plain.c.project_id == project_id).order_by(*shape.order)
    for part in connection.execute(query, execution_options={"yield_per": _ROWS}).mappings().partitions():
        for row in part:
            yield msgspec.json.encode(
                {key: _told(shape, key, value) for key, value in row.items() if key != "project_id"}
            )


def _told(shape: _Shape, name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in shape.hexed:
        return value.hex()
    if name in shape.texts:
        return value.decode()
    if name in shape.doubles:
        return to_wire(value + 0.0)  # SQLite forgets the sign of zero
    if name in shape.documents:
        return msgspec.Raw(value.encode())
    return value


def put_rows(connection: sa.Connection, project_id: int, name: str, lines: Iterable[bytes]) -> int:
    """Insert the rows of a table as `rows` tells them; how many.

    Raises:
        ValueError: a line is no row of it.
    """
    shape = SHAPES[name]
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    wanted = {column.name for column in shape.plain.columns} - {"project_id"}
    statement, count, waiting = inserting(shape.plain), 0, list[dict[str, Any]]()
    for line in lines:
        found = decoder.decode(line)
        if found.keys() != wanted:
            raise ValueError(
                f"a line of {name} has {', '.join(sorted(found.keys() ^ wanted))[:200]} too much or missing"
            )
        row = {key: _taken(shape, key, value) for key, value in found.items()}
        waiting.append({"project_id": project_id, **row})
        count += 1
        if len(waiting) >= _ROWS:
            statement.many(connection, waiting)
            waiting = []
    statement.many(connection, waiting)
    return count


def _taken(shape: _Shape, name: str, raw: msgspec.Raw) -> Any:
    if name in shape.documents and bytes(raw) != b"null":
        return bytes(raw).decode()
    value = msgspec.json.decode(raw)
    if value is None:
        return None
    if name in shape.hexed:
        return bytes.fromhex(value)
    if name in shape.texts:
        return value.encode()
    return float(value) if name in shape.doubles else value


def segments(connection: sa.Connection, project_id: int) -> Iterator[tuple[int, int, bytes]]:
    """All points of a project as level-1 segments: the position that each begins with, its points, its bytes."""
    kept: list[level1.EntryPoints] = []
    gone: list[level1.ErasedEntry] = []
    count = 0
    for entry in _entries(connection, project_id):
        if isinstance(entry, level1.ErasedEntry):
            gone.append(entry)
        else:
            kept.append(entry)
            count += len(entry.columns)
        if count >= level1.TARGET or len(kept) + len(gone) >= ENTRIES:
            yield _first(kept, gone), count, level1.encode(kept, gone)
            kept, gone, count = [], [], 0
    if kept or gone:
        yield _first(kept, gone), count, level1.encode(kept, gone)


def _entries(connection: sa.Connection, project_id: int) -> Iterator[_Entry]:
    """Every points entry in order: those of segments first, which hold the older ones."""
    packed = tables.segments
    query = sa.select(packed.c.first, packed.c.payload).where(packed.c.project_id == project_id)
    for row in connection.execute(query.order_by(packed.c.first), execution_options={"yield_per": 1}):
        found: list[_Entry] = [*level1.read_entries(row.payload), *level1.erased_entries(row.payload)]
        yield from sorted(found, key=_position)
    loose, records = tables.points, tables.records
    last = 0
    while True:
        chunk = list(
            connection.execute(
                sa.select(loose, records.c.id)
                .join(records, sa.and_(records.c.project_id == loose.c.project_id, records.c.no == loose.c.run))
                .where(loose.c.project_id == project_id, loose.c.position > last)
                .order_by(loose.c.position)
                .limit(1_000)
            )
        )
        if not chunk:
            return
        last = chunk[-1].position
        kept, gone = compaction.decoded(connection, project_id, chunk)
        both: list[_Entry] = [*kept, *gone]
        yield from sorted(both, key=_position)


def _position(entry: _Entry) -> int:
    return entry.position


def _first(kept: list[level1.EntryPoints], gone: list[level1.ErasedEntry]) -> int:
    return min([*map(_position, kept), *map(_position, gone)])


def put_segment(connection: sa.Connection, project_id: int, payload: bytes) -> int:
    """Put a segment in as it is; how many points it has.

    Raises:
        ValueError: it is none, or names a run that is not there.
    """
    kept, gone = level1.read_entries(payload), level1.erased_entries(payload)
    positions = [*map(_position, kept), *map(_position, gone)]
    if not positions:
        raise ValueError("a segment without entries")
    count = sum(len(entry.columns) for entry in kept)
    try:
        runs = compaction.extents(connection, project_id, kept)
    except KeyError as error:
        raise ValueError(f"a segment has points of run {error}, which is not there") from None
    planned = Planned(
        first=min(positions), last=max(positions), rows=[], replaces=None, entries=len(positions), points=count,
        runs=runs, payload=payload,
    )  # fmt: skip
    compaction.put_in(connection, project_id, planned)
    return count


def put_words(connection: sa.Connection, project_id: int) -> None:
    """Make the index of words anew from the current records."""
    for kind in KINDS.values():
        query = current.versions(kind.name).where(kind.table.c.project_id == project_id, current.at(kind.table, None))
        for part in connection.execute(query, execution_options={"yield_per": _ROWS}).partitions():
            found = [(row.no, current.to_record(kind.name, row)) for row in part]
            words.write(
                connection,
                project_id,
                [(no, words_of(record), False) for no, record in found
                 if getattr(record, "lifecycle", "active") != "erased"],
            )  # fmt: skip


def leaves(connection: sa.Connection, project_id: int) -> list[bytes]:
    """The leaf of every entry, in order."""
    made: list[bytes] = []
    position = heads.read(connection, project_id).position
    for after in range(0, position, _ROWS):
        made += [entry.leaf for entry in ledger.entries(connection, project_id, after, min(after + _ROWS, position))]
    return made
