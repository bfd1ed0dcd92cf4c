"""Histories that MLflow itself has recorded."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow_door import peers
from mlflow_door.peers import RealServer

HERE = Path(__file__).parent


def with_mlflow(program: str, folder: Path, *arguments: str) -> str:
    """What a program of this folder prints, run by a Python that has MLflow."""
    command = [str(peers.python()), str(HERE / program), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=peers.environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return done.stdout


def told(folder: Path, uri: str) -> dict[str, Any]:
    """Everything that MLflow's own client tells of a server or database."""
    found: dict[str, Any] = json.loads(with_mlflow("told.py", folder, uri))
    return found


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a history with everything in it, which nobody changes."""
    folder = tmp_path_factory.mktemp("recorded")
    with_mlflow("recorded.py", folder, f"sqlite:///{folder / 'mlflow.db'}")
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def recorded_told(recorded: Path) -> dict[str, Any]:
    """What MLflow's client tells of that history."""
    return told(recorded.parent, f"sqlite:///{recorded}")


@pytest.fixture
def database(recorded: Path, tmp_path: Path) -> Path:
    """A copy of that database of this test's own."""
    return Path(shutil.copy(recorded, tmp_path / "mlflow.db"))


@pytest.fixture
def server(database: Path) -> Iterator[str]:
    """The URL of MLflow's own server of that copy."""
    running = RealServer(database.parent)
    try:
        yield f"http://127.0.0.1:{running.wait().port}"
    finally:
        running.close()


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[str]:
    """The URL of an MLflow server that has nothing yet."""
    (tmp_path / "empty").mkdir()
    running = RealServer(tmp_path / "empty")
    try:
        yield f"http://127.0.0.1:{running.wait().port}"
    finally:
        running.close()
