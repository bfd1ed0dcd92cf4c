"""A whole store in its engine's own form: what `services.backup` writes to files and `services.restore` reads back.

SQLite is copied page by page through its own backup interface. PostgreSQL tells each table in its binary form of COPY,
all of them out of one snapshot, so nothing of PostgreSQL needs to be installed where a backup is made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.errors import InvalidInput, StoreFull, Unavailable
from muniment_server.store import migrations
from muniment_server.store.engine import is_integrity_error

_PAGES = 4_000
"""Pages of a SQLite file that are copied between two reports."""
_ROWS = 5_000
_NO_ROOM = frozenset(("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE"))
_REST = ("-wal", "-shm", "-journal")
"""What SQLite may keep beside a file."""


class Spoken(msgspec.Struct, frozen=True):
    """Bytes that a record speaks for: where they lie, and what they are."""

    location: str
    digest: str
    size: int


def begin(connection: sa.Connection) -> str | None:
    """Let the snapshot begin: SQLite's is of the moment of the first read. The revision of the schema."""
    return migrations.revision(connection)


def engine_version(connection: sa.Connection) -> str:
    """The release of the engine, such as ``3.45.1``."""
    return ".".join(map(str, connection.dialect.server_version_info or ()))


def store_id(connection: sa.Connection) -> str:
    """The id of the store, whatever release has written it."""
    return str(connection.execute(sa.text("SELECT value FROM meta WHERE key = 'store'")).scalar_one())


def entries(connection: sa.Connection) -> int:
    """The entries of all projects, whatever release has written them."""
    return int(connection.execute(sa.text("SELECT coalesce(sum(position), 0) FROM heads")).scalar_one())


def spoken_for(connection: sa.Connection) -> Iterator[Spoken]:
    """The bytes of all active artifacts, whatever release has written them, in order of project and number."""
    if not sa.inspect(connection).has_table("artifacts"):
        return  # the schema is older than artifacts
    query = sa.text(
        "SELECT location, digest, size FROM artifacts WHERE valid_to IS NULL AND lifecycle = 'active' "
        "ORDER BY project_id, no"
    )
    for part in connection.execute(query, execution_options={"yield_per": _ROWS}).partitions():
        for row in part:
            yield Spoken(*row)


def copy_file(connection: sa.Connection, target: Path, report: Callable[[int, int], None]) -> None:
    """Copy a SQLite file as this connection's snapshot sees it; who writes meanwhile is not held up.

    Args:
        connection: a snapshot that has begun.
        target: the file to make.
        report: hears how many pages of how many are copied.

    Raises:
        StoreFull: there is no room for the copy.
    """
    source: Any = connection.connection.driver_connection
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # whoever asked for it flushes the whole folder at the end
        copy.execute("PRAGMA journal_mode = OFF")
        try:
            source.backup(copy, pages=_PAGES, progress=lambda _, left, total: report(total - left, total))
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") in _NO_ROOM or "full" in str(error):
                raise StoreFull(f"there is no room for {target.parent}: free some, then try again") from error
            raise
        except sqlite3.DatabaseError as error:
            raise Unavailable(f"the file of the store cannot be copied: {error}; run muniment verify") from error


def columns(connection: sa.Connection, revision: str) -> dict[str, list[str]]:
    """The tables of a PostgreSQL store and their columns, those that others point to first."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    names = [name for name in migrations.created("postgresql", revision) if name in there]
    return {name: [column["name"] for column in inspector.get_columns(name)] for name in names}


def _copy(connection: sa.Connection, name: str, names: list[str], way: str) -> Any:
    quoted = connection.dialect.identifier_preparer.quote
    raw: Any = connection.connection.driver_connection
    listed = ", ".join(map(quoted, names))
    text = f"({listed})" if way == "FROM STDIN" else ""
    # a parent of partitions has no rows of its own to copy, but a query over it has
    source = f"(SELECT {listed} FROM {quoted(name)})" if way == "TO STDOUT" else quoted(name)  # noqa: S608 - our own
    return raw.cursor().copy(f"COPY {source} {text} {way} (FORMAT binary)")


def copy_out(connection: sa.Connection, name: str, names: list[str]) -> Generator[bytes, None, None]:
    """A table in PostgreSQL's binary form, in pieces. Close it if you stop before its end."""
    with _copy(connection, name, names, "TO STDOUT") as copy:
        for piece in copy:
            yield bytes(piece)


def copy_in(connection: sa.Connection, name: str, names: list[str], pieces: Iterable[bytes]) -> None:
    """Fill a table with what `copy_out` has told.

    Raises:
        InvalidInput: it is something else.
    """
    there = {column["name"] for column in sa.inspect(connection).get_columns(name)}
    if not set(names) <= there:
        raise InvalidInput(f"table {name} has no columns {', '.join(sorted(set(names) - there))[:200]}")
    try:
        with _copy(connection, name, names, "FROM STDIN") as copy:
            for piece in pieces:
                copy.write(piece)
    except Exception as error:
        if is_integrity_error(error) or any(cls.__name__ == "DataError" for cls in type(error).__mro__):
            raise InvalidInput(f"table {name} is no table of a store: {str(error).splitlines()[0][:300]}") from error
        raise


def is_empty(connection: sa.Connection) -> bool:
    """Whether a database has none of the tables of a store."""
    made = {*migrations.created(connection.dialect.name, migrations.head()), "alembic_version"}
    return not made & set(sa.inspect(connection).get_table_names())


def begin_restore(connection: sa.Connection) -> bool:
    """Let a PostgreSQL transaction take its time, and keep servers from making a store meanwhile; whether it may go on.

    False: there is a store already.
    """
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    return migrations.alone(connection) is None and is_empty(connection)


def take_stock(connection: sa.Connection, names: Iterable[str]) -> None:
    """Let PostgreSQL's planner know what has just been put in, which it would not notice before the commit."""
    for name in names:
        connection.exec_driver_sql(f"ANALYZE {connection.dialect.identifier_preparer.quote(name)}")


def beside(path: Path) -> list[Path]:
    """What SQLite may keep beside a file, and would take for a part of it."""
    return [path.with_name(path.name + end) for end in _REST]


def close_file(path: Path) -> None:
    """Bring everything into a SQLite file that nobody has open, so that it is whole by itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
