"""Statements of hot paths: compiled once per engine, and sent in the way that each engine takes quickest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
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
        _, order = self._for(connection.dialect)
        self.plain(
            connection,
            [tuple([row[name] if convert is None else convert(row[name]) for name, convert in order]) for row in rows],
        )

    def plain(self, connection: sa.Connection, values: Sequence[tuple[Any, ...]]) -> None:
        """Execute once for each row of values as the driver takes them, in the order of `names`."""
        cursor = connection.connection.cursor()
        text, _ = self._for(connection.dialect)
        try:
            if len(values) == 1:
                cursor.execute(text, values[0])
            else:
                cursor.executemany(text, values)
        finally:
            cursor.close()

    def names(self, connection: sa.Connection) -> list[str]:
        """The names of the parameters, in the order in which the driver takes them."""
        return [name for name, _ in self._for(connection.dialect)[1]]

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
        self._names = [column.name for column in table.columns]
        self._key = itemgetter(*[self._names.index(name) for name in key])
        self._single = Prepared(lambda insert: resolve(insert(table)))
        arrays = [
            sa.cast(sa.bindparam(column.name, type_=sa.Text()), postgresql.ARRAY(column.type))
            for column in table.columns
        ]
        source: Any = sa.func.unnest(*arrays).table_valued(*self._names).render_derived()
        self._all = Prepared(lambda insert: resolve(insert(table).from_select(self._names, sa.select(source))))

    def many(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Merge rows, each in the order of the table's columns, one after the other."""
        if not rows:
            return
        if connection.dialect.name == "sqlite" or len(rows) < _ARRAYS_FROM:
            assert self._single.names(connection) == self._names
            self._single.plain(connection, rows)
            return
        # one statement may touch a row once, so what comes again for the same key waits for the next
        rounds: list[list[tuple[Any, ...]]] = []
        seen: dict[Any, int] = {}
        for row in rows:
            key = self._key(row)
            at = seen[key] = seen.get(key, -1) + 1
            if at == len(rounds):
                rounds.append([])
            rounds[at].append(row)
        assert self._all.names(connection) == self._names
        for part in rounds:
            arrays = [
                ",".join(["NULL" if value is None else repr(value) for value in column])
                for column in zip(*part, strict=True)
            ]
            self._all.plain(connection, [tuple([f"{{{array}}}" for array in arrays])])


def inserting(table: sa.Table) -> Prepared:
    """The plain INSERT of whole rows of a table."""
    return Prepared(lambda insert: insert(table))
