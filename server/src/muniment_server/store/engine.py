"""Opening a store, and every difference between SQLite and PostgreSQL that is not a column type.

A `Store` hands out read connections, each a snapshot that does not move, and write connections, each one transaction.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from muniment.model.errors import InvalidInput, StoreFull, Unavailable

Durability = Literal["process", "full"]
"""What an acknowledged write survives: the death of the process, or the loss of power too."""

READERS = 16
"""Connections for reading."""
PROJECT_WRITERS = 4
"""Transactions that PostgreSQL writes at once, each for another project; SQLite writes one."""
READ_SECONDS = 60.0
"""How long one question may take."""
_STEPS = 200_000
"""Steps of SQLite's machine between two looks at the clock."""
_ARRAYS_FROM = 8
"""Rows from which arrays are quicker than rows."""
_PAGES_AT_ONCE = 2_000
BUSY_SECONDS = 30
"""How long one process waits for another that writes the same SQLite file."""


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


class Store:
    """One opened database.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://…``.
        durability: ``process`` or ``full``, see `Durability`.
    """

    def __init__(self, url: str, *, durability: Durability = "process") -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.durability = durability
        self._reading = self._engine(READERS, reading=True)
        self._writing = self._engine(1 if self.is_sqlite else PROJECT_WRITERS + 2, reading=False)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.url.get_backend_name()

    @property
    def path(self) -> Path | None:
        """The database file, if there is one."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @cached_property
    def name(self) -> str:
        """The store's URL without its password."""
        plain = self.url.set(drivername=self.dialect)
        return plain.render_as_string(hide_password=True)

    @contextmanager
    def read(self, seconds: float = READ_SECONDS) -> Iterator[sa.Connection]:
        """A snapshot: whatever is read through it is of one moment.

        Raises:
            Unavailable: the store cannot be read, or a question took longer than `seconds`.
        """
        with translated(self.name), self._reading.connect() as connection, connection.begin():
            if self.is_sqlite:
                deadline = time.monotonic() + seconds
                raw = connection.connection.driver_connection
                raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)  # type: ignore[union-attr]
            else:
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction, committed if the block ends well. On SQLite it holds the write lock from the start."""
        with translated(self.name), self._writing.connect() as connection, connection.begin():
            yield connection

    def reclaim(self) -> None:
        """Give free pages of a SQLite file back to the disk, some at a time; PostgreSQL does it by itself."""
        if self.is_sqlite:
            with self.write() as connection:
                cursor = connection.connection.cursor()
                cursor.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
                cursor.fetchall()  # a page is freed with every row that is fetched
                cursor.close()

    def close(self) -> None:
        """Give every connection back."""
        self._reading.dispose()
        self._writing.dispose()

    def _engine(self, size: int, *, reading: bool) -> sa.Engine:
        engine = sa.create_engine(
            self.url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=60,
            poolclass=sa.pool.QueuePool,
            pool_pre_ping=not self.is_sqlite,
            paramstyle="qmark" if self.is_sqlite else "format",
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS} if self.is_sqlite else {},
        )
        if self.is_sqlite:
            _prepare_sqlite(engine, self.durability, reading=reading)
        else:
            _prepare_postgresql(engine, reading=reading)
        return engine


def parse_url(url: str) -> sa.URL:
    """The store that `url` names, with this project's driver.

    Raises:
        InvalidInput: it is no store URL.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        parsed = None
    backend = parsed.get_backend_name() if parsed is not None else ""
    if parsed is None or backend not in {"sqlite", "postgresql"}:
        raise InvalidInput(f"a store is sqlite:///PATH or postgresql://USER@HOST/DATABASE, not {url[:120]!r}")
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise InvalidInput("a store needs a file: sqlite:///PATH")
        return parsed.set(drivername="sqlite+pysqlite", database=os.path.abspath(parsed.database))  # noqa: PTH100 - the file may not exist yet
    return parsed.set(drivername="postgresql+psycopg")


