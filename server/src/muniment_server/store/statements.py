"""Statements of hot paths: compiled once per engine, and sent in the way that each engine takes quickest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.compiler import SQLCompiler

_ARRAYS_FROM = 8
"""Rows from which arrays are quicker than rows."""


class Prepared:
    """A Core statement compiled once per engine, so that a hot path pays the driver and nothing else.

    What goes wrong is the driver's own error; `is_integrity_error` and `Store` know both kinds.

    Args:
        build: makes the statement, given the engine's own ``insert``, which knows ``ON CONFLICT``.
    """

    def __init__(self, build: Callable[[Callable[[sa.Table], Any]], Any]) -> None:
        self._build = build
        self._compiled: dict[str, tuple[str, list[tuple[str, Callable[[Any], Any] | None]]]] = {}

    def _for(self, dialect: sa.engine.interfaces.Dialect) -> tuple[str, list[tuple[str, Callable[[Any], Any] | None]]]:
        found = self._compiled.get(dialect.name)
        if found is None:
            insert = sqlite_insert if dialect.name == "sqlite" else postgresql_insert
            statement = self._build(insert)
            compiled = cast("SQLCompiler", statement.compile(dialect=dialect))
            processors = compiled._bind_processors  # noqa: SLF001 - the only way to the types' own conversion
            order = [
                (name, cast("Callable[[Any], Any] | None", processors.get(name))) for name in compiled.positiontup or ()
            ]
            found = self._compiled[dialect.name] = (str(compiled), order)
        return found

    def many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each row of named values."""
        if not rows:
            return
        text, order = self._for(connection.dialect)
        values = [
            tuple([row[name] if convert is None else convert(row[name]) for name, convert in order]) for row in rows
        ]
        cursor = connection.connection.cursor()
        try:
            if len(values) == 1:
                cursor.execute(text, values[0])
            else:
                cursor.executemany(text, values)
        finally:
            cursor.close()

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[Any]:
        """The rows of a query, as tuples of what the driver gives."""
        text, order = self._for(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, tuple([v if c is None else c(v) for v, c in ((values[n], c) for n, c in order)]))
            return list(cursor.fetchall())
        finally:
            cursor.close()


class Merging:
    """An ``INSERT … ON CONFLICT`` of rows of numbers.

    SQLite is given row after row; PostgreSQL all of them in one statement, as one array a column, in its own text form,
    which was measured at 2.7 times the rows a second of the driver's way.

    Args:
        table: all of whose columns are numbers.
        key: the columns of its primary key.
        resolve: adds ``ON CONFLICT`` to an insert.
    """

    def __init__(self, table: sa.Table, key: tuple[str, ...], resolve: Callable[[Any], Any]) -> None:
        self._key = key
        self._names = [column.name for column in table.columns]
        self._single = Prepared(lambda insert: resolve(insert(table)))
        arrays = [
            sa.cast(sa.bindparam(column.name, type_=sa.Text()), postgresql.ARRAY(column.type))
            for column in table.columns
        ]
        source: Any = sa.func.unnest(*arrays).table_valued(*self._names).render_derived()
        self._all = Prepared(lambda insert: resolve(insert(table).from_select(self._names, sa.select(source))))

    def many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Merge the rows, in their order."""
        if connection.dialect.name == "sqlite" or len(rows) < _ARRAYS_FROM:
            self._single.many(connection, rows)
            return
        # one statement may touch a row once, so what comes again for the same key waits for the next
        rounds: list[list[Mapping[str, Any]]] = []
        seen: dict[tuple[Any, ...], int] = {}
        for row in rows:
            key = tuple([row[name] for name in self._key])
            at = seen[key] = seen.get(key, -1) + 1
            if at == len(rounds):
                rounds.append([])
            rounds[at].append(row)
        for part in rounds:
            columns = {
                name: ",".join(["NULL" if row[name] is None else repr(row[name]) for row in part])
                for name in self._names
            }
            self._all.many(connection, [{name: f"{{{text}}}" for name, text in columns.items()}])


def inserting(table: sa.Table) -> Prepared:
    """The plain INSERT of whole rows of a table."""
    return Prepared(lambda insert: insert(table))
