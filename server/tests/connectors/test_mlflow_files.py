"""The bytes of artifacts come on request, from folders and from servers, and go back out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import contents
from connectors.conftest import with_mlflow
from connectors.test_mlflow_import import count, of, position, silent
from muniment.model.mlflow import FACET
from muniment_server.annexes.connectors.mlflow import exporting, files, importing
from muniment_server.annexes.connectors.mlflow.holdings import Holdings
from muniment_server.annexes.connectors.mlflow.importing import Imported
from muniment_server.annexes.connectors.mlflow.server import Server
from muniment_server.annexes.connectors.mlflow.shapes import Source
from muniment_server.annexes.connectors.mlflow.wire import Api
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace

LOGGED = """
import sys
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("files")
with mlflow.start_run(run_name="with files") as run:
    mlflow.log_text("hello", "notes/hällo wörld.txt")
    mlflow.log_text("x" * 3_000_000, "big.txt")
    mlflow.log_text("", "empty.txt")
    model = mlflow.initialize_logged_model(name="net")
    from mlflow.tracking import MlflowClient
    MlflowClient().log_model_artifact(model.model_id, __file__)
    mlflow.finalize_logged_model(model.model_id, "READY")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "logged.py"
    path.write_text(LOGGED)
    return path


@pytest.fixture
def opened(store_url: str, trust_folder: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A store whose bytes lie in a folder of this test."""
    workspace = Workspace(store_url, trust=trust_folder, artifacts=(tmp_path / "bytes").as_uri())
    yield workspace
    workspace.close()


def brought(workspace: Workspace, source: Source) -> Imported:
    try:
        return importing.bring(workspace, workspace.owner_scope, DEFAULT_PROJECT, source, silent, artifacts=True)
    finally:
        source.close()


def kept(workspace: Workspace) -> dict[str, dict[str, bytes]]:
    """The bytes of every run and logged model, by name and path."""
    here = contents.of(workspace)
    names = {run: one["record"]["name"] for run, one in here["run"].items()}
    names |= {version: one["record"]["model"] for version, one in here["model_version"].items() if "@" not in version}
    return {
        name: {
            one.path: b"".join(files.pieces_of(workspace, one.artifact))
            for one in files.of_record(workspace, workspace.owner_scope, DEFAULT_PROJECT, record)
        }
        for record, name in names.items()
    }


def test_files_of_a_folder(opened: Workspace, database: Path, program: Path, tmp_path: Path) -> None:
    with_mlflow(str(program), tmp_path, f"sqlite:///{database}")
    first = brought(opened, of(database))
    assert first.refused == {}
    found = kept(opened)
    assert found["with files"] == {
        "notes/hällo wörld.txt": b"hello", "big.txt": b"x" * 3_000_000, "empty.txt": b"",
    }  # fmt: skip
    assert found["files/net"] == {"logged.py": LOGGED.encode()}
    assert first.new["artifacts"] == first.found["artifacts"] == sum(map(len, found.values()))
    facets = {one["record"]["name"]: one["facets"]["facets"] for one in contents.of(opened)["run"].values()}
    said = facets["with files"][FACET]["value"]
    assert "artifact_uri" not in said
    assert said["brought_from"].endswith("/artifacts")
    before = position(opened)
    assert brought(opened, of(database)).new == {}
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE runs SET status = 'FAILED' WHERE name = 'with files'")
    assert brought(opened, of(database)).new == {"runs": 1}
    assert position(opened) == before + 1
    assert kept(opened) == found


def test_what_lies_where_nobody_here_can_read_is_told(opened: Workspace, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE runs SET artifact_uri = 's3://bucket/' || run_uuid")
    done = brought(opened, of(database))
    active = [one for one in contents.of(opened)["run"].values() if one["record"]["lifecycle"] == "active"]
    assert done.refused == {"artifacts": len(active)}
    assert (done.new["runs"], done.new["points"]) == (count(database, "runs"), count(database, "metrics"))
    assert all("import from http://" in one.detail for one in done.refusals)


def test_files_come_from_a_server_and_go_to_another(
    opened: Workspace, server: str, empty_server: str, program: Path, tmp_path: Path
) -> None:
    with_mlflow(str(program), tmp_path, server)
    done = brought(opened, Server(server))
    assert done.refused == {}
    found = kept(opened)
    assert len(found["with files"]) == 3
    assert found["files/net"] == {"logged.py": LOGGED.encode()}
    api = Api(empty_server)
    sent = exporting.take(Holdings(opened, opened.owner_scope, DEFAULT_PROJECT), api, silent, artifacts=True)
    assert sent.refused == {}
    api.close()
    (tmp_path / "second").mkdir()
    other = Workspace(f"sqlite:///{tmp_path}/second/store.db")
    assert brought(other, Server(empty_server)).refused == {}
    assert kept(other) == found
    other.close()