def _prepare_sqlite(engine: sa.Engine, durability: Durability, *, reading: bool) -> None:
    # a reader sets nothing that could make SQLite write: the disk may be full
    reading_pragmas = ("foreign_keys = ON", "cache_size = -8192", "temp_store = MEMORY")
    writing_pragmas = (
        "auto_vacuum = INCREMENTAL",
        "journal_mode = WAL",
        f"synchronous = {'FULL' if durability == 'full' else 'NORMAL'}",
        "foreign_keys = ON",
        "cache_size = -65536",
        "temp_store = MEMORY",
        "journal_size_limit = 67108864",
    )

    @sa.event.listens_for(engine, "connect")
    def configure(raw: sqlite3.Connection, record: object) -> None:
        del record
        raw.isolation_level = None  # the driver begins nothing by itself
        for pragma in reading_pragmas if reading else writing_pragmas:
            raw.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _prepare_postgresql(engine: sa.Engine, *, reading: bool) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(raw: Any, record: object) -> None:
        del record
        if reading:
            raw.isolation_level = _repeatable_read()
            raw.read_only = True
        raw.execute("SET timezone = 'UTC'")
        raw.execute("SET idle_in_transaction_session_timeout = '60s'")
        raw.commit()


def _repeatable_read() -> Any:
    from psycopg import IsolationLevel  # noqa: PLC0415 - only where PostgreSQL is used

    return IsolationLevel.REPEATABLE_READ


@contextmanager
def translated(store: str) -> Iterator[None]:
    """Turn what an engine says of a full disk or a lost server into Muniment's own words."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise Unavailable(f"{store} is busy: no connection came free within a minute; try again") from error
    except Exception as error:
        original = _original(error)
        if not _is_a(original, "OperationalError"):
            raise
        text = str(original)
        if _is_full(original, text):
            raise StoreFull(
                f"the disk of {store} is full: nothing was written; free some space and try again"
            ) from error
        if text == "interrupted" or getattr(original, "sqlstate", None) == "57014":
            raise Unavailable("this question takes too long: ask for less at once, or narrow the condition") from error
        if "database is locked" in text:
            raise Unavailable(f"{store} is being written by another process; try again") from error
        raise Unavailable(f"{store} cannot be used: {text.splitlines()[0]}") from error


def _original(error: BaseException) -> BaseException:
    """What the driver raised."""
    return error.orig or error if isinstance(error, sa.exc.DBAPIError) else error


def _is_a(error: BaseException, name: str) -> bool:
    """Whether an error is of a class that every driver has, without importing the drivers."""
    return any(cls.__name__ == name for cls in type(error).__mro__)


def is_integrity_error(error: BaseException) -> bool:
    """Whether the database refused a row: a key, a constraint or a trigger."""
    return _is_a(_original(error), "IntegrityError")


def is_operational_error(error: BaseException) -> bool:
    """Whether the engine failed, rather than what it was asked."""
    return _is_a(_original(error), "OperationalError")


def _is_full(original: BaseException | None, text: str) -> bool:
    if isinstance(original, sqlite3.OperationalError):
        code = getattr(original, "sqlite_errorname", "")
        return code in {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"} or (
            "disk is full" in text or f"Errno {errno.ENOSPC}" in text
        )
    return getattr(original, "sqlstate", None) in {"53100", "53200"}


class matches(sa.sql.functions.GenericFunction[bool]):  # noqa: N801 - reads as a function in SQL
    r"""``matches(text, pattern)``: SQL's LIKE with ``\`` as escape, case-sensitive on every engine."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(matches, "postgresql")
def _matches_postgresql(element: matches, compiler: SQLCompiler, **options: Any) -> str:
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({text} LIKE {pattern} ESCAPE '\\')"


