"""A fresh schema, a migrated one and the committed dump are the same, on each engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import Postgres
from house.schema_dump import dump

from muniment.model.errors import SchemaMismatch
from muniment_server.services.workspace import Workspace
from muniment_server.store import guards, migrations
from muniment_server.store.engine import Store

DUMPS = Path(__file__).resolve().parents[3] / "docs" / "reference" / "schema"


@pytest.fixture
def empty_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if engine_name == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create_empty()
    yield url
    server.drop(url)


def test_fresh_migrated_and_committed_schema_are_equal(empty_url: str, store_url: str, engine_name: str) -> None:
    fresh, migrated = Store(empty_url), Store(store_url)
    try:
        with fresh.write() as connection:
            guards.create_all(connection)
        with fresh.read() as connection:
            of_tables = dump(connection)
        migrations.prepare(migrated, migrate=True)
        with migrated.read() as connection:
            of_migrations = dump(connection)
    finally:
        fresh.close()
        migrated.close()
    committed = DUMPS / f"{engine_name}.txt"
    if os.environ.get("MUNIMENT_UPDATE"):
        committed.write_text(of_migrations)
    assert of_tables == of_migrations
    assert of_migrations == committed.read_text(), "run the tests with MUNIMENT_UPDATE=1 if the change is meant"


def test_a_newer_schema_is_refused_with_one_line(store_url: str, trust_folder: Path) -> None:
    Workspace(store_url, trust=trust_folder).close()
    store = Store(store_url)
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(SchemaMismatch, match="newer Muniment") as caught:
        Workspace(store_url, trust=trust_folder)
    assert "\n" not in str(caught.value)


def test_an_older_schema_is_refused_until_it_is_migrated(
    store_url: str, trust_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace(store_url, trust=trust_folder).close()
    later = (*migrations.known(), "9998")
    monkeypatch.setattr(migrations, "known", lambda: later)
    with pytest.raises(SchemaMismatch, match="muniment migrate --store"):
        Workspace(store_url, trust=trust_folder)


def test_history_refuses_to_be_rewritten_by_the_database_itself(workspace: Workspace) -> None:
    attacks = (
        "UPDATE ledger SET action = 'nothing'",
        "DELETE FROM ledger",
        "UPDATE revisions SET body = '{}'",
        "DELETE FROM revisions",
    )
    for attack in attacks:
        with pytest.raises(sa.exc.IntegrityError), workspace.store.write() as connection:
            connection.execute(sa.text(attack))
