"""The index of words: which records hold a word now. FTS5 on SQLite, tsvector on PostgreSQL, the same words on both.

It is derived from the records and no part of the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

Row = tuple[int, list[str], bool]
"""Number of a record, its words, whether it may have had others."""
_BITS = 40
"""Bits of a record's number in the row number of SQLite's index; a project's number comes before them."""

DDL = {
    "sqlite": (
        """CREATE VIRTUAL TABLE words USING fts5(body, detail=none, columnsize=0,
    tokenize="unicode61 remove_diacritics 0 categories 'L* N* M* P* S* Co'")""",
    ),
    "postgresql": (
        """CREATE TABLE words (project_id integer NOT NULL, record bigint NOT NULL, body tsvector NOT NULL,
    CONSTRAINT words_pkey PRIMARY KEY (project_id, record)) PARTITION BY HASH (project_id)""",
        *(
            f"CREATE TABLE words_{part} PARTITION OF words FOR VALUES WITH (MODULUS 8, REMAINDER {part})"
            for part in range(8)
        ),
        "CREATE INDEX words_body ON words USING gin (body)",
    ),
}


def write(connection: sa.Connection, project_id: int, rows: Sequence[Row]) -> None:
    """Let records have these words from now on."""
    if not rows:
        return
    cursor = connection.connection.cursor()
    try:
        if connection.dialect.name == "sqlite":
            if any(had for _, _, had in rows):
                known = [(_rowid(project_id, no),) for no, _, had in rows if had]
                cursor.executemany("DELETE FROM words WHERE rowid = ?", known)
            made = [(_rowid(project_id, no), " ".join(body)) for no, body, _ in rows if body]
            cursor.executemany("INSERT INTO words (rowid, body) VALUES (?, ?)", made)
        else:
            values: Any = [(project_id, no, body) for no, body, _ in rows]
            cursor.executemany(
                "INSERT INTO words (project_id, record, body) VALUES (%s, %s, array_to_tsvector(%s::text[])) "
                "ON CONFLICT (project_id, record) DO UPDATE SET body = excluded.body",
                values,
            )
    finally:
        cursor.close()


def erase(connection: sa.Connection, project_id: int, number: int) -> None:
    """Forget the words of a record, for good."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DELETE FROM words WHERE rowid = ?", (_rowid(project_id, number),))
        # a deleted word stays in the index until its parts are merged
        connection.exec_driver_sql("INSERT INTO words (words) VALUES ('optimize')")
    else:
        connection.execute(sa.delete(_TABLE).where(_TABLE.c.project_id == project_id, _TABLE.c.record == number))


_TABLE = sa.table(
    "words", sa.column("project_id", sa.Integer()), sa.column("record", sa.BigInteger()),
    sa.column("body", postgresql.TSVECTOR()),
)  # fmt: skip


def matching(dialect: str, project_id: int, wanted: Sequence[tuple[str, bool]]) -> sa.Select[Any]:
    """The numbers of records that hold every word; a word with True may go on."""
    if dialect == "sqlite":
        query = " AND ".join(f'"{word}"{"*" if prefix else ""}' for word, prefix in wanted)
        rowid = sa.literal_column("words.rowid", sa.BigInteger())
        first = _rowid(project_id, 0)
        return (
            sa.select(rowid - first)
            .select_from(sa.table("words"))
            .where(sa.literal_column("words").op("MATCH")(query), rowid >= first, rowid < _rowid(project_id + 1, 0))
        )
    query = " & ".join(f"'{word}'{':*' if prefix else ''}" for word, prefix in wanted)
    return sa.select(_TABLE.c.record).where(
        _TABLE.c.project_id == project_id, _TABLE.c.body.op("@@")(sa.cast(sa.literal(query), postgresql.TSQUERY))
    )


def _rowid(project_id: int, number: int) -> int:
    return (project_id << _BITS) | number
