"""MLflow's own server, and one of ours on each engine, for the tests that compare them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Postgres, copied
from robustness.server import Server

from mlflow_door.peers import RealServer


@pytest.fixture(scope="session")
def real_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of MLflow's own server."""
    server = RealServer(tmp_path_factory.mktemp("mlflow"))
    try:
        yield server.wait().port
    finally:
        server.close()


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def our_port(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[int]:
    """The port of `muniment serve` on an empty store."""
    folder = tmp_path_factory.mktemp("muniment")
    postgres: Postgres | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = copied(sqlite_template, folder / "store.db") if postgres is None else postgres.create()
    with Server(url, folder / "trust", folder / "log").start() as server:
        yield server.port
        server.stop()
    if postgres is not None:
        postgres.drop(url)
