"""MLflow's history as it is here, beside what MLflow's own client tells of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from conftest import Postgres, copied

from connectors import contents
from connectors.conftest import with_mlflow
from muniment.model import mlflow
from muniment.model.errors import Conflict, InvalidInput
from muniment.model.search import Query
from muniment_server.annexes.connectors.mlflow import importing
from muniment_server.annexes.connectors.mlflow.database import TABLES, Database
from muniment_server.annexes.connectors.mlflow.importing import Imported
from muniment_server.annexes.connectors.mlflow.server import Server
from muniment_server.annexes.connectors.mlflow.shapes import Source
from muniment_server.services import runs, search
from muniment_server.services.intake import Intake
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace


def silent(what: str, done: int, total: int | None) -> None:
    assert what
    assert total is None or done <= total


def brought(workspace: Workspace, source: Source, *, again: bool = False) -> Imported:
    try:
        return importing.bring(workspace, workspace.owner_scope, DEFAULT_PROJECT, source, silent, again=again)
    finally:
        source.close()


def of(path: Path) -> Database:
    return Database(f"sqlite:///{path}")


def position(workspace: Workspace) -> int:
    return search.search(workspace, workspace.owner_scope, DEFAULT_PROJECT, Query(limit=0)).position


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_runs_are_what_mlflow_tells(workspace: Workspace, database: Path, recorded_told: dict[str, Any]) -> None:
    done = brought(workspace, of(database))
    assert (done.refused, done.new) == ({}, done.found)
    here = contents.of(workspace)
    assert here["run"].keys() == recorded_told["runs"].keys()
    for run, there in recorded_told["runs"].items():
        mine = here["run"][run]
        record, facet = mine["record"], mine["facets"]["facets"][mlflow.FACET]["value"]
        assert mine["params"] == there["params"]
        assert {**mine["tags"], mlflow.RUN_NAME: record["name"]} == there["tags"]
        assert {key: [list(point) for point in points] for key, points in mine["series"].items()} == {
            key: sorted(points, key=lambda p: (p[0], p[1], _ordinal(p[2]))) for key, points in there["metrics"].items()
        }
        name, user, status, started, ended, lifecycle = there["info"]
        assert (record["name"], record["user"] or "") == (name, user)
        assert (record["state"], record["lifecycle"]) == (mlflow.STATES[status], lifecycle)
        found = runs.get(workspace, workspace.owner_scope, DEFAULT_PROJECT, run).run
        assert facet.get("start_time", found.started_at and mlflow.milliseconds(found.started_at)) == started
        assert facet.get("end_time", found.ended_at and mlflow.milliseconds(found.ended_at)) == ended
        assert record["parent"] == there["tags"].get(mlflow.PARENT_RUN)
        assert record["experiment"] == there["experiment"]
    assert contents.count(workspace) == count(database, "metrics")


def _ordinal(text: str) -> float:
    return float("-inf") if text == "nan" else float(text)


def test_code_is_what_the_tags_say(workspace: Workspace, database: Path) -> None:
    brought(workspace, of(database))
    found = search.search(workspace, workspace.owner_scope, DEFAULT_PROJECT, Query(where="name = 'parent'")).runs[0]
    code = found.run.code
    assert code is not None
    assert (code.commit, code.repository) == ("a" * 40, "https://example.org/r.git")
    assert (code.branch, code.entry_point) == ("main", "train.py")


def test_experiments_models_and_versions_are_what_mlflow_tells(
    workspace: Workspace, database: Path, recorded_told: dict[str, Any]
) -> None:
    brought(workspace, of(database))
    here = contents.of(workspace)
    for name, there in recorded_told["experiments"].items():
        assert here["experiment"][name]["record"]["lifecycle"] == there["lifecycle"]
        assert here["experiment"][name]["tags"] == there["tags"]
        assert len(here["experiment"][name]["names"]) == 1
    for name, there in recorded_told["models"].items():
        assert (here["model"][name]["record"]["description"] or "") == there["description"]
        assert here["model"][name]["tags"] == there["tags"]
        assert here["model"][name]["aliases"] == {alias: int(number) for alias, number in there["aliases"].items()}
    for name, there in recorded_told["versions"].items():
        record, facet = here["model_version"][name]["record"], here["model_version"][name]["facets"]["facets"]
        source, run, stage, description, status = there["info"]
        assert (record["uri"], record["run"] or "") == (source, run)
        assert (record["stage"], record["description"] or "") == (mlflow.STAGES[stage], description)
        assert facet[mlflow.FACET]["value"].get("version_status", "READY") == status
        assert here["model_version"][name]["tags"] == there["tags"]
    assert here["model_version"].keys() >= recorded_told["versions"].keys()
    assert "risk@4" not in here["model_version"]


def test_logged_models_are_versions_of_the_model_of_their_name(
    workspace: Workspace, database: Path, recorded_told: dict[str, Any]
) -> None:
    brought(workspace, of(database))
    here = contents.of(workspace)
    for model, there in recorded_told["logged models"].items():
        mine = here["model_version"][mlflow.version_id(model)]
        facet = mine["facets"]["facets"][mlflow.FACET]["value"]
        name, type_, status, run = there["info"]
        assert mine["record"]["model"] == f"{there['experiment']}/{name}"
        assert (mine["record"]["run"], mine["tags"]) == (run, there["tags"])
        assert (facet["name"], facet["model_type"], facet["params"]) == (name, type_, there["params"])
        assert facet["status"].removeprefix("LOGGED_MODEL_").removeprefix("UPLOAD_") == status
        measured = [one["value"] for facet, one in mine["facets"]["facets"].items() if ".metrics/" in facet]
        assert sum(len(one["points"]) for one in measured) == len(there["metrics"])
    ((model, dataset, run, values),) = here["evaluations"].values()
    # MLflow itself keeps 0 where a NaN was measured of a model
    assert (dataset.partition("@")[0], values) == ("customers", {"auc": 0.91, "odd": 0.0})
    assert here["model_version"][model]["record"]["run"] == run
    lost = [one for one in here["model_version"].values() if one["record"]["model"] == "churn/lost"]
    assert [one["record"]["lifecycle"] for one in lost] == ["deleted"]


def test_datasets_are_versions_with_their_digest_and_links_have_their_context(
    workspace: Workspace, database: Path
) -> None:
    brought(workspace, of(database))
    here = contents.of(workspace)
    (customers,) = [one for name, one in here["dataset_version"].items() if name.startswith("customers@")]
    assert customers["record"]["sources"] == [{"uri": "https://example.org/train.csv", "format": "http"}]
    assert [column["name"] for column in customers["record"]["schema"]] == ["age", "name", "churned"]
    assert customers["record"]["rows"] == 3
    assert customers["facets"]["facets"][mlflow.FACET]["value"]["source_type"] == "http"
    parent = next(run for run, one in here["run"].items() if one["record"]["name"] == "parent")
    roles = {(up.partition("@")[0], role) for up, down, type_, role in here["links"] if down == parent}
    assert roles == {("customers", "training"), ("test", "eval")}
    tags = [one["value"] for name, one in here["run"][parent]["facets"]["facets"].items() if ".input/" in name]
    assert tags == [{"split": "80/20"}]
    (elsewhere,) = [one for one in here["run"].values() if one["record"]["name"] == "same data elsewhere"]
    (other,) = [one["value"] for name, one in elsewhere["facets"]["facets"].items() if name.startswith("mlflow/")]
    assert "s3://bucket/copy.csv" in other["source"]


def test_the_second_import_writes_nothing(workspace: Workspace, database: Path) -> None:
    first = brought(workspace, of(database))
    before, here = position(workspace), contents.of(workspace)
    assert before == first.position
    for again in (False, True):
        done = brought(workspace, of(database), again=again)
        assert (done.new, done.refused, done.found) == ({}, {}, first.found)
        assert position(workspace) == before
    assert contents.of(workspace) == here


def test_what_has_come_since_comes_with_the_next_import(
    workspace: Workspace, database: Path, sqlite_template: Path, tmp_path: Path
) -> None:
    brought(workspace, of(database))
    points = count(database, "metrics")
    with_mlflow("recorded.py", tmp_path, f"sqlite:///{database}", "again")
    done = brought(workspace, of(database))
    assert done.refused == {}
    assert done.new["points"] == count(database, "metrics") - points == 11 + 3 * 7
    assert contents.count(workspace) == count(database, "metrics")
    fresh = Workspace(copied(sqlite_template, tmp_path / "fresh.db"))
    brought(fresh, of(database))
    here, there = contents.of(workspace), contents.of(fresh)
    fresh.close()
    assert here == there
    assert brought(workspace, of(database)).new == {}


def test_an_alias_that_mlflow_takes_away_means_nothing_here(workspace: Workspace, database: Path) -> None:
    brought(workspace, of(database))
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM registered_model_aliases WHERE alias = 'champion'")
    assert brought(workspace, of(database)).new == {"aliases": 1}


def test_rows_that_cannot_be_kept_are_told_and_keep_nothing_else(workspace: Workspace, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        run = connection.execute("SELECT run_uuid FROM runs WHERE name = 'parent'").fetchone()[0]
        connection.execute("INSERT INTO params VALUES ('nul', 'a' || char(0) || 'b', ?)", [run])
        connection.execute("INSERT INTO params VALUES ('long', ?, ?)", ["x" * 70_000, run])
        connection.execute("INSERT INTO tags VALUES (?, 'v', ?)", ["k" * 300, run])
        for key, value, at, step in (
            ("", 1.0, 1, 0), ("k" * 300, 1.0, 1, 0), ("loss", 1.0, -5, 99), ("loss", "abc", 1, 98),
            ("loss", 1.0, "later", 97),
        ):  # fmt: skip
            connection.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, 0)", [key, value, at, run, step])
        connection.execute("UPDATE runs SET user_id = ? WHERE run_uuid = ?", ["u" * 251, run])
        connection.execute("UPDATE runs SET run_uuid = 'odd' WHERE name = 'failed'")
    done = brought(workspace, of(database))
    assert done.refused == {"params": 2, "tags": 1, "points": 5, "runs": 2}
    assert all(run in one.where for one in done.refusals if "odd" not in one.where)
    found = runs.get(workspace, workspace.owner_scope, DEFAULT_PROJECT, run)
    assert (found.params["lr"], found.tags["phase"], found.run.user) == ("0.01", "train", None)
    assert found.metrics["loss"].count == 40
    before = position(workspace)
    assert brought(workspace, of(database)).refused == done.refused
    assert position(workspace) == before


def test_a_name_that_another_experiment_has_still_comes_with_the_next_import(
    workspace: Workspace, database: Path
) -> None:
    brought(workspace, of(database))
    with sqlite3.connect(database) as connection:
        (second,) = connection.execute("SELECT name FROM experiments WHERE experiment_id = 2").fetchone()
        connection.execute("UPDATE experiments SET name = 'moved' WHERE experiment_id = 2")
        connection.execute("UPDATE experiments SET name = ? WHERE experiment_id = 1", [second])
        connection.execute("INSERT INTO params SELECT 'late', '1', run_uuid FROM runs WHERE name = 'running'")
    done = brought(workspace, of(database))
    assert (done.refused, done.new["params"]) == ({"experiments": 1}, 1)
    assert brought(workspace, of(database)).refused == {}
    assert {"moved", second} <= contents.of(workspace)["experiment"].keys()


def test_two_imports_of_one_source_do_not_go_on_at_once(workspace: Workspace, database: Path) -> None:
    source = of(database)
    other = Intake(workspace, workspace.owner_scope, DEFAULT_PROJECT, f"mlflow:{source.identity}")
    brought(workspace, source)
    before = position(workspace)
    held = importing.Bundle("run x", [], mark=1)
    with pytest.raises(Conflict, match="another import"):
        other.write([held])
    assert position(workspace) == before


def test_a_server_tells_what_its_database_has(
    workspace: Workspace, database: Path, server: str, sqlite_template: Path, tmp_path: Path
) -> None:
    done = brought(workspace, Server(server))
    assert (done.refused, done.new) == ({}, done.found)
    direct = Workspace(copied(sqlite_template, tmp_path / "direct.db"))
    brought(direct, of(database))
    here, there = contents.of(workspace), contents.of(direct)
    direct.close()
    lost = {name for name, one in there["model_version"].items() if one["record"]["model"] == "churn/lost"}
    assert len(lost) == 1
    for one in there["run"].values():  # which its API does not tell
        one["facets"]["facets"][mlflow.FACET]["value"].pop("deleted_time", None)
    del there["model"]["churn/lost"]
    there["model_version"] = {name: one for name, one in there["model_version"].items() if name not in lost}
    assert here == there
    before = position(workspace)
    for again in (False, True):
        assert brought(workspace, Server(server), again=again).new == {}
    assert position(workspace) == before


def test_a_database_of_postgresql_tells_the_same(
    workspace: Workspace, database: Path, postgres: Postgres, sqlite_template: Path, tmp_path: Path
) -> None:
    url = postgres.create_empty()
    _copy(database, url)
    done = brought(workspace, Database(url))
    assert (done.refused, done.new) == ({}, done.found)
    direct = Workspace(copied(sqlite_template, tmp_path / "direct.db"))
    brought(direct, of(database))
    here, there = contents.of(workspace), contents.of(direct)
    direct.close()
    assert here == there
    assert brought(workspace, Database(url), again=True).new == {}, "each point is known again"
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        (run,) = connection.execute("SELECT run_uuid FROM runs WHERE name = 'parent'").fetchone() or ("",)
        connection.execute(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "SELECT 'loss', 0, 2000000000000 + step, %s, step, step = 1003 FROM generate_series(1001, 1005) AS step",
            [run],
        )
    assert brought(workspace, Database(url)).new == {"points": 5}
    added = contents.series(workspace, run)["loss"][-5:]
    assert [(step, value) for step, _, value in added] == [
        (1001, "0.0"), (1002, "0.0"), (1003, "nan"), (1004, "0.0"), (1005, "0.0")
    ]  # fmt: skip
    assert brought(workspace, Database(url), again=True).new == {}
    postgres.drop(url)


def _copy(path: Path, url: str) -> None:
    """Copy the tables of a SQLite file that are read into PostgreSQL, of the same types, without its constraints."""
    source, target = (
        sa.create_engine(f"sqlite:///{path}"),
        sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:")),
    )
    found, made = sa.MetaData(), sa.MetaData()
    found.reflect(source, only=lambda name, _: name in TABLES)
    with source.connect() as reading, target.begin() as writing:
        for table in found.tables.values():
            copy = sa.Table(table.name, made, *(sa.Column(column.name, column.type) for column in table.columns))
            copy.create(writing)
            rows = [dict(row) for row in reading.execute(sa.select(table)).mappings()]
            if rows:
                writing.execute(copy.insert(), rows)
    source.dispose()
    target.dispose()


def test_a_database_of_an_old_release_tells_what_it_has(workspace: Workspace, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table in (
            "logged_model_metrics", "logged_model_params", "logged_model_tags", "logged_models", "input_tags", "inputs",
            "datasets", "registered_model_aliases", "experiment_tags",
        ):  # fmt: skip
            connection.execute(f"DROP TABLE {table}")
        connection.execute("CREATE TABLE old AS SELECT key, value, timestamp, run_uuid FROM metrics WHERE NOT is_nan")
        connection.execute("DROP TABLE metrics")
        connection.execute("ALTER TABLE old RENAME TO metrics")
        points = connection.execute("SELECT count(*) FROM (SELECT DISTINCT * FROM metrics)").fetchone()[0]
    done = brought(workspace, of(database))
    assert done.refused == {}
    assert (done.new["points"] >= points, done.new["runs"]) == (True, count(database, "runs"))
    assert brought(workspace, of(database)).new == {}


def test_what_is_no_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        of(tmp_path / "none.db")
    (tmp_path / "other.db").write_bytes(b"")
    with pytest.raises(InvalidInput, match="no database of MLflow"):
        of(tmp_path / "other.db")
    (tmp_path / "text.db").write_bytes(b"this is no database, only text, and long enough to be read as one" * 20)
    with pytest.raises(InvalidInput, match="cannot be read: file is not a database"):
        of(tmp_path / "text.db")
    with pytest.raises(InvalidInput, match="its server tells"):
        Database("mysql://root:secret@db/mlflow")
