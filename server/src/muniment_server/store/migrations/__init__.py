"""One tree of migrations for both engines, forward only.

A schema grows (expand) in one release and sheds what nobody reads any more (contract) in a later one, so that servers
of two neighbouring releases work on one database during a rolling upgrade.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from muniment.model.errors import SchemaMismatch
from muniment.model.ids import new_id
from muniment_server.store import heads
from muniment_server.store.engine import Store
from muniment_server.store.tables import SYSTEM_PROJECT, meta
from muniment_server.store.types import from_micros

_LOCK = 7_236_843_178
"""The advisory lock under which PostgreSQL schemas are changed: any fixed number will do."""
_CREATE = re.compile(r"^CREATE (?:VIRTUAL )?TABLE (\w+)(?: \(| USING)", re.MULTILINE)


def prepare(store: Store, *, migrate: bool) -> None:
    """Make sure that the store has the schema of this program; an empty database is given it.

    Raises:
        SchemaMismatch: the schema is newer, or older and `migrate` is false.
    """
    with store.read() as connection:
        found = revision(connection)
    if found == head():
        return
    if found is not None and found not in known():
        raise SchemaMismatch(
            f"{store.name} has schema {found}, which this release (schema {head()}) does not know: "
            "it was written by a newer Muniment; upgrade this one"
        )
    if found is not None and not migrate:
        raise SchemaMismatch(
            f"{store.name} has schema {found} and this release needs {head()}: back it up, then run "
            f"muniment migrate --store {store.name}"
        )
    upgrade(store)


def upgrade(store: Store) -> tuple[str | None, str]:
    """Bring the schema up to date; (before, after)."""
    with store.write() as connection:
        before = alone(connection)
        if before != head():  # another process may have done it meanwhile
            bring(connection, head())
        if before is None:
            _begin(connection)
    return before, head()


def alone(connection: Connection) -> str | None:
    """Keep others from changing the schema until this transaction ends; the revision that it has."""
    if connection.dialect.name != "sqlite":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    return revision(connection)


def bring(connection: Connection, to: str) -> None:
    """Change the schema to a later revision; tables that this makes are empty."""
    from alembic import command  # noqa: PLC0415 - a fifth of a second that a start without migrations saves

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def created(dialect: str, until: str) -> list[str]:
    """The tables that the migrations up to a revision make, those that others point to first; no partitions."""
    made: list[str] = []
    for file in sorted(resources.files(__package__).joinpath("versions").iterdir(), key=lambda file: file.name):
        if file.name.endswith(f".{dialect}.sql") and file.name.partition("_")[0] <= until:
            made += _CREATE.findall(file.read_text("utf-8"))
    return made


def _begin(connection: Connection) -> None:
    """The identity of a new store, and the empty history of the system project."""
    connection.execute(sa.insert(meta), {"key": "store", "value": new_id()})
    heads.create(connection, SYSTEM_PROJECT, from_micros(0))


def revision(connection: Connection) -> str | None:
    """The revision of the schema in this database; None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


@lru_cache(maxsize=1)
def known() -> tuple[str, ...]:
    """Every revision that this release knows, oldest first."""
    names = (file.name for file in resources.files(__package__).joinpath("versions").iterdir())
    return tuple(sorted(name.partition("_")[0] for name in names if name.endswith(".py") and name[0].isdigit()))


def head() -> str:
    """The revision that this release needs."""
    return known()[-1]


def _config() -> "Config":  # type: ignore[name-defined]  # noqa: F821, UP037
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(str(resources.files(__package__)))))
    return config


def run_script(connection: Connection, name: str) -> None:
    """Execute the statements of ``versions/NAME.DIALECT.sql``, which are separated by lines ``--;``."""
    file = resources.files(__package__).joinpath("versions", f"{name}.{connection.dialect.name}.sql")
    for statement in file.read_text("utf-8").split("\n--;\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
