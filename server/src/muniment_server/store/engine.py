"""Opening a store: how SQLite and PostgreSQL are connected to, and what their errors mean.

A `Store` hands out read connections, each a snapshot that does not move, and write connections, each one transaction.
"""

from __future__ import annotations

import errno
import os
import re
import select
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

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
_PAGES_AT_ONCE = 2_000
BUSY_SECONDS = 30
"""How long one process waits for another that writes the same SQLite file."""


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
            elif seconds != READ_SECONDS:  # which every connection starts with
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction, committed if the block ends well. On SQLite it holds the write lock from the start."""
        with translated(self.name), self._writing.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def at_once(self, connection: sa.Connection) -> Iterator[None]:
        """Commit after the block, which only writes; PostgreSQL is sent all of it in one go and asked only at the end.

        An error of any statement of the block is raised by then.
        """
        transaction = connection.get_transaction()
        assert transaction is not None
        if self.is_sqlite:
            yield
        else:
            raw: Any = connection.connection.driver_connection
            with raw.pipeline():
                yield
                # its own commit() would wait for the answer before all of a large group is sent, and so for ever
                raw.execute("COMMIT", prepare=False)
        try:
            transaction.commit()  # on PostgreSQL it sends nothing: the driver sees that it is done
        except BaseException:
            transaction.rollback()
            raise

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
            paramstyle="qmark" if self.is_sqlite else "format",
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS} if self.is_sqlite else {},
        )
        if self.is_sqlite:
            _prepare_sqlite(engine, self.durability, reading=reading)
        else:
            _prepare_postgresql(engine, reading=reading)
        return engine


def masked(text: str) -> str:
    """A text without what stands before the @ of a URL, which may be a password."""
    return re.sub(r"(?<=://)[^\s'\"]*@", "***@", text)


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
        raise InvalidInput(f"a store is sqlite:///PATH or postgresql://USER@HOST/DATABASE, not {masked(url)[:120]!r}")
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
        raw: Any = connection.connection.driver_connection  # which is quicker than by way of SQLAlchemy
        raw.execute("BEGIN" if reading else "BEGIN IMMEDIATE")


def _prepare_postgresql(engine: sa.Engine, *, reading: bool) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(raw: Any, record: object) -> None:
        del record
        if reading:
            raw.isolation_level = _repeatable_read()
            raw.read_only = True
            raw.execute(f"SET statement_timeout = {int(READ_SECONDS * 1000)}")
        raw.execute("SET timezone = 'UTC'")
        raw.execute("SET idle_in_transaction_session_timeout = '60s'")
        raw.commit()

    @sa.event.listens_for(engine, "checkout")
    def look(raw: Any, record: object, proxy: object) -> None:
        # a server that went away has left something to read on an idle connection: seen without asking it
        del record, proxy
        if raw.closed or select.select([raw], [], [], 0)[0]:
            raise sa.exc.DisconnectionError


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
    return getattr(original, "sqlstate", None) == "53100"