@compiles(matches, "sqlite")
def _matches_sqlite(element: matches, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite's LIKE folds ASCII case; its GLOB does not, and `pattern_for` has translated the pattern
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({text} GLOB {pattern})"


def pattern_for(dialect: str, pattern: str) -> str:
    r"""A LIKE pattern (``%``, ``_``, ``\`` escapes) as `matches` wants it on an engine."""
    if dialect != "sqlite":
        return pattern + "\\" if _dangling(pattern) else pattern
    made: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            made.append(_glob_literal(next(letters, "\\")))
        elif letter == "%":
            made.append("*")
        elif letter == "_":
            made.append("?")
        else:
            made.append(_glob_literal(letter))
    return "".join(made)


def _dangling(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def _glob_literal(letter: str) -> str:
    return f"[{letter}]" if letter in "*?[" else letter


class OrderedJoin(sa.sql.expression.Join):
    """A join whose left side is read first. SQLite needs to be told; PostgreSQL knows its tables."""

    inherit_cache = True


@compiles(OrderedJoin, "postgresql")
def _join_postgresql(element: OrderedJoin, compiler: SQLCompiler, **options: Any) -> str:
    return str(cast("Any", compiler).visit_join(element, **options))


@compiles(OrderedJoin, "sqlite")
def _join_sqlite(element: OrderedJoin, compiler: SQLCompiler, **options: Any) -> str:
    inside = {**options, "asfrom": True}
    left, right = (compiler.process(side, **inside) for side in (element.left, element.right))
    assert element.onclause is not None
    return f"{left} CROSS JOIN {right} ON {compiler.process(element.onclause, **options)}"


class IndexedAlias(sa.sql.expression.Alias):
    """A table read through one of its indexes. SQLite needs to be told, since it prefers a table's own key."""

    inherit_cache = False
    index = ""


def through(table: sa.Table, index: str) -> Any:
    """`table`, read through `index`."""
    made: Any = IndexedAlias._construct(table, name=f"by_{index}")  # noqa: SLF001 - SQLAlchemy has no other way
    made.index = index
    return made


@compiles(IndexedAlias, "postgresql")
def _alias_postgresql(element: IndexedAlias, compiler: SQLCompiler, **options: Any) -> str:
    return str(cast("Any", compiler).visit_alias(element, **options))


@compiles(IndexedAlias, "sqlite")
def _alias_sqlite(element: IndexedAlias, compiler: SQLCompiler, **options: Any) -> str:
    text = cast("Any", compiler).visit_alias(element, **options)
    return f"{text} INDEXED BY {element.index}" if options.get("asfrom") else str(text)


class folded_ascii(sa.sql.functions.GenericFunction[str]):  # noqa: N801 - reads as a function in SQL
    """``folded_ascii(text)``: A–Z as a–z and nothing else, on every engine."""

    type = sa.Text()
    inherit_cache = True


@compiles(folded_ascii, "postgresql")
def _folded_postgresql(element: folded_ascii, compiler: SQLCompiler, **options: Any) -> str:
    return f'lower({compiler.process(next(iter(element.clauses)), **options)} COLLATE "C")'


@compiles(folded_ascii, "sqlite")
def _folded_sqlite(element: folded_ascii, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(next(iter(element.clauses)), **options)})"


def shipped(connection: sa.Connection, name: str, runs: list[int], values: list[float | None]) -> Any:
    """A table (run, value) of this transaction's own, to join with; doubles arrive bit by bit."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {name} (run INTEGER PRIMARY KEY, value REAL)")
        connection.exec_driver_sql(f"DELETE FROM temp.{name}")  # noqa: S608 - our own name
        if runs:
            pairs = list(zip(runs, values, strict=True))
            connection.exec_driver_sql(f"INSERT INTO temp.{name} VALUES (?, ?)", pairs)  # noqa: S608 - our own name
        return sa.table(name, sa.column("run", sa.BigInteger()), sa.column("value", sa.Double()))
    arrays = sa.func.unnest(
        sa.cast(sa.literal(runs, postgresql.ARRAY(sa.BigInteger())), postgresql.ARRAY(sa.BigInteger())),
        sa.cast(sa.literal(values, postgresql.ARRAY(sa.Double())), postgresql.ARRAY(sa.Double())),
    )
    columns: Any = sa.column("run", sa.BigInteger()), sa.column("value", sa.Double())
    return arrays.table_valued(*columns, name=name).render_derived()
