"""A store in a file for each test, and what is in it afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import muniment
from muniment.model.run import RunData

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty store that this process is connected to."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("MUNIMENT_URL", url)
    monkeypatch.setenv("MUNIMENT_CAPTURE", "none")
    muniment.connect(url)
    yield url
    muniment.disconnect()


@pytest.fixture
def only() -> Callable[[], RunData]:
    """The only run there is."""

    def find() -> RunData:
        found = muniment.search()
        assert len(found) == 1
        return found[0]

    return find


@pytest.fixture
def series() -> Callable[[RunData, str], dict[int, float]]:
    """The values of a run's metric by step; no step has two."""

    def read(data: RunData, metric: str) -> dict[int, float]:
        points = muniment.history(data.run.id, metric)
        assert len({step for step, _, _ in points}) == len(points)
        return {step: value for step, _, value in points}

    return read


@pytest.fixture
def text() -> Callable[[RunData, str], str]:
    """The content of an artifact of a run."""

    def read(data: RunData, path: str) -> str:
        client, target = muniment.connection(), Path(os.environ["MUNIMENT_SPOOL"]) / "read"
        client.download(data.run.id, path, target)
        content = target.read_text("utf-8")
        target.unlink()
        return content

    return read


@pytest.fixture
def program(store: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program on the store, which this process has let go of meanwhile."""

    def run(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "program.py"
        file.write_text(source, "utf-8")
        muniment.disconnect()
        found = subprocess.run(
            [sys.executable, str(file)], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
            env={**os.environ, "MUNIMENT_URL": store, **environment},
        )  # fmt: skip
        muniment.connect(store)
        return found

    return run
