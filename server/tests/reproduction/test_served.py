"""A run that is kept by a server, on either engine, is run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from reproduction.conftest import Job
from robustness.server import Server

from muniment.client import Client
from muniment.reproduction.certificate import FACET


@pytest.fixture
def served(store_url: str, job: Job, trust_folder: Path, tmp_path: Path) -> Iterator[Job]:
    """The program, and a server of an empty store."""
    server = Server(store_url, trust_folder, tmp_path / "log")
    server.start()
    yield Job(job.repository, f"http://127.0.0.1:{server.port}")
    server.stop()


def test_over_http(served: Job) -> None:
    run = served.run("7", "0", "0")
    made = served.reproduce("--yes", "--json", f"urn:muniment:default:run:{run}")
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert (found["verdict"], found["of"], found["metrics"]["loss"]["points"]) == ("equal", run, [50, 50])
    with Client(served.url) as client:
        assert client.facets(found["by"])[FACET].value == client.facets(run)[FACET].value
