"""A store of an earlier schema is brought up to date: nothing is lost, and what the newer schema derives is there.

`written_at_0002.sql` is what the release with schema 0002 wrote, row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from api.conftest import BASE, Door
from conftest import ENGINES, Postgres

from muniment.model.errors import SchemaMismatch
from muniment_server.commands.embed import EmbeddedTransport
from muniment_server.services.workspace import Workspace
from muniment_server.store import migrations
from muniment_server.store.engine import Store

WRITTEN = Path(__file__).with_name("written_at_0002.sql")
COLUMNS = "postgres%3A%2F%2Fshop/customers@2026-01"


def statements(dialect: str) -> list[str]:
    """The statements in an engine's own spelling of ids and bytes."""
    as_id, as_bytes = (r"X'\1'", r"X'\1'") if dialect == "sqlite" else (r"'\1'::uuid", r"'\\x\1'::bytea")
    text = re.sub(r"@id\(([0-9a-f]*)\)", as_id, WRITTEN.read_text("utf-8"))
    return re.sub(r"@bytes\(([0-9a-f]*)\)", as_bytes, text).splitlines()


def rows(store: Store) -> dict[str, list[str]]:
    """Every row of the tables that were written, by table, without columns that came later."""
    found: dict[str, list[str]] = {}
    with store.read() as connection:
        for statement in statements("sqlite"):
            table, columns = re.match(r"INSERT INTO (\w+) \(([^)]*)\)", statement).groups()  # type: ignore[union-attr]
            if table not in found:
                found[table] = sorted(map(repr, connection.execute(sa.text(f"SELECT {columns} FROM {table}")).all()))
    return found


@pytest.fixture
def empty_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if engine_name == "sqlite":
        yield f"sqlite:///{tmp_path / 'old.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create_empty()
    yield url
    server.drop(url)


@pytest.fixture
def old_url(empty_url: str, engine_name: str) -> str:
    """The URL of a store as the release with schema 0002 left it."""
    write(empty_url, engine_name)
    return empty_url


def write(url: str, dialect: str) -> None:
    """Write what the release with schema 0002 left."""
    store = Store(url)
    _upgrade(store, "0002")
    with store.write() as connection:
        for statement in statements(dialect):
            connection.exec_driver_sql(statement)
    store.close()


@pytest.fixture
def before(old_url: str) -> dict[str, list[str]]:
    """What the store held before it was migrated."""
    store = Store(old_url)
    held = rows(store)
    with pytest.raises(SchemaMismatch, match="muniment migrate --store"):
        migrations.prepare(store, migrate=False)
    migrations.prepare(store, migrate=True)
    with store.read() as connection:
        assert migrations.revision(connection) == migrations.head()
    store.close()
    return held


@pytest.fixture
def migrated(
    old_url: str, before: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    assert before
    monkeypatch.setenv("MUNIMENT_HOME", str(tmp_path / "home"))
    transport = EmbeddedTransport(old_url)
    yield Door(transport)
    transport.close()


@pytest.fixture(scope="module", params=ENGINES)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A store that was migrated once, for the tests that only ask."""
    folder = tmp_path_factory.mktemp("old")
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = server.create_empty() if server is not None else f"sqlite:///{folder / 'old.db'}"
    write(url, request.param)
    store = Store(url)
    migrations.prepare(store, migrate=True)
    store.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUNIMENT_HOME", str(folder / "home"))
        transport = EmbeddedTransport(url)
        yield Door(transport)
        transport.close()
    if server is not None:
        server.drop(url)


def found(door: Door, kind: str, where: str, project: str = "default", **more: Any) -> list[Any]:
    status, page = door("POST", f"/v1/projects/{project}/search", {"kind": kind, "where": where, **more})
    assert status == 200, page
    return list(page[f"{kind}s"])


def verified(door: Door) -> None:
    for project in ("default", "other", "_"):
        status, outcome = door("POST", f"/v1/projects/{project}/verify")
        assert (status, outcome["ok"]) == (200, True), outcome["findings"]


def test_every_row_is_kept(old_url: str, before: dict[str, list[str]]) -> None:
    store = Store(old_url)
    after = rows(store)
    store.close()
    assert {"runs", "evaluations", "links", "revisions", "ledger", "points"} <= before.keys()
    keys = before.pop("keys"), after.pop("keys")
    assert set(keys[0]) < set(keys[1]), "the names of scores are keys now"
    counters = before.pop("heads"), after.pop("heads")
    assert [row.rpartition(",")[0] for row in counters[0]] == [row.rpartition(",")[0] for row in counters[1]]
    assert after == before


def test_migrating_again_changes_nothing(old_url: str, before: dict[str, list[str]], trust_folder: Path) -> None:
    assert before
    store = Store(old_url)
    once = rows(store)
    migrations.prepare(store, migrate=True)
    assert migrations.upgrade(store) == (migrations.head(), migrations.head())
    assert rows(store) == once
    store.close()
    Workspace(old_url, trust=trust_folder).close()


def test_the_history_still_bears_out_every_record(asked: Door) -> None:
    verified(asked)
    run = found(asked, "run", "name = 'baseline'")[0]["run"]
    assert run["job"] is None
    status, past = asked("GET", f"{BASE}/runs/{run['id']}?as_of=5")
    assert (status, past["run"]["description"], past["params"]) == (200, "first draft", {"auc": "goal", "depth": "3"})
    now = asked("GET", f"{BASE}/runs/{run['id']}")[1]
    assert (now["metrics"]["loss"]["last"], now["tags"]) == (0.25, {"team": "risk"})
    steps = asked("GET", f"{BASE}/records/{run['id']}/changes")[1]["steps"]
    fields = {change["field"]: (change["before"], change["after"]) for change in steps[1]["changes"]}
    assert fields["description"] == ("first draft", "Größe matters: gradient boosting")
    assert "job" not in {change["field"] for step in steps for change in step["changes"]}
    assert asked("GET", f"{BASE}/models/risk/versions/champion")[1]["version"] == 1


@pytest.mark.parametrize(
    ("kind", "words", "count"),
    [
        ("run", "GROSSE grad*", 1),
        ("run", "zoe", 1),
        ("run", "draft", 0),
        ("run", "secret", 0),
        ("experiment", "leaves churn", 1),
        ("experiment", "another hill", 0),
        ("job", "airflow nightly", 1),
        ("dataset", "postgres shop buys", 1),
        ("dataset_version", "CC-BY", 1),
        ("dataset_version", "age spend", 1),
        ("dataset_version", "birth seniors", 1),
        ("model", "default", 1),
        ("model_version", "s3 review", 1),
        ("evaluation", "seniors", 1),
    ],
)
def test_what_was_there_is_found_by_its_words(asked: Door, kind: str, words: str, count: int) -> None:
    assert len(found(asked, kind, f"text MATCH '{words}'")) == count


def test_projects_stay_apart(asked: Door) -> None:
    assert [item["name"] for item in found(asked, "experiment", "text MATCH 'hill'", "other")] == ["elsewhere"]
    assert found(asked, "experiment", "text MATCH 'churn'", "other") == []


def test_what_was_judged_is_found_by_its_scores(asked: Door) -> None:
    assert len(found(asked, "evaluation", "evaluation.auc = 0.9 AND metrics.f1 = 0.5")) == 1
    assert len(found(asked, "evaluation", "evaluation.loss > 1e299 AND evaluation.f1 = 3")) == 1
    assert [item["version"] for item in found(asked, "model_version", "evaluation.auc > 0.89")] == [1]
    assert found(asked, "model_version", "evaluation.auc > 0.91") == []
    ordered = found(asked, "evaluation", "", order_by=["metrics.f1"])
    assert [item["metrics"]["f1"] for item in ordered] == [0.5, 3]
    since = found(asked, "evaluation", "evaluation.auc = 0.9")[0]["position"]
    assert len(found(asked, "evaluation", "evaluation.auc = 0.9", as_of=since)) == 1
    assert found(asked, "evaluation", "evaluation.auc = 0.9", as_of=since - 1) == []


def test_new_writes_are_taken(migrated: Door) -> None:
    run = migrated.made("runs", {"experiment": "churn", "job": "airflow/train", "params": {"depth": 4, "new": 1}})
    assert len(found(migrated, "run", "job.name = 'train' AND params.depth = '4'")) == 1
    evaluation = {"model_version": "risk@1", "dataset_version": COLUMNS, "metrics": {"auc": 0.95, "fresh": 1}}
    migrated.made("evaluations", evaluation)
    assert len(found(migrated, "evaluation", "evaluation.auc >= 0.9")) == 2
    migrated.made("notes", {"subject": "model:risk", "text": "champion since the migration"})
    assert len(found(migrated, "note", "text MATCH 'champion'")) == 1
    assert migrated("PUT", f"{BASE}/records/model:risk/facets/owner", {"value": {"team": "risk"}})[0] == 200
    assert migrated("PATCH", f"{BASE}/models/risk", {"description": "arrears"})[0] == 200
    assert found(migrated, "model", "text MATCH 'default'") == []
    assert len(found(migrated, "model", "text MATCH 'arrears'")) == 1
    assert migrated("POST", f"{BASE}/runs/{run['id']}/erase", {"reason": "asked for"})[0] == 200
    verified(migrated)


def test_a_store_of_0003_is_told_of_the_newest_runs(old_url: str, store_url: str) -> None:
    """Every row stays, the index is there, and SQLite's planner knows of it what it knows in a fresh store."""
    store, fresh = Store(old_url), Store(store_url)
    _upgrade(store, "0003")
    held = rows(store)
    with store.read() as connection:
        assert "runs_by_experiment_start" not in {index["name"] for index in sa.inspect(connection).get_indexes("runs")}
    assert migrations.upgrade(store) == ("0003", migrations.head())
    assert rows(store) == held
    known = []
    for one in (store, fresh):
        with one.read() as connection:
            indexes = {
                str(index["name"]): index["column_names"] for index in sa.inspect(connection).get_indexes("runs")
            }
            told = "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx" if store.is_sqlite else "SELECT 1"
            known.append((indexes, connection.exec_driver_sql(told).all()))
    assert known[0] == known[1]
    assert known[0][0]["runs_by_experiment_start"] == ["project_id", "experiment", "started_at", "no"]
    store.close()
    fresh.close()


def _upgrade(store: Store, revision: str) -> None:
    from alembic import command

    with store.write() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
